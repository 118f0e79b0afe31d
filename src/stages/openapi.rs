//! Smoke tests proposed from an OpenAPI document: routes that answer anybody, the way from an account to a kept row, and that way by a chat message. Nobody runs a proposal unasked.

use crate::config::{ChatModel, Smoke, Step};
use crate::names::ServiceName;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most routes of a proposal.
const ROUTES: usize = 8;
/// How deep an example of a schema goes.
const DEEP: usize = 4;
/// Where a framework serves its document, by the dependency that does so.
const SERVED: [(&str, &str); 3] = [("fastapi", "/openapi.json"), ("litestar", "/schema/openapi.json"), ("@nestjs/swagger", "/api-json")];

/// Where the service serves its document, where one of its dependencies does that.
pub fn served_at(facts: &crate::survey::Service) -> Option<&'static str> {
    SERVED.iter().find(|(dependency, _)| facts.dependencies.contains_key(*dependency)).map(|(_, path)| *path)
}

/// What a document allows to propose; nothing where the text is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposals {
    /// Reads alone.
    pub routes: Option<Smoke>,
    /// Adds a row and finds it again.
    pub story: Option<Smoke>,
    /// As the story, but the row is added by a chatbot that was told to.
    pub chat: Option<Smoke>,
}

impl Proposals {
    /// As landfall.toml would hold them; empty where there are none.
    pub fn text(&self) -> String {
        [&self.routes, &self.story, &self.chat].into_iter().flatten().map(table).collect::<Vec<_>>().join("\n")
    }
}

/// Reads a document of OpenAPI 3.
pub fn propose(service: &ServiceName, document: &str) -> Proposals {
    let Ok(whole) = serde_json::from_str::<Value>(document) else { return Proposals::default() };
    if !whole.get("openapi").and_then(Value::as_str).is_some_and(|version| version.starts_with('3')) {
        return Proposals::default();
    }
    let document = Document { whole: &whole, operations: operations(&whole) };
    let named = |what: &str, steps: Vec<Step>| Smoke {
        name: format!("{service}-{what}"),
        service: service.clone(),
        get: None,
        post: None,
        json: None,
        header: BTreeMap::new(),
        expect: None,
        writes: what != "routes",
        chat: (what == "chat").then_some(ChatModel::Scripted),
        steps,
    };
    let routes = document.open_routes();
    Proposals {
        routes: (!routes.is_empty()).then(|| named("routes", routes)),
        story: document.story().map(|steps| named("story", steps)),
        chat: document.chat().map(|steps| named("chat", steps)),
    }
}

struct Document<'a> {
    whole: &'a Value,
    /// In the order of their paths.
    operations: Vec<Operation<'a>>,
}

#[derive(Clone, Copy)]
struct Operation<'a> {
    method: &'static str,
    path: &'a str,
    about: &'a Value,
}

/// What is posted to a path and listed there.
struct Collection<'a> {
    add: Operation<'a>,
    body: Value,
    list: Operation<'a>,
    /// Takes one row away: its path names the row last.
    delete: Option<Operation<'a>>,
}

/// The requests that make somebody known, and what their last answer gives to later ones.
#[derive(Default)]
struct Account {
    steps: Vec<Step>,
    header: BTreeMap<String, String>,
    /// The properties of that answer, as later paths may name them.
    gives: Option<Value>,
}

fn operations(whole: &Value) -> Vec<Operation<'_>> {
    let mut found = Vec::new();
    for (path, item) in whole.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for method in ["get", "post", "delete"] {
            if let Some(about) = item.get(method) {
                found.push(Operation { method, path, about });
            }
        }
    }
    found.sort_by_key(|one| one.path);
    found
}

