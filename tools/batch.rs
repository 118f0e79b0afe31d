//! JSON-RPC batches of revision 2025-03-26, between a client and a server that knows single messages: taken apart on the way in, put together on the way out.
//! Revisions before and after have no batches: there an array stays what it is, and the server refuses it.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream};

/// The one revision whose clients may send batches.
pub(crate) const REVISION: &str = "2025-03-26";
/// Messages in a batch.
const LONGEST: usize = 100;
/// The largest batch in bytes; single messages have their own limit further in.
const LARGEST: usize = 4 * 1024 * 1024;
/// Room between the two halves.
const ROOM: usize = 64 * 1024;

/// The messages of a batch, or the one answer to what is none.
pub(crate) fn apart(text: &[u8]) -> Result<Vec<Value>, Value> {
    let refused = |why: &str| json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": why } });
    match serde_json::from_slice::<Vec<Value>>(text) {
        Ok(all) if all.is_empty() => Err(refused("an empty batch asks nothing")),
        Ok(all) if all.len() > LONGEST => Err(refused("a batch holds at most 100 messages")),
        Ok(all) if all.iter().any(|message| message["method"] == "initialize") => Err(refused("initialize is no part of a batch")),
        Ok(all) => Ok(all),
        Err(_) => Err(json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32700, "message": "the batch is no JSON array" } })),
    }
}

/// The ids that await an answer.
pub(crate) fn ids(messages: &[Value]) -> Vec<Value> {
    messages.iter().filter(|message| message.get("method").is_some()).filter_map(|message| message.get("id").cloned()).collect()
}

/// Answers among which the one that names the revision is looked for.
const HANDSHAKE: u8 = 8;

/// What is being answered: each batch with the answers that are in.
#[derive(Debug, Default)]
struct Pending {
    /// Answers that were looked at for the revision; `HANDSHAKE` once it is known.
    looked: u8,
    /// True once the conversation is of the revision that has batches.
    open: bool,
    batches: VecDeque<(Vec<Value>, Vec<Value>)>,
}

impl Pending {
    /// True where what the server says needs no look.
    fn idle(&self) -> bool {
        self.looked >= HANDSHAKE && self.batches.is_empty()
    }

    /// Notes the revision that was agreed on, and takes an answer that belongs to a batch: the whole batch where it is the last one, nothing where more are to come.
    fn answer(&mut self, message: Value) -> Option<Value> {
        let answers = message.get("method").is_none();
        match message.pointer("/result/protocolVersion") {
            Some(version) => (self.open, self.looked) = (version == REVISION, HANDSHAKE),
            None => self.looked = self.looked.saturating_add(u8::from(answers)).min(HANDSHAKE),
        }
        let id = message.get("id").filter(|_| answers);
        let Some(at) = id.and_then(|id| self.batches.iter().position(|(waits, _)| waits.contains(id))) else { return Some(message) };
        let (waits, answered) = self.batches.get_mut(at)?;
        if let Some(place) = waits.iter().position(|id| Some(id) == message.get("id")) {
            waits.remove(place);
        }
        answered.push(message);
        if !waits.is_empty() {
            return None;
        }
        self.batches.remove(at).map(|(_, answered)| Value::Array(answered))
    }
}

/// Both halves of a conversation as the server has them, and the work that keeps them going: it ends when either side does.
pub(crate) fn between<R, W>(from_client: R, to_client: W) -> (DuplexStream, DuplexStream, impl Future<Output = std::io::Result<()>>)
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (to_server, server_reads) = tokio::io::duplex(ROOM);
    let (server_writes, from_server) = tokio::io::duplex(ROOM);
    let pending = Arc::new(Mutex::new(Pending::default()));
    let (refuse, refusals) = tokio::sync::mpsc::channel(8);
    // What the client says is read for as long as the process lives; the server's last word is waited for.
    tokio::spawn(inward(from_client, to_server, Arc::clone(&pending), refuse));
    (server_reads, server_writes, outward(from_server, to_client, pending, refusals))
}

fn lock(pending: &Mutex<Pending>) -> std::sync::MutexGuard<'_, Pending> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn inward<R: AsyncRead + Unpin>(
    from_client: R,
    mut to_server: DuplexStream,
    pending: Arc<Mutex<Pending>>,
    refuse: tokio::sync::mpsc::Sender<Value>,
) -> std::io::Result<()> {
    let mut from_client = BufReader::new(from_client);
    loop {
        let start = from_client.fill_buf().await?;
        let Some(first) = start.first().copied() else { break };
        if first == b'[' && lock(&pending).open {
            let mut line = Vec::new();
            // A batch that is too large is passed on as it is, and refused as no message.
            let whole = take_line(&mut from_client, &mut line, LARGEST).await?;
            match apart(&line) {
                _ if !whole => to_server.write_all(&line).await?,
                Ok(messages) => {
                    let waits = ids(&messages);
                    if !waits.is_empty() {
                        lock(&pending).batches.push_back((waits, Vec::new()));
                    }
                    for message in messages {
                        to_server.write_all(format!("{message}\n").as_bytes()).await?;
                    }
                    continue;
                }
                Err(answer) => {
                    if refuse.send(answer).await.is_err() {
                        break;
                    }
                    continue;
                }
            }
        }
        pass_line(&mut from_client, &mut to_server).await?;
    }
    to_server.shutdown().await
}

