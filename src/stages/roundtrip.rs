//! A write through an MCP server that leaves nothing behind: a row is added, read back and taken away again, each by a tool of the server.

use crate::evidence::{Check, Evidence, Source};
use crate::failure::Failure;
use crate::ports::{McpPeer, PeerAnswer, PeerFacts, PeerTool};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::time::Duration;

const ADDS: [&str; 6] = ["add", "create", "new", "insert", "save", "make"];
const TAKES: [&str; 2] = ["delete", "remove"];
/// Whose row it is, where rows belong to somebody.
const NOBODY: &str = "landfall-probe";

/// The tools that do it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trip<'a> {
    add: &'a PeerTool,
    list: &'a PeerTool,
    take: &'a PeerTool,
}

/// A server as its tools are called.
pub(super) struct Line<'a> {
    pub(super) peer: &'a dyn McpPeer,
    pub(super) local: SocketAddr,
    pub(super) host: &'a str,
    pub(super) facts: &'a PeerFacts,
    pub(super) patience: Duration,
}

/// The words of a tool's name: `addTask` and `add_task` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if (!letter.is_alphanumeric() || letter.is_uppercase()) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// One tool that adds something, one that reads it back, one that takes it away: told by their names and annotations.
pub(super) fn planned(tools: &[PeerTool]) -> Option<Trip<'_>> {
    let verb = |tool: &PeerTool, verbs: &[&str]| words(&tool.name).iter().any(|word| verbs.contains(&word.as_str()));
    tools.iter().filter(|tool| !tool.read_only && verb(tool, &ADDS)).find_map(|add| {
        let what = words(&add.name).into_iter().rev().find(|word| !ADDS.contains(&word.as_str()))?;
        let about = |tool: &&PeerTool| words(&tool.name).iter().any(|word| *word == what || word.strip_suffix('s') == Some(what.as_str()));
        let list = tools.iter().find(|tool| tool.read_only && about(tool))?;
        let take = tools.iter().find(|tool| !tool.read_only && verb(tool, &TAKES) && about(tool))?;
        Some(Trip { add, list, take })
    })
}

/// True where an argument says whose row it is.
fn is_owner(argument: &str) -> bool {
    let folded = argument.to_lowercase().replace(['_', '-'], "");
    folded.ends_with("userid") || folded == "user"
}

/// Required arguments: an owner is nobody, an id is what the row got, a text is this run's.
fn arguments(tool: &PeerTool, text: &str, id: Option<&Value>) -> Map<String, Value> {
    let mut filled = super::validate::arguments_for(&tool.input_schema);
    for (name, value) in &mut filled {
        if is_owner(name) {
            *value = NOBODY.into();
        } else if let Some(id) = id.filter(|_| name.to_lowercase().ends_with("id")) {
            *value = id.clone();
        } else if value.as_str() == Some(super::validate::HARMLESS) {
            *value = text.into();
        }
    }
    filled
}

/// What a tool answered, as JSON.
fn answered(answer: &PeerAnswer) -> Option<Value> {
    answer.structured.clone().or_else(|| serde_json::from_str(&answer.text).ok())
}

/// The id of the row that was just added: under the name that its taker asks for; else the `id` of what is called so or holds this run's text; else the answer's own.
/// Another object's `id` (its owner's, say) would take away what was there before.
fn id_of(answer: &Value, take: &PeerTool, text: &str) -> Option<Value> {
    let id = |one: &Value, name: &str| one.get(name).filter(|id| id.is_string() || id.is_number()).cloned();
    let parts = || answer.as_object().into_iter().flatten();
    let wanted = arguments(take, "", None);
    let mut names = wanted.keys().filter(|name| name.to_lowercase().ends_with("id") && !is_owner(name));
    names
        .find_map(|name| id(answer, name).or_else(|| parts().find_map(|(_, part)| id(part, name))))
        .or_else(|| {
            let about = words(&take.name);
            parts()
                .filter(|(key, part)| words(key).iter().any(|word| about.contains(word)) || part.to_string().contains(text))
                .find_map(|(_, part)| id(part, "id"))
        })
        .or_else(|| id(answer, "id"))
}