impl<'a> Document<'a> {
    fn at(&self, method: &str, path: &str) -> Option<Operation<'a>> {
        self.operations.iter().find(|one| one.method == method && one.path == path).copied()
    }

    /// GETs that need no word and no value.
    fn open_routes(&self) -> Vec<Step> {
        let open = |one: &&Operation<'_>| one.method == "get" && !one.path.contains('{') && !self.guarded(one) && !self.demands(one);
        self.operations.iter().filter(open).take(ROUTES).map(|one| step(one, one.path)).collect()
    }

    fn story(&self) -> Option<Vec<Step>> {
        let collection = self.collection()?;
        let account = self.account_for(&collection)?;
        let path = self.filled(collection.add.path, account.gives.as_ref())?;
        let (_, captures) = self.captures(&[collection.add.path], &account)?;
        let mut add = Step { json: Some(collection.body.to_string()), header: account.header.clone(), ..step(&collection.add, &path) };
        let row = self.answer(&collection.add).filter(|row| property(row, "id").is_some());
        let taken = collection.delete.filter(|_| row.is_some());
        if taken.is_some() {
            add.capture.insert("row".to_owned(), "/id".to_owned());
        }
        let list = Step { contains: Some("{unique}".to_owned()), header: account.header.clone(), ..step(&collection.list, &path) };
        let mut steps = with_captures(account.steps, captures);
        steps.extend([add, list]);
        steps.extend(taken.map(|delete| Step { header: account.header.clone(), ..step(&delete, &format!("{path}/{{row}}")) }));
        Some(steps)
    }

    fn chat(&self) -> Option<Vec<Step>> {
        let (chat, body) = self.operations.iter().find_map(|one| Some((*one, self.message(one)?)))?;
        let collection = self.collection()?;
        let account = self.account_for(&collection)?;
        let (gives, captures) = self.captures(&[chat.path, collection.list.path], &account)?;
        let said = Step { json: Some(body.to_string()), header: account.header.clone(), ..step(&chat, &self.filled(chat.path, gives)?) };
        let path = self.filled(collection.list.path, gives)?;
        let mut list = Step { contains: Some("{unique}".to_owned()), header: account.header.clone(), ..step(&collection.list, &path) };
        // Only a fresh account is sure to have one row.
        let first = self.answer(&collection.list).filter(|_| !account.steps.is_empty()).and_then(|listed| self.first_id(&listed));
        let taken = collection.delete.filter(|_| first.is_some());
        if let (Some(first), Some(_)) = (first, taken) {
            list.capture.insert("row".to_owned(), first);
        }
        let mut steps = with_captures(account.steps, captures);
        steps.extend([said, list]);
        steps.extend(taken.map(|delete| Step { header: account.header.clone(), ..step(&delete, &format!("{path}/{{row}}")) }));
        Some(steps)
    }

    /// The first path to which a text of ours can be posted and which lists what it holds.
    fn collection(&self) -> Option<Collection<'a>> {
        self.operations.iter().filter(|one| one.method == "post" && account_word(one).is_none() && self.message(one).is_none()).find_map(|add| {
            let body = self.example(&self.body(add)?, "", 0)?;
            let list = self.at("get", add.path)?;
            let row = |one: &&Operation<'_>| {
                one.method == "delete" && one.path.strip_prefix(add.path).is_some_and(|rest| rest.starts_with("/{") && rest.matches('/').count() == 1)
            };
            let delete = self.operations.iter().find(row).copied();
            (body.to_string().contains("{unique}") && !self.demands(&list)).then_some(Collection { add: *add, body, list, delete })
        })
    }

    /// The body that tells a chatbot to add something, where the operation takes a message.
    fn message(&self, one: &Operation<'_>) -> Option<Value> {
        const ROUTES: [&str; 5] = ["chat", "message", "assistant", "agent", "ask"];
        const TEXTS: [&str; 7] = ["message", "prompt", "query", "question", "text", "content", "input"];
        let last = last_word(one.path);
        if one.method != "post" || !ROUTES.iter().any(|word| last.contains(word)) {
            return None;
        }
        let schema = self.body(one)?;
        let mut body = self.example(&schema, "", 0)?;
        let name = TEXTS.into_iter().find(|name| property(&schema, name).is_some_and(|about| kind(&self.resolved(about)) == "string"))?;
        body.as_object_mut()?.insert(name.to_owned(), "Please add a task called {unique}".into());
        Some(body)
    }

    /// Whoever may use the collection; none where it is guarded and no operation gives a token.
    fn account_for(&self, collection: &Collection<'_>) -> Option<Account> {
        if !self.guarded(&collection.add) {
            return Some(Account::default());
        }
        let called = |wanted: &str| self.operations.iter().find(|one| account_word(one) == Some(wanted));
        let filled = |one: &Operation<'_>| self.example(&self.body(one)?, "", 0).map(|body| Step { json: Some(body.to_string()), ..step(one, one.path) });
        let token = |one: &Operation<'_>| {
            let answer = self.answer(one)?;
            ["access_token", "accessToken", "token", "jwt"].into_iter().find(|name| property(&answer, name).is_some()).map(|name| (format!("/{name}"), answer))
        };
        let (signup, login) = (called("signup"), called("login"));
        let given = login.and_then(|one| Some((one, token(one)?))).or_else(|| signup.and_then(|one| Some((one, token(one)?))));
        let (last, (pointer, answer)) = given?;
        let mut steps = Vec::new();
        if let Some(signup) = signup.filter(|signup| signup.path != last.path) {
            steps.push(filled(signup)?);
        }
        let mut asks = filled(last)?;
        asks.capture.insert("token".to_owned(), pointer);
        steps.push(asks);
        Some(Account { steps, header: BTreeMap::from([("Authorization".to_owned(), "Bearer {token}".to_owned())]), gives: Some(answer) })
    }

    /// What the account's last answer must give so that these paths can be filled; none where it does not.
    fn captures<'g>(&self, paths: &[&str], account: &'g Account) -> Option<(Option<&'g Value>, BTreeMap<String, String>)> {
        let names = paths.iter().flat_map(|path| parameters(path));
        let gives = account.gives.as_ref();
        let captures: Option<BTreeMap<_, _>> = names.map(|name| Some((word(name), self.given(gives?, name)?))).collect();
        Some((gives, captures?))
    }

    /// A path whose parameters are named as what is captured for them; none where the answer gives one of them not.
    fn filled(&self, path: &str, gives: Option<&Value>) -> Option<String> {
        let mut out = path.to_owned();
        for name in parameters(path) {
            self.given(gives?, name)?;
            out = out.replace(&format!("{{{name}}}"), &format!("{{{}}}", word(name)));
        }
        Some(out)
    }

    /// Where an answer holds what a path calls `user_id`: under that name, as `user.id`, or as its own id.
    fn given(&self, answer: &Value, name: &str) -> Option<String> {
        let wanted = folded(name);
        let properties = answer.get("properties")?.as_object()?;
        if let Some(found) = properties.keys().find(|known| folded(known) == wanted) {
            return Some(format!("/{found}"));
        }
        let owner = wanted.strip_suffix("id").filter(|owner| !owner.is_empty())?;
        let inner = properties.iter().find(|(known, about)| folded(known) == owner && property(&self.resolved(about), "id").is_some());
        inner.map(|(known, _)| format!("/{known}/id")).or_else(|| (owner == "user" && properties.contains_key("id")).then(|| "/id".to_owned()))
    }

    /// The JSON pointer of the first row's id in a list, bare or under one name.
    fn first_id(&self, listed: &Value) -> Option<String> {
        let has_id = |list: &Value| list.get("items").is_some_and(|row| property(&self.resolved(row), "id").is_some());
        if has_id(listed) {
            return Some("/0/id".to_owned());
        }
        let properties = listed.get("properties")?.as_object()?;
        properties.iter().find(|(_, about)| has_id(&self.resolved(about))).map(|(name, _)| format!("/{name}/0/id"))
    }

    /// True where it wants to know who asks.
    fn guarded(&self, one: &Operation<'_>) -> bool {
        let wants = |security: &Value| security.as_array().is_some_and(|all| all.iter().any(|one| one.as_object().is_some_and(|one| !one.is_empty())));
        one.about.get("security").or_else(|| self.whole.get("security")).is_some_and(wants)
    }

    /// True where a parameter outside the path must be given.
    fn demands(&self, one: &Operation<'_>) -> bool {
        let parameters = one.about.get("parameters").and_then(Value::as_array).into_iter().flatten();
        parameters
            .map(|about| self.resolved(about))
            .any(|about| about.get("required") == Some(&Value::Bool(true)) && about.get("in").and_then(Value::as_str) != Some("path"))
    }

    fn body(&self, one: &Operation<'_>) -> Option<Value> {
        one.about.pointer("/requestBody/content/application~1json/schema").map(|schema| self.resolved(schema))
    }

    fn answer(&self, one: &Operation<'_>) -> Option<Value> {
        let place = format!("/responses/{}/content/application~1json/schema", success(one));
        one.about.pointer(&place).map(|schema| self.resolved(schema))
    }

    /// A schema behind its references.
    fn resolved(&self, schema: &Value) -> Value {
        let mut at = schema;
        for _ in 0..8 {
            let Some(next) = at.get("$ref").and_then(Value::as_str).and_then(|to| self.whole.pointer(to.strip_prefix('#')?)) else { break };
            at = next;
        }
        at.clone()
    }

    /// A value of this schema: what is required, with texts that no earlier run has written. None where a value cannot be made up.
    fn example(&self, schema: &Value, name: &str, depth: usize) -> Option<Value> {
        if depth > DEEP {
            return None;
        }
        let schema = self.resolved(schema);
        if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|all| all.first()) {
            return Some(first.clone());
        }
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        let longest = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
        Some(match kind(&schema) {
            "object" => {
                let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
                let mut made = Map::new();
                for name in required {
                    made.insert(name.to_owned(), self.example(property(&schema, name)?, name, depth + 1)?);
                }
                Value::Object(made)
            }
            "string" if format == "email" || name.to_lowercase().contains("email") => "{unique}@example.org".into(),
            // A text of this run has 21 characters; a pattern that is not an address's is anybody's guess.
            "string" if matches!(format, "" | "password") && longest >= 21 && schema.get("pattern").is_none() => "{unique}".into(),
            "integer" => schema.get("minimum").and_then(Value::as_i64).unwrap_or(1).into(),
            "number" => 1.5.into(),
            "boolean" => false.into(),
            "array" if schema.get("minItems").is_none() => Value::Array(Vec::new()),
            _ => return None,
        })
    }
}

