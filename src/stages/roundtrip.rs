//! A write through an MCP server that leaves nothing behind: a row is added, read back and taken away again, each by a tool of the server.

use super::mcp::{Call, Line};
use crate::evidence::{Check, Evidence, Source};
use crate::failure::Failure;
use crate::ports::{PeerAnswer, PeerTool};
use serde_json::{Map, Value};

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

/// A visit's next answer; one that is missing was not given.
type Said = Option<Result<PeerAnswer, Failure>>;

/// What a tool did, or what it said instead.
fn done(said: Said) -> Result<PeerAnswer, String> {
    match said {
        Some(Ok(answer)) if !answer.is_error => Ok(answer),
        Some(Ok(answer)) => Err(answer.text),
        Some(Err(failure)) => Err(failure.to_string()),
        None => Err("no answer".to_owned()),
    }
}

/// True where what a tool shows holds this run's text.
fn shows(said: Said, text: &str) -> Result<bool, String> {
    done(said).map(|answer| answer.text.contains(text) || answer.structured.is_some_and(|whole| whole.to_string().contains(text)))
}

impl Trip<'_> {
    fn call(tool: &PeerTool, text: &str, id: Option<&Value>) -> Call {
        (tool.name.clone(), arguments(tool, text, id))
    }

    /// Adds and reads back in one visit, takes away and looks that it is gone in another. `text` is this run's own.
    pub(super) async fn travel(self, line: &dyn Line, text: &str) -> Check {
        const ID: &str = "validation.mcp_write";
        let (add, list, take) = (&self.add.name, &self.list.name, &self.take.name);
        let probed = format!("{add}, {list}, {take}, {list}: a row is added, read back and taken away");
        let mut told = Vec::new();
        let seen = |told: &[String]| Evidence::new(Source::Probe, line.place(), &crate::secret::plain(&told.join("; "), 400));
        let mut said = match line.visit(&[Self::call(self.add, text, None), Self::call(self.list, text, None)]).await {
            Ok(said) => said.into_iter(),
            Err(reason) => return Check::not_run(ID, probed, reason).optional(),
        };
        let added = match said.next() {
            Some(Ok(added)) if !added.is_error => added,
            // Its arguments were made up: another row may be one that the application takes.
            Some(Ok(refused)) => {
                let why = format!("{add} does not take a row that was made up: {}", crate::secret::plain(&refused.text, 200));
                return Check::not_run(ID, probed, why).optional();
            }
            unanswered => return Check::fail(ID, probed, format!("{add}: {}", done(unanswered).err().unwrap_or_default()), vec![]),
        };
        told.push(format!("{add} answered {}", added.text));
        let back = shows(said.next(), text);
        told.push(format!("{list}: {}", if back == Ok(true) { "it is there" } else { "it is not there" }));
        let stays = |why: String, told: &[String]| Check::fail(ID, probed.clone(), format!("the row {text} stays: {why}"), vec![seen(told)]);
        let Some(id) = answered(&added).and_then(|answer| id_of(&answer, self.take, text)) else {
            return stays(format!("{add} names no id by which {take} could take it away"), &told);
        };
        let mut said = match line.visit(&[Self::call(self.take, text, Some(&id)), Self::call(self.list, text, None)]).await {
            Ok(said) => said.into_iter(),
            Err(reason) => return stays(reason, &told),
        };
        let (taken, left) = (done(said.next()), shows(said.next(), text));
        if let Err(why) = taken {
            if (&back, &left, line.remembers()) == (&Ok(true), &Ok(false), false) {
                let why =
                    format!("the row is gone with the process that {add} was called in: the server keeps its rows in memory, and each visit starts it anew");
                return Check::not_run(ID, probed, why).optional();
            }
            return stays(format!("{take}: {why}"), &told);
        }
        told.push(format!("{take} took it away"));
        match (back, left) {
            (Ok(true), Ok(false)) => Check::pass(ID, probed.clone(), seen(&told)),
            (Ok(false), _) => Check::fail(ID, probed.clone(), format!("{list} does not show what {add} added"), vec![seen(&told)]),
            (Ok(true), Ok(true)) => Check::fail(ID, probed.clone(), format!("{list} still shows what {take} took away"), vec![seen(&told)]),
            (Err(why), _) | (_, Err(why)) => Check::fail(ID, probed.clone(), format!("{list}: {why}"), vec![seen(&told)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Outcome;
    use serde_json::json;
    use std::sync::Mutex;
    use std::time::Duration;

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

    impl Server {
        fn call(&self, tool: &str, arguments: &Map<String, Value>) -> Result<PeerAnswer, Failure> {
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
                "delete_task" if rows.is_empty() && *fault != "forgets" => None,
                "delete_task" if *fault == "clings" => None,
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

    #[async_trait::async_trait]
    impl Line for Server {
        async fn visit(&self, calls: &[Call]) -> Result<Vec<Result<PeerAnswer, Failure>>, String> {
            if self.0 == "away" {
                return Err("no interpreter".to_owned());
            }
            if !self.remembers() {
                self.1.lock().unwrap().clear();
            }
            Ok(calls.iter().map(|(tool, arguments)| self.call(tool, arguments)).collect())
        }
        fn remembers(&self) -> bool {
            self.0 != "dies"
        }
        fn place(&self) -> &'static str {
            "MCP"
        }
    }

    #[tokio::test]
    async fn a_row_is_added_read_back_and_taken_away() {
        let check = async |fault: &'static str, expect: Outcome, why: &str| {
            let server = Server(fault, Mutex::default());
            let tools = tools();
            let check = planned(&tools).unwrap().travel(&server, "landfall-0123456789ab").await;
            assert_eq!(check.outcome, expect, "{fault}: {check:?}");
            assert!(check.reason.contains(why), "{fault}: {check:?}");
            server.1.into_inner().unwrap().len()
        };
        assert_eq!(check("", Outcome::Pass, "").await, 0);
        assert_eq!(check("refuses", Outcome::NotRun, "made up").await, 0);
        assert_eq!(check("forgets", Outcome::Fail, "does not show").await, 0);
        assert_eq!(check("nameless", Outcome::Fail, "stays").await, 1);
        assert_eq!(check("clings", Outcome::Fail, "stays").await, 1);
        assert_eq!(check("keeps", Outcome::Fail, "still shows").await, 1);
        assert_eq!(check("dies", Outcome::NotRun, "in memory").await, 0);
        assert_eq!(check("away", Outcome::NotRun, "no interpreter").await, 0);
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
