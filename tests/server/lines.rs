//! A client of raw JSON lines.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_landfall");

/// A running `landfall serve` and the lines that it wrote.
pub(crate) struct Lines {
    pub(crate) child: Child,
    lines: Receiver<Vec<u8>>,
    number: u64,
    /// Every line so far.
    pub(crate) seen: Vec<Vec<u8>>,
    _state: tempfile::TempDir,
}

impl Lines {
    pub(crate) fn start(more: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("serve").args(more);
        Self::of(command, state)
    }

    pub(crate) fn of(mut command: Command, state: tempfile::TempDir) -> Self {
        command.env("LANDFALL_STATE", state.path()).current_dir("/");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let (send, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(out);
            loop {
                let mut line = Vec::new();
                if reader.read_until(b'\n', &mut line).unwrap_or(0) == 0 || send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, number: 0, seen: Vec::new(), _state: state }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.raw(format!("{message}\n").as_bytes());
    }

    /// The whole message that answers; notifications in between are passed over.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let id = self.number;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let until = Instant::now() + PATIENCE;
        loop {
            let line = match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => panic!("{method} was not answered"),
                Err(RecvTimeoutError::Disconnected) => panic!("the server ended while {method} was asked"),
            };
            self.seen.push(line.clone());
            let message: Value =
                serde_json::from_slice(&line).unwrap_or_else(|error| panic!("not JSON on stdout: {error}: {}", String::from_utf8_lossy(&line)));
            if message["id"] == id {
                return message;
            }
        }
    }

    /// The next line, whatever it is.
    pub(crate) fn next(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).unwrap();
        self.seen.push(line.clone());
        serde_json::from_slice(&line).unwrap()
    }

    pub(crate) fn result(&mut self, method: &str, params: Value) -> Value {
        let message = self.ask(method, params);
        assert!(message.get("error").is_none(), "{method}: {message}");
        message["result"].clone()
    }

    /// Every notification of this kind so far.
    pub(crate) fn notifications(&mut self, method: &str) -> Vec<Value> {
        while let Ok(line) = self.lines.try_recv() {
            self.seen.push(line);
        }
        self.seen.iter().map(|line| serde_json::from_slice::<Value>(line).unwrap()).filter(|message| message["method"] == method).collect()
    }

    /// The handshake of an older revision.
    pub(crate) fn open(&mut self, version: &str) -> Value {
        self.open_as(version, json!({}))
    }

    /// The same, for a client that can do more.
    pub(crate) fn open_as(&mut self, version: &str, capabilities: Value) -> Value {
        let hello = json!({ "protocolVersion": version, "capabilities": capabilities, "clientInfo": { "name": "test", "version": "1" } });
        let result = self.result("initialize", hello);
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        result
    }

    /// What the server tells every model, as it said when the conversation was opened.
    pub(crate) fn instructions(&mut self) -> String {
        let first = self.seen.iter().map(|line| serde_json::from_slice::<Value>(line).unwrap()).find(|message| message["result"]["instructions"].is_string());
        first.unwrap()["result"]["instructions"].as_str().unwrap().to_owned()
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.result("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Closes stdin and waits for the end; everything on stdout was JSON.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        let status = ended(&mut self.child);
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(500)) {
            self.seen.push(line);
        }
        for line in &self.seen {
            assert!(serde_json::from_slice::<Value>(line).is_ok(), "not JSON on stdout: {}", String::from_utf8_lossy(line));
        }
        status
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the end of a process, within limits.
pub(crate) fn ended(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < until, "the program did not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn text_of(result: &Value) -> String {
    result["content"].as_array().unwrap().iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