/// `signup` or `login` for an operation that makes somebody known.
fn account_word(one: &Operation<'_>) -> Option<&'static str> {
    let last = last_word(one.path).replace(['-', '_'], "");
    let is = |words: &[&str]| one.method == "post" && words.contains(&last.as_str());
    if is(&["register", "signup"]) {
        Some("signup")
    } else if is(&["login", "signin", "token"]) {
        Some("login")
    } else {
        None
    }
}

fn last_word(path: &str) -> String {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_lowercase()
}

fn kind(schema: &Value) -> &str {
    schema.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn property<'v>(schema: &'v Value, name: &str) -> Option<&'v Value> {
    schema.get("properties")?.get(name)
}

fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name)
}

fn folded(name: &str) -> String {
    name.replace(['_', '-'], "").to_lowercase()
}

/// A parameter's name as a step may name it.
fn word(name: &str) -> String {
    name.replace('-', "_")
}

/// The lowest success that is documented.
fn success(one: &Operation<'_>) -> u16 {
    let codes = one.about.get("responses").and_then(Value::as_object).into_iter().flatten().filter_map(|(code, _)| code.parse().ok());
    codes.filter(|code| (200..300).contains(code)).min().unwrap_or(200)
}

fn step(one: &Operation<'_>, path: &str) -> Step {
    let (path, expect) = (Some(path.to_owned()), success(one));
    match one.method {
        "post" => Step { post: path, expect, ..Step::default() },
        "delete" => Step { delete: path, expect, ..Step::default() },
        _ => Step { get: path, expect, ..Step::default() },
    }
}

