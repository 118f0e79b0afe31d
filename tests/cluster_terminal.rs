//! A person at a terminal with a real cluster: asked before anything changes, shown what goes on, free to leave, and able to remove everything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

#[path = "cluster/app.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests on the cluster")]
mod app;

use app::{App, PATIENCE, PROGRAM, files, namespace_exists};
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The program on a terminal of its own, and all that the terminal has shown.
struct Terminal {
    pty: Arc<pty_process::blocking::Pty>,
    child: std::process::Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn run(app: &App, words: &[&str]) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(40, 120)).unwrap();
        let command = pty_process::blocking::Command::new(PROGRAM).args(words).env("LANDFALL_STATE", app.state.path()).env("TERM", "xterm-256color");
        let child = command.spawn(pts).unwrap();
        let (pty, shown) = (Arc::new(pty), Arc::new(Mutex::new(String::new())));
        let (reading, showing) = (Arc::clone(&pty), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of the program is an error of the terminal.
            while let Ok(n @ 1..) = (&*reading).read(&mut bytes) {
                showing.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Self { pty, child, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Waits until the terminal has shown this text.
    fn sees(&self, text: &str) {
        let began = Instant::now();
        while !self.shown().contains(text) {
            assert!(began.elapsed() < PATIENCE, "the terminal never shows {text:?}: {}", self.shown());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn types(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    /// The exit code, and all that was shown.
    fn ends(mut self) -> (i32, String) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                std::thread::sleep(Duration::from_millis(50));
                return (status.code().unwrap_or(-1), self.shown());
            }
            if began.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("it does not end: {}", self.shown());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

const CTRL_C: &str = "\u{3}";

#[test]
fn a_person_at_a_terminal() {
    let mut app = App::stock("person");
    let here = app.root().to_str().unwrap().to_owned();
    let profile = app.profile.clone();
    let up = ["up", &here, "--profile", &profile, "--secrets", "SIGNING_SECRET=generate"];
    let run = |app: &App, words: &[&str]| Terminal::run(app, &[words, &["--profile", &profile]].concat());

    let before = files(app.root());
    let terminal = Terminal::run(&app, &up);
    terminal.sees("carry this out? [y/N]");
    terminal.types("\r");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 4, "{shown}");
    assert!(shown.contains("This will happen:") && shown.contains("+FROM "), "the plan and the difference are shown: {shown}");
    let left: Vec<_> = files(app.root()).into_iter().filter(|(path, _)| !path.starts_with(app.path(".landfall"))).collect();
    assert_eq!(left, before, "no is the default, and nothing is written");
    assert!(!namespace_exists(&app.name));
    app.step("asked first; Enter alone means no");

    let terminal = Terminal::run(&app, &up);
    terminal.sees("carry this out? [y/N]");
    terminal.types("y\r");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("\u{1b}["), "a terminal gets colours and a bar");
    assert_eq!(app.revisions("stock"), ["1 deployed"]);
    app.step("y deploys, with progress on the way");

    let terminal = run(&app, &["open", "stock", &here]);
    terminal.sees("Ctrl-C ends it");
    let url = terminal.shown().lines().find(|line| line.starts_with("http://")).unwrap_or_else(|| panic!("no address: {}", terminal.shown())).trim().to_owned();
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    stream.write_all(format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 "), "{answer}");
    terminal.types(CTRL_C);
    assert_eq!(terminal.ends().0, 0);
    app.step("open gives an address that answers until Ctrl-C");

    let terminal = run(&app, &["status", &here, "--watch"]);
    let began = Instant::now();
    while terminal.shown().matches("\u{1b}[2J").count() < 3 {
        assert!(began.elapsed() < PATIENCE, "status --watch does not look again: {}", terminal.shown());
        std::thread::sleep(Duration::from_millis(50));
    }
    terminal.types(CTRL_C);
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("pods running 1/1"), "{shown}");
    app.step("status --watch looks again and again until Ctrl-C");

    app.with("CLOSED = \"yes\"");
    let terminal = Terminal::run(&app, &up);
    terminal.sees("carry this out? [y/N]");
    terminal.types("y\r");
    terminal.sees("operation op-");
    terminal.types(CTRL_C);
    terminal.sees("goes on without this terminal");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 130, "{shown}");
    let id = shown.split("landfall operations show ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(app.state_of(&id), "running", "the operation outlives its terminal");
    app.step("Ctrl-C leaves the operation running, and says how to come back");

    let terminal = Terminal::run(&app, &["operations", "show", &id, &here, "--follow"]);
    terminal.sees(&format!("operation {id}"));
    terminal.types(CTRL_C);
    terminal.sees("Ctrl-C again within 3 s asks it to stop");
    terminal.types(CTRL_C);
    terminal.sees("asking the operation to stop");
    let (_, shown) = terminal.ends();
    assert_eq!(app.state_of(&id), "cancelled", "{shown}");
    assert_eq!(app.running_env("CLOSED"), "");
    app.step("Ctrl-C twice asks it to stop, and it is taken back");

    let terminal = run(&app, &["down", &here, "--purge-data"]);
    terminal.sees("[y/N]");
    terminal.types("y\r");
    terminal.sees("type the app's name");
    terminal.types(&format!("{}\r", app.name));
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    let began = Instant::now();
    while namespace_exists(&app.name) {
        assert!(began.elapsed() < PATIENCE, "the namespace is still there: {shown}");
        std::thread::sleep(Duration::from_millis(200));
    }
    app.step("down --purge-data removes the namespace and all in it");
}