/// Reads a line of at most `limit` bytes; false where it goes on.
async fn take_line<R: AsyncRead + Unpin>(from: &mut BufReader<R>, line: &mut Vec<u8>, limit: usize) -> std::io::Result<bool> {
    while line.len() < limit {
        let part = from.fill_buf().await?;
        let end = part.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let take = end.unwrap_or(part.len());
        if take == 0 {
            return Ok(true);
        }
        line.extend_from_slice(part.get(..take).unwrap_or_default());
        from.consume(take);
        if end.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Passes on what is left of a line, however long it is.
async fn pass_line<R: AsyncRead + Unpin>(from: &mut BufReader<R>, to: &mut DuplexStream) -> std::io::Result<()> {
    loop {
        let part = from.fill_buf().await?;
        let end = part.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let take = end.unwrap_or(part.len());
        to.write_all(part.get(..take).unwrap_or_default()).await?;
        from.consume(take);
        if end.is_some() || take == 0 {
            return Ok(());
        }
    }
}

async fn outward<W: AsyncWrite + Unpin>(
    from_server: DuplexStream,
    mut to_client: W,
    pending: Arc<Mutex<Pending>>,
    mut refusals: tokio::sync::mpsc::Receiver<Value>,
) -> std::io::Result<()> {
    let mut from_server = BufReader::new(from_server);
    let mut line = Vec::new();
    loop {
        tokio::select! {
            // A line that was begun stays in `line` where the other side is faster.
            read = from_server.read_until(b'\n', &mut line) => {
                if read? == 0 {
                    return to_client.flush().await;
                }
                let idle = lock(&pending).idle();
                let message = if idle { None } else { serde_json::from_slice::<Value>(&line).ok() };
                let told = match message {
                    Some(message) => lock(&pending).answer(message).map(|message| format!("{message}\n").into_bytes()),
                    None => Some(std::mem::take(&mut line)),
                };
                line.clear();
                if let Some(told) = told {
                    to_client.write_all(&told).await?;
                }
            }
            Some(refusal) = refusals.recv() => to_client.write_all(format!("{refusal}\n").as_bytes()).await?,
        }
        to_client.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    /// What reaches the server and what reaches the client, for what each side says.
    async fn carry(client: &str, server: &[Value]) -> (String, String) {
        let (mut says, from_client) = tokio::io::duplex(ROOM);
        let (to_client, mut hears) = tokio::io::duplex(ROOM);
        let (mut reads, mut writes, work) = between(from_client, to_client);
        let work = tokio::spawn(work);
        let agreed = json!({ "jsonrpc": "2.0", "id": 0, "result": { "protocolVersion": REVISION } });
        writes.write_all(format!("{agreed}\n").as_bytes()).await.unwrap();
        let mut first = vec![0; agreed.to_string().len() + 1];
        hears.read_exact(&mut first).await.unwrap();
        says.write_all(client.as_bytes()).await.unwrap();
        drop(says);
        let mut heard = String::new();
        reads.read_to_string(&mut heard).await.unwrap();
        for message in server {
            writes.write_all(format!("{message}\n").as_bytes()).await.unwrap();
        }
        drop(writes);
        let mut told = String::new();
        hears.read_to_string(&mut told).await.unwrap();
        work.await.unwrap().unwrap();
        (heard, told)
    }

    fn ask(id: u32) -> Value {
        json!({ "jsonrpc": "2.0", "id": id, "method": "ping" })
    }

    fn say(id: u32) -> Value {
        json!({ "jsonrpc": "2.0", "id": id, "result": {} })
    }

    #[tokio::test]
    async fn a_batch_is_taken_apart_and_answered_as_one() {
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/progress" });
        let (heard, told) = carry(&format!("{}\n", json!([ask(1), note, ask(2)])), &[say(2), note.clone(), say(7), say(1)]).await;
        assert_eq!(heard, format!("{}\n{note}\n{}\n", ask(1), ask(2)));
        // What is no answer to the batch does not wait for it.
        assert_eq!(told, format!("{note}\n{}\n{}\n", say(7), json!([say(2), say(1)])));
    }

    #[tokio::test]
    async fn notifications_alone_are_not_answered_and_single_messages_pass() {
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" });
        let (heard, told) = carry(&format!("{}\n{}\n", json!([note]), ask(3)), &[say(3)]).await;
        assert_eq!(heard, format!("{note}\n{}\n", ask(3)));
        assert_eq!(told, format!("{}\n", say(3)));
    }

    #[tokio::test]
    async fn what_is_no_batch_is_refused_once() {
        for (text, code) in [("[]\n", -32600), ("[1, \n", -32700), ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}]\n", -32600)] {
            let (heard, told) = carry(text, &[]).await;
            assert_eq!(heard, "", "{text}");
            let answer: Value = serde_json::from_str(&told).unwrap();
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &Value::Null), "{text}");
        }
    }

    #[test]
    fn other_revisions_have_no_batches() {
        let mut pending = Pending::default();
        let agreed = |version: &str| json!({ "jsonrpc": "2.0", "id": 0, "result": { "protocolVersion": version } });
        for (version, open) in [("2024-11-05", false), ("2025-03-26", true), ("2025-06-18", false)] {
            assert_eq!(pending.answer(agreed(version)), Some(agreed(version)));
            assert_eq!(pending.open, open, "{version}");
        }
    }
}