/// The account's last request keeps what later paths name.
fn with_captures(mut steps: Vec<Step>, captures: BTreeMap<String, String>) -> Vec<Step> {
    if let Some(last) = steps.last_mut() {
        last.capture.extend(captures);
    }
    steps
}

/// A `[[smoke]]` table, one line for each request.
fn table(smoke: &Smoke) -> String {
    let mut text = format!("[[smoke]]\nname = {}\nservice = {}\n", quoted(&smoke.name), quoted(smoke.service.as_str()));
    if smoke.writes {
        text.push_str("writes = true\n");
    }
    match smoke.chat {
        Some(ChatModel::Scripted) => text.push_str("chat = \"scripted\"\n"),
        Some(ChatModel::Own) => text.push_str("chat = \"own\"\n"),
        None => {}
    }
    text.push_str("steps = [\n");
    for step in &smoke.steps {
        let (method, path) = step.method().unwrap_or(("GET", "/"));
        let _ = write!(text, "  {{ {} = {}", method.to_lowercase(), quoted(path));
        let pairs = |pairs: &BTreeMap<String, String>| pairs.iter().map(|(name, value)| format!("{name} = {}", quoted(value))).collect::<Vec<_>>().join(", ");
        if !step.header.is_empty() {
            let _ = write!(text, ", header = {{ {} }}", pairs(&step.header));
        }
        if let Some(body) = &step.json {
            let _ = write!(text, ", json = {}", quoted(body));
        }
        let _ = write!(text, ", expect = {}", step.expect);
        if let Some(wanted) = &step.contains {
            let _ = write!(text, ", contains = {}", quoted(wanted));
        }
        if !step.capture.is_empty() {
            let _ = write!(text, ", capture = {{ {} }}", pairs(&step.capture));
        }
        text.push_str(" },\n");
    }
    text.push_str("]\n");
    text
}

