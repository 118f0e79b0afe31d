use std::io::Write;
use std::net::TcpListener;

fn main() {
    let listener = TcpListener::bind("0.0.0.0:8080").expect("the port is free");
    for stream in listener.incoming().flatten() {
        let mut stream = stream;
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", words::HELLO.len(), words::HELLO);
    }
}
