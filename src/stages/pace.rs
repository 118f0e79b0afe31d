//! Requests at a steady rate for a bounded time, whatever the answers take: what a latency budget is judged by where landfall.toml names a rate.

use crate::probe::HttpAsk;
use crate::probe::http::request;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One request every `1 / per_s` seconds for `seconds`; each as long as it took from the moment when it was due to be sent. At most 50 × 30.
pub(super) async fn at_rate(address: SocketAddr, ask: &HttpAsk, per_s: u32, seconds: u32) -> Vec<Result<Duration, ()>> {
    let gap = Duration::from_secs(1) / per_s.max(1);
    let begun = tokio::time::Instant::now();
    let requests = (0..per_s * seconds).map(|place| async move {
        tokio::time::sleep_until(begun + gap * place).await;
        let due = Instant::now();
        match tokio::time::timeout(ask.deadline, request(address, ask)).await {
            Ok(Ok(seen)) if seen.status < 400 => Ok(due.elapsed()),
            Ok(Ok(_) | Err(_)) | Err(_) => Err(()),
        }
    });
    futures::future::join_all(requests).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_slow_answer_keeps_no_other_request_waiting_and_an_error_is_counted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // The first request hangs until the last one has come.
        tokio::spawn(async move {
            let mut held = Vec::new();
            for place in 0..10 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await;
                match place {
                    0 => held.push(stream),
                    1 => drop(stream.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await),
                    _ => drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await),
                }
            }
            for mut stream in held {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        });
        let seen = at_rate(address, &HttpAsk::get("/", "api", Duration::from_secs(60)), 10, 1).await;
        assert_eq!((seen.len(), seen.iter().filter(|one| one.is_err()).count()), (10, 1), "{seen:?}");
        let slowest = seen.iter().flatten().max().unwrap();
        assert!(*slowest >= Duration::from_millis(700), "the held one waited for the nine after it: {seen:?}");
    }
}
