//! A smoke test of landfall.toml: its requests one after the other, each filled with what earlier answers gave; what was captured is never shown.

use crate::config::{Smoke, Step};
use crate::evidence::{Check, Evidence, Source};
use crate::failure::{Code, Failure};
use crate::probe::{HttpAsk, HttpSeen};
use crate::secret::Secret;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The values that steps may name: `{name}`.
struct Values(BTreeMap<String, Secret>);

impl Values {
    /// `{unique}` alone: another text in each run, so that what a test writes can be told from what was there.
    fn fresh() -> Result<Self, Failure> {
        Ok(Self(BTreeMap::from([("unique".to_owned(), Secret::new(format!("landfall-{}", crate::secret::noise::<6>()?)))])))
    }

    /// The text with every known `{name}` replaced; braces around anything else stay.
    fn fill(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            match after.split_once('}').and_then(|(name, behind)| Some((self.0.get(name)?, behind))) {
                Some((value, behind)) => {
                    out.push_str(value.reveal());
                    rest = behind;
                }
                None => {
                    out.push('{');
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// Keeps what the step wants of the answer; the JSON pointer that leads nowhere is the error.
    fn capture(&mut self, step: &Step, body: &str) -> Result<(), String> {
        if step.capture.is_empty() {
            return Ok(());
        }
        let body: Value = serde_json::from_str(body).map_err(|_| "the answer is no JSON, so nothing can be captured".to_owned())?;
        for (name, pointer) in &step.capture {
            let value = match body.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                Some(_) | None => return Err(format!("the answer has no text or number at {pointer} for {name}")),
            };
            self.0.insert(name.clone(), Secret::new(value));
        }
        Ok(())
    }

    /// The text without what was captured.
    fn hide(&self, text: &str) -> String {
        let hide = |text: String, value: &Secret| if value.reveal().chars().count() < 6 { text } else { text.replace(value.reveal(), "***") };
        self.0.iter().filter(|(name, _)| name.as_str() != "unique").fold(text.to_owned(), |text, (_, value)| hide(text, value))
    }

    fn ask(&self, step: &Step, method: &str, path: &str, host: &str, patience: Duration) -> HttpAsk {
        let mut headers: BTreeMap<String, Secret> = step.header.iter().map(|(name, value)| (name.clone(), Secret::new(self.fill(value)))).collect();
        if step.json.is_some() && !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
            headers.insert("Content-Type".to_owned(), Secret::new("application/json"));
        }
        HttpAsk {
            method: method.to_owned(),
            headers,
            body: step.json.as_ref().map(|body| Secret::new(self.fill(body))),
            ..HttpAsk::get(&self.fill(path), host, patience)
        }
    }
}

/// How a request reaches the application.
#[async_trait::async_trait]
pub(super) trait Way: Send + Sync {
    async fn send(&self, ask: &HttpAsk) -> Result<HttpSeen, Failure>;
}

/// Sends the requests of a smoke test in their order and judges each; the first that is not answered as expected ends it.
pub(super) async fn follow(smoke: &Smoke, host: &str, patience: Duration, way: &dyn Way) -> Check {
    let id = format!("validation.smoke.{}", smoke.name);
    let steps = smoke.requests();
    let probed = match steps.as_slice() {
        [only] => format!("{} answers {}", only.line(), only.expect),
        several => format!("{} requests in order: {}", several.len(), several.iter().map(Step::line).collect::<Vec<_>>().join(", ")),
    };
    let mut values = match Values::fresh() {
        Ok(values) => values,
        Err(failure) => return Check::not_run(&id, probed, failure.to_string()),
    };
    let mut told = Vec::new();
    for step in &steps {
        let line = step.line();
        let Some((method, path)) = step.method() else { return Check::fail(&id, probed, "a request has no method", vec![]) };
        let seen = match way.send(&values.ask(step, method, path, host, patience)).await {
            Ok(seen) => seen,
            Err(failure) if failure.code == Code::ClusterUnreachable => return Check::not_run(&id, probed, failure.to_string()),
            Err(failure) => {
                return Check::fail(&id, probed, format!("{line}: {}", failure.message), vec![Evidence::new(Source::Probe, line, &failure.to_string())]);
            }
        };
        let body = seen.body.reveal();
        let text = if step.capture.is_empty() { values.hide(&seen.text(400)) } else { "(not shown: values are captured from this answer)".to_owned() };
        let shown = vec![Evidence::new(Source::Probe, line.clone(), &text)];
        if seen.status != step.expect {
            return Check::fail(&id, probed, format!("{line} answered {}, expected {}", seen.status, step.expect), shown);
        }
        if let Some(wanted) = &step.contains
            && !body.contains(&values.fill(wanted))
        {
            return Check::fail(&id, probed, format!("{line} answered without {wanted}"), shown);
        }
        let elapsed = seen.elapsed.as_millis();
        if let Err(why) = values.capture(step, body) {
            return Check::fail(&id, probed, format!("{line}: {why}"), shown);
        }
        told.push(format!("{line}: {} in {elapsed} ms", seen.status));
    }
    Check::pass(&id, probed, Evidence::new(Source::Probe, host, &told.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::evidence::Outcome;
    use std::sync::Mutex;

    const STORY: &str = r#"
schema = 1
[[smoke]]
name = "tasks"
service = "api"
writes = true
steps = [
  { post = "/login", json = '{"name": "landfall"}', expect = 200, capture = { token = "/access/token" } },
  { post = "/tasks", header = { Authorization = "Bearer {token}" }, json = '{"title": "{unique}"}', expect = 201, capture = { id = "/id" } },
  { get = "/tasks", header = { Authorization = "Bearer {token}" }, expect = 200, contains = "{unique}" },
  { delete = "/tasks/{id}", header = { Authorization = "Bearer {token}" }, expect = 204 },
]
"#;

    /// A small application with a login and a list of tasks; `fault` names what it does wrong.
    struct App {
        fault: &'static str,
        tasks: Mutex<Vec<String>>,
    }

    impl App {
        fn answer(&self, ask: &HttpAsk) -> (u16, String) {
            let header = ask.headers.get("Authorization").map(|value| value.reveal().to_owned());
            if ask.method == "POST" && ask.path == "/login" {
                let token = if self.fault == "no token" { "" } else { r#""token": "a-token-that-nobody-sees""# };
                return (200, format!("{{\"access\": {{{token}}}}}"));
            }
            if header.as_deref() != Some("Bearer a-token-that-nobody-sees") {
                return (401, "who are you?".into());
            }
            let mut tasks = self.tasks.lock().unwrap();
            match (ask.method.as_str(), ask.path.as_str()) {
                ("POST", "/tasks") => {
                    assert_eq!(ask.headers["Content-Type"].reveal(), "application/json");
                    let body: Value = serde_json::from_str(ask.body.as_ref().unwrap().reveal()).unwrap();
                    if self.fault != "forgets" {
                        tasks.push(body["title"].as_str().unwrap().to_owned());
                    }
                    (201, r#"{"id": 7}"#.into())
                }
                ("GET", "/tasks") if self.fault == "leaks" => (500, "token a-token-that-nobody-sees".into()),
                ("GET", "/tasks") => (200, serde_json::to_string(&*tasks).unwrap()),
                ("DELETE", "/tasks/7") => {
                    tasks.clear();
                    (204, String::new())
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[async_trait::async_trait]
    impl Way for App {
        async fn send(&self, ask: &HttpAsk) -> Result<HttpSeen, Failure> {
            let (status, body) = self.answer(ask);
            Ok(HttpSeen { status, elapsed: Duration::from_millis(3), content_type: String::new(), body: Secret::new(body) })
        }
    }

    async fn check(fault: &'static str) -> (Check, App) {
        let app = App { fault, tasks: Mutex::new(Vec::new()) };
        let smoke = Config::parse(STORY).unwrap().smoke.remove(0);
        let check = follow(&smoke, "api", Duration::from_secs(1), &app).await;
        (check, app)
    }

    #[tokio::test]
    async fn what_an_answer_gives_is_used_by_the_next_request_and_cleaned_up() {
        let (check, app) = check("").await;
        assert_eq!(check.outcome, Outcome::Pass, "{check:?}");
        assert_eq!(check.evidence[0].text, "POST /login: 200 in 3 ms; POST /tasks: 201 in 3 ms; GET /tasks: 200 in 3 ms; DELETE /tasks/{id}: 204 in 3 ms");
        assert!(app.tasks.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_first_request_that_is_answered_otherwise_fails_the_test() {
        for (fault, expect) in [
            ("no token", "no text or number at /access/token for token"),
            ("forgets", "GET /tasks answered without {unique}"),
            ("leaks", "GET /tasks answered 500, expected 200"),
        ] {
            let (check, _) = check(fault).await;
            assert_eq!(check.outcome, Outcome::Fail, "{fault}");
            assert!(check.reason.contains(expect), "{fault}: {}", check.reason);
            assert!(!format!("{check:?}").contains("a-token-that-nobody-sees"), "{check:?}");
        }
    }

    #[test]
    fn only_known_names_are_filled_in() {
        let values = Values(BTreeMap::from([("id".to_owned(), Secret::new("7"))]));
        assert_eq!(values.fill(r#"{"task": "{id}", "other": "{none}"} {"#), r#"{"task": "7", "other": "{none}"} {"#);
    }
}