impl Line<'_> {
    async fn call(&self, tool: &PeerTool, arguments: Map<String, Value>) -> Result<PeerAnswer, Failure> {
        self.peer.call(self.local, self.host, &self.facts.path, &tool.name, arguments, self.patience).await
    }

    /// Adds, reads back, takes away, and looks that it is gone. `text` is this run's own.
    pub(super) async fn travel(&self, trip: Trip<'_>, text: &str) -> Check {
        let (add, list, take) = (&trip.add.name, &trip.list.name, &trip.take.name);
        let probed = format!("{add}, {list}, {take}, {list}: a row is added, read back and taken away");
        let at = format!("MCP {}{}", self.host, self.facts.path);
        let mut told = Vec::new();
        let seen = |told: &[String]| vec![Evidence::new(Source::Probe, at.clone(), &crate::secret::plain(&told.join("; "), 400))];
        let added = match self.call(trip.add, arguments(trip.add, text, None)).await {
            Ok(added) if !added.is_error => added,
            // Its arguments were made up: another row may be one that the application takes.
            Ok(refused) => {
                let why = format!("{add} does not take a row that was made up: {}", crate::secret::plain(&refused.text, 200));
                return Check::not_run("validation.mcp_write", probed, why).optional();
            }
            Err(failure) => return Check::fail("validation.mcp_write", probed, failure.to_string(), vec![]),
        };
        told.push(format!("{add} answered {}", added.text));
        let holds = async || match self.call(trip.list, arguments(trip.list, text, None)).await {
            Ok(answer) if !answer.is_error => Ok(answer.text.contains(text) || answer.structured.is_some_and(|whole| whole.to_string().contains(text))),
            Ok(answer) => Err(answer.text),
            Err(failure) => Err(failure.to_string()),
        };
        let back = holds().await;
        told.push(format!("{list}: {}", if back == Ok(true) { "it is there" } else { "it is not there" }));
        let id = answered(&added).and_then(|answer| id_of(&answer, trip.take, text));
        let taken = match &id {
            None => Err(format!("{add} names no id by which {take} could take it away")),
            Some(_) => match self.call(trip.take, arguments(trip.take, text, id.as_ref())).await {
                Ok(answer) if !answer.is_error => Ok(()),
                Ok(answer) => Err(format!("{take}: {}", answer.text)),
                Err(failure) => Err(failure.to_string()),
            },
        };
        if let Err(why) = taken {
            return Check::fail("validation.mcp_write", probed, format!("the row {text} stays: {why}"), seen(&told));
        }
        told.push(format!("{take} took it away"));
        match (back, holds().await) {
            (Ok(true), Ok(false)) => {
                Check::pass("validation.mcp_write", probed, Evidence::new(Source::Probe, at.clone(), &crate::secret::plain(&told.join("; "), 400)))
            }
            (Ok(false), _) => Check::fail("validation.mcp_write", probed, format!("{list} does not show what {add} added"), seen(&told)),
            (Ok(true), Ok(true)) => Check::fail("validation.mcp_write", probed, format!("{list} still shows what {take} took away"), seen(&told)),
            (Err(why), _) | (_, Err(why)) => Check::fail("validation.mcp_write", probed, format!("{list}: {why}"), seen(&told)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Outcome;
    use serde_json::json;
    use std::sync::Mutex;

    fn tool(name: &str, read_only: bool, required: Value) -> PeerTool {
        let schema = json!({ "type": "object", "required": required, "properties": { "user_id": { "type": "string" }, "title": { "type": "string" }, "task_id": { "type": "integer" } } });
        let Value::Object(input_schema) = schema else { unreachable!() };
        PeerTool { name: name.into(), description: String::new(), read_only, input_schema, output_schema: None }
    }

    fn tools() -> Vec<PeerTool> {
        vec![
            tool("complete_task", false, json!(["user_id", "task_id"])),
            tool("add_task", false, json!(["user_id", "title"])),
            tool("list_tasks", true, json!(["user_id"])),
            tool("delete_task", false, json!(["user_id", "task_id"])),
        ]
    }

    /// A server of one list; `fault` names what it does wrong.
    struct Server(&'static str, Mutex<Vec<(i64, String)>>);

    #[async_trait::async_trait]
    impl McpPeer for Server {
        async fn meet(&self, _: SocketAddr, _: &str, _: Option<&str>, _: Duration) -> Result<PeerFacts, Failure> {
            unreachable!()
        }
        async fn call(&self, _: SocketAddr, _: &str, _: &str, tool: &str, arguments: Map<String, Value>, _: Duration) -> Result<PeerAnswer, Failure> {
            let Self(fault, rows) = self;
            let mut rows = rows.lock().unwrap();
            assert_eq!(arguments["user_id"], NOBODY);
            let structured = match tool {
                "add_task" if *fault == "refuses" => None,
                "add_task" => {
                    if *fault != "forgets" {
                        rows.push((7, arguments["title"].as_str().unwrap().to_owned()));
                    }
                    Some(if *fault == "nameless" { json!({ "ok": true }) } else { json!({ "task": { "id": 7 } }) })
                }
                "list_tasks" => Some(json!(*rows)),
                "delete_task" => {
                    assert_eq!(arguments["task_id"], 7);
                    if *fault != "keeps" {
                        rows.clear();
                    }
                    Some(json!({ "deleted": true }))
                }
                other => panic!("nobody may call {other}"),
            };
            Ok(PeerAnswer { is_error: structured.is_none(), text: "said".into(), structured, elapsed: Duration::ZERO })
        }
    }

    #[tokio::test]
    async fn a_row_is_added_read_back_and_taken_away() {
        let check = async |fault: &'static str, expect: Outcome, why: &str| {
            let server = Server(fault, Mutex::default());
            let facts = PeerFacts {
                name: String::new(),
                version: String::new(),
                protocol: String::new(),
                path: "/mcp".into(),
                host_header: String::new(),
                tools: tools(),
            };
            let line = Line { peer: &server, local: ([127, 0, 0, 1], 1).into(), host: "mcp:1", facts: &facts, patience: Duration::from_secs(1) };
            let check = line.travel(planned(&facts.tools).unwrap(), "landfall-0123456789ab").await;
            assert_eq!(check.outcome, expect, "{fault}: {check:?}");
            assert!(check.reason.contains(why), "{fault}: {check:?}");
            server.1.into_inner().unwrap().len()
        };
        assert_eq!(check("", Outcome::Pass, "").await, 0);
        assert_eq!(check("refuses", Outcome::NotRun, "made up").await, 0);
        assert_eq!(check("forgets", Outcome::Fail, "does not show").await, 0);
        assert_eq!(check("nameless", Outcome::Fail, "stays").await, 1);
        assert_eq!(check("keeps", Outcome::Fail, "still shows").await, 1);
    }

    #[test]
    fn only_the_row_that_was_added_is_taken_away() {
        let take = tool("delete_task", false, json!(["user_id", "task_id"]));
        let check = |answer: Value, expect: Option<i64>| assert_eq!(id_of(&answer, &take, "landfall-1").and_then(|id| id.as_i64()), expect, "{answer}");
        check(json!({ "task_id": 7, "status": "created" }), Some(7));
        check(json!({ "result": { "task_id": 7 } }), Some(7));
        check(json!({ "user_id": 5, "task_id": 7 }), Some(7));
        check(json!({ "id": 7, "title": "landfall-1" }), Some(7));
        check(json!({ "user": { "id": 5 }, "task": { "id": 7 } }), Some(7));
        check(json!({ "owner": { "id": 5 }, "item": { "id": 7, "title": "landfall-1" } }), Some(7));
        check(json!({ "id": 1, "task": { "id": 7 } }), Some(7));
        check(json!({ "user": { "id": 5 }, "ok": true }), None);
        check(json!([{ "id": 5 }]), None);
    }

    #[test]
    fn only_tools_that_belong_together_are_taken() {
        let names = |tools: &[PeerTool]| planned(tools).map(|trip| [trip.add, trip.list, trip.take].map(|tool| tool.name.clone()));
        assert_eq!(names(&tools()), Some(["add_task", "list_tasks", "delete_task"].map(str::to_owned)));
        let camel = [tool("createNote", false, json!([])), tool("getNotes", true, json!([])), tool("removeNote", false, json!([]))];
        assert!(names(&camel).is_some());
        for missing in ["add_task", "list_tasks", "delete_task"] {
            let less: Vec<_> = tools().into_iter().filter(|tool| tool.name != missing).collect();
            assert_eq!(names(&less), None, "without {missing}");
        }
        let mut other = tools();
        other[3].name = "delete_user".into();
        assert_eq!(names(&other), None);
        other = tools();
        other[2].read_only = false;
        assert_eq!(names(&other), None, "what may write is not taken for a look");
    }
}