/// A text as TOML has it: as it is where quotes are in it and none of the other kind.
fn quoted(text: &str) -> String {
    if text.contains('"') && !text.contains(['\'', '\n', '\r']) { format!("'{text}'") } else { toml::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use serde_json::json;

    /// A list of tasks for each account, and a chatbot; as FastAPI describes them.
    fn document() -> Value {
        let account = json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Account" } } } });
        let token = json!({ "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Token" } } } } });
        let bearer = json!([{ "HTTPBearer": [] }]);
        let task = json!({ "$ref": "#/components/schemas/Task" });
        json!({
            "openapi": "3.1.0",
            "paths": {
                "/health": { "get": { "responses": { "200": {} } } },
                "/search": { "get": { "parameters": [{ "name": "q", "in": "query", "required": true }], "responses": { "200": {} } } },
                "/auth/register": { "post": { "requestBody": account, "responses": { "201": {} } } },
                "/auth/login": { "post": { "requestBody": account, "responses": token } },
                "/api/{user_id}/chat": { "post": { "security": bearer, "requestBody": { "content": { "application/json": { "schema": {
                    "type": "object", "required": ["message"], "properties": { "message": { "type": "string", "maxLength": 4000 } } } } } }, "responses": { "200": {} } } },
                "/api/{user_id}/tasks": {
                    "get": { "security": bearer, "responses": { "200": { "content": { "application/json": { "schema": { "type": "array", "items": task } } } } } },
                    "post": { "security": bearer, "parameters": [{ "name": "user_id", "in": "path", "required": true }],
                        "requestBody": { "content": { "application/json": { "schema": { "type": "object", "required": ["title", "priority"], "properties": {
                            "title": { "type": "string" }, "priority": { "enum": ["low", "high"] }, "note": { "type": "string" } } } } } },
                        "responses": { "201": { "content": { "application/json": { "schema": task } } } } } },
                "/api/{user_id}/tasks/{task_id}": { "delete": { "security": bearer, "responses": { "204": {} } } },
            },
            "components": { "schemas": {
                "Account": { "type": "object", "required": ["email", "password"], "properties": {
                    "email": { "type": "string", "pattern": "^[^@]+@[^@]+$" }, "password": { "type": "string", "minLength": 8 } } },
                "Token": { "type": "object", "properties": { "access_token": { "type": "string" }, "user_id": { "type": "string" } } },
                "Task": { "type": "object", "properties": { "id": { "type": "integer" }, "title": { "type": "string" } } },
            } },
        })
    }

    fn proposed(document: &Value) -> Proposals {
        let proposals = propose(&ServiceName::parse("backend").unwrap(), &document.to_string());
        let text = proposals.text();
        let config = Config::parse(&format!("schema = 1\n{text}")).unwrap_or_else(|failure| panic!("{failure}: {text}"));
        let known: Vec<_> = [&proposals.routes, &proposals.story, &proposals.chat].into_iter().flatten().cloned().collect();
        assert_eq!(config.smoke, known, "landfall.toml says the same: {text}");
        proposals
    }

    fn lines(smoke: &Option<Smoke>) -> Vec<String> {
        smoke.iter().flat_map(|smoke| &smoke.steps).map(|step| format!("{} {}", step.line(), step.expect)).collect()
    }

    #[test]
    fn open_routes_a_story_and_a_chat_are_proposed_as_landfall_toml_has_them() {
        let proposals = proposed(&document());
        assert_eq!(lines(&proposals.routes), ["GET /health 200"]);
        let story = [
            "POST /auth/register 201",
            "POST /auth/login 200",
            "POST /api/{user_id}/tasks 201",
            "GET /api/{user_id}/tasks 200",
            "DELETE /api/{user_id}/tasks/{row} 204",
        ];
        assert_eq!(lines(&proposals.story), story);
        let chat = [
            "POST /auth/register 201",
            "POST /auth/login 200",
            "POST /api/{user_id}/chat 200",
            "GET /api/{user_id}/tasks 200",
            "DELETE /api/{user_id}/tasks/{row} 204",
        ];
        assert_eq!(lines(&proposals.chat), chat);
        let text = proposals.text();
        for expect in [
            r#"capture = { token = "/access_token", user_id = "/user_id" }"#,
            r#"header = { Authorization = "Bearer {token}" }"#,
            r#"json = '{"title":"{unique}","priority":"low"}'"#,
            r#"json = '{"message":"Please add a task called {unique}"}'"#,
            r#"contains = "{unique}", capture = { row = "/0/id" }"#,
        ] {
            assert!(text.contains(expect), "{expect}: {text}");
        }
    }

    #[test]
    fn what_nobody_guards_needs_no_account_and_is_not_cleaned_up_by_guess() {
        let mut document = document();
        let text = document.to_string().replace(r#""security":[{"HTTPBearer":[]}],"#, "").replace("/api/{user_id}/", "/api/");
        document = serde_json::from_str(&text).unwrap();
        let proposals = proposed(&document);
        assert_eq!(lines(&proposals.routes), ["GET /api/tasks 200", "GET /health 200"]);
        assert_eq!(lines(&proposals.story), ["POST /api/tasks 201", "GET /api/tasks 200", "DELETE /api/tasks/{row} 204"]);
        assert_eq!(lines(&proposals.chat), ["POST /api/chat 200", "GET /api/tasks 200"]);
    }

    #[test]
    fn nothing_is_made_up_where_the_document_does_not_say_it() {
        let none = propose(&ServiceName::parse("api").unwrap(), "<html>");
        assert_eq!((none.clone(), none.text().as_str()), (Proposals::default(), ""));
        assert_eq!(proposed(&json!({ "openapi": "3.1.0", "paths": {} })), Proposals::default());
        assert_eq!(proposed(&json!({ "swagger": "2.0", "paths": document()["paths"] })), Proposals::default());
        let check = |change: fn(&mut Value), what: &str| {
            let mut document = document();
            change(&mut document);
            let proposals = proposed(&document);
            assert_eq!((lines(&proposals.routes), proposals.story, proposals.chat), (vec!["GET /health 200".to_owned()], None, None), "{what}");
        };
        check(|document| drop(document["paths"].as_object_mut().unwrap().remove("/auth/login")), "nobody gives a token");
        check(
            |document| drop(document["components"]["schemas"]["Token"]["properties"].as_object_mut().unwrap().remove("user_id")),
            "nobody says who the user is",
        );
        check(|document| document["components"]["schemas"]["Account"]["properties"]["password"]["pattern"] = "^[A-Z]{9}$".into(), "a password of unknown form");
        let mut without = document();
        without["paths"].as_object_mut().unwrap().remove("/api/{user_id}/chat");
        assert_eq!(proposed(&without).chat, None);
    }
}
