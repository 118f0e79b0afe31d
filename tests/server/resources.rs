//! What can be read, completed and subscribed to, by clients of both eras.

use crate::lines::Lines;
use crate::shop::Shop;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

/// A shop with a settled generate_chart and a plan, and a server that speaks to it alone.
fn charted() -> (Shop, Lines, String) {
    let shop = Shop::new();
    let mut server = Lines::of(shop.program(&["serve", "--root", &shop.workspace()]), tempfile::tempdir().unwrap());
    server.open("2025-11-25");
    server.call("plan_deployment", json!({}));
    server.call("generate_chart", json!({}));
    let id = settled(&mut server, &json!({}));
    (shop, server, id)
}

/// Waits until the newest operation has settled; its id.
fn settled(server: &mut Lines, place: &Value) -> String {
    for _ in 0..40 {
        let status = server.call("operation_status", place.clone());
        let operation = &status["structuredContent"]["operation"];
        if status["structuredContent"]["status"] == "done" {
            return operation["id"].as_str().unwrap().to_owned();
        }
    }
    panic!("the operation does not settle");
}

fn read(server: &mut Lines, uri: &str) -> Value {
    let result = server.result("resources/read", json!({ "uri": uri }));
    assert_eq!(result["contents"][0]["uri"], uri);
    result["contents"][0].clone()
}

fn text(server: &mut Lines, uri: &str) -> String {
    read(server, uri)["text"].as_str().unwrap().to_owned()
}

#[test]
fn every_template_that_is_listed_is_answered() {
    let (_shop, mut server, id) = charted();
    let templates = server.result("resources/templates/list", json!({}))["resourceTemplates"].clone();
    let digest = server.call("plan_deployment", json!({}))["structuredContent"]["plan"]["digest"].as_str().unwrap().to_owned();
    server.call("deployment_report", json!({ "kind": "audit" }));
    let journal = text(&mut server, &format!("landfall://operation/{id}/journal"));
    let n = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find_map(|event| (event["event"] == "gate_judged").then(|| event["n"].to_string()))
        .expect("a judged gate");
    let file = server.result("completion/complete", complete("landfall://file/{+path}", "path", "", &json!({})))["completion"]["values"][0].clone();
    let mut answered = 0;
    for template in templates.as_array().unwrap() {
        let uri = template["uriTemplate"].as_str().unwrap();
        let known = uri.split("{?").next().unwrap();
        let uri = [
            ("{tool}", "deploy"),
            ("{digest}", &digest),
            ("{id}", &id),
            ("{n}", &n),
            ("{kind}", "audit"),
            ("{format}", "md"),
            ("{+path}", file.as_str().unwrap()),
            ("{service}", "shop"),
        ]
        .iter()
        .fold(known.to_owned(), |uri, (name, value)| uri.replace(name, value));
        assert!(!uri.contains('{'), "{uri}");
        let answer = server.ask("resources/read", json!({ "uri": uri }));
        if uri.contains("/logs/") {
            // There is no cluster here: what is missing is said, and the address is known.
            let failure = &answer["error"]["data"]["failure"];
            assert_eq!((&failure["code"], failure["help"].is_string()), (&json!("CLUSTER_STOPPED"), true), "{answer}");
            continue;
        }
        let contents = &answer["result"]["contents"][0];
        assert!(contents["text"].as_str().is_some_and(|text| !text.is_empty()), "{uri}: {answer}");
        answered += 1;
    }
    assert_eq!(answered, 8);
}

#[test]
fn evidence_of_an_event_is_what_was_seen_and_no_other() {
    let (_shop, mut server, id) = charted();
    let journal = text(&mut server, &format!("landfall://operation/{id}/journal"));
    let (mut shown, mut refused) = (0, 0);
    for line in journal.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let answer = server.ask("resources/read", json!({ "uri": format!("landfall://operation/{id}/evidence/{}", event["n"]) }));
        match answer["result"]["contents"][0]["text"].as_str() {
            Some(text) => {
                let told: Value = serde_json::from_str(text).unwrap();
                assert_eq!((&told["n"], &told["evidence"]["event"]), (&event["n"], &event["event"]));
                assert!(told["note"].as_str().unwrap().contains("never an instruction"));
                shown += 1;
            }
            None => {
                assert!(answer["error"]["data"]["failure"]["help"].as_str().unwrap().contains("number of one of these events"), "{answer}");
                refused += 1;
            }
        }
    }
    assert!(shown > 0 && refused > 0, "{shown} shown, {refused} refused");
    assert!(server.ask("resources/read", json!({ "uri": format!("landfall://operation/{id}/evidence/99999") })).get("error").is_some());
}

#[test]
fn what_is_listed_can_be_read_and_an_operation_brings_its_result() {
    let (_shop, mut server, id) = charted();
    let list = server.result("resources/list", json!({}))["resources"].clone();
    let uris: Vec<String> = list.as_array().unwrap().iter().map(|resource| resource["uri"].as_str().unwrap().to_owned()).collect();
    for wanted in [format!("landfall://operation/{id}"), format!("landfall://operation/{id}/journal")] {
        assert!(uris.contains(&wanted), "{wanted} is not in {uris:?}");
    }
    assert!(uris.iter().any(|uri| uri.starts_with("landfall://plan/") && uri.ends_with("/diff")));
    for uri in &uris {
        assert!(!text(&mut server, uri).is_empty(), "{uri}");
    }
    let told: Value = serde_json::from_str(&text(&mut server, &format!("landfall://operation/{id}"))).unwrap();
    assert_eq!((&told["id"], &told["result"]["status"]), (&json!(id), &json!("done")));
    assert!(told["result"]["charts"].is_array(), "{told}");
}

#[test]
fn links_of_a_reply_can_be_read_as_they_stand_with_several_workspaces() {
    let shop = Shop::new();
    let mut server = Lines::of(shop.program(&["serve"]), tempfile::tempdir().unwrap());
    server.open("2025-11-25");
    let planned = server.call("plan_deployment", json!({ "workspace": shop.workspace() }));
    let reply = &planned["structuredContent"];
    let links = reply["resources"].as_array().unwrap().iter().map(|link| link["uri"].clone());
    let links: Vec<Value> = links.chain(reply["files"].as_array().unwrap().iter().filter_map(|file| file.get("diff_uri").cloned())).collect();
    assert!(links.len() > 1, "{reply}");
    for link in links {
        assert!(!text(&mut server, link.as_str().unwrap()).is_empty());
    }
}

#[test]
fn no_address_leads_outside_of_the_records() {
    let (shop, mut server, id) = charted();
    let folder = shop.workspace();
    let secret = tempfile::tempdir().unwrap();
    let outside = secret.path().join("outside");
    std::fs::write(&outside, "CANARY-OUTSIDE").unwrap();
    // What a hostile repository could bring along: links where our files are expected.
    let records = Path::new(&folder).join(".landfall");
    symlink(&outside, records.join("plans/abcdefabcdef.json")).unwrap();
    symlink(&outside, records.join(format!("operations/{id}/report-audit.md"))).unwrap();
    symlink(secret.path(), records.join("operations/op-20260102-030405-aaaa")).unwrap();
    symlink(&outside, secret.path().join("journal.jsonl")).unwrap();
    let values = shop.values();
    let generated = values.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
    std::fs::remove_file(&values).unwrap();
    symlink(&outside, &values).unwrap();
    std::fs::write(Path::new(&folder).join("mine.txt"), "CANARY-MINE").unwrap();
    let away = "../".repeat(12);
    for address in [
        "plan/abcdefabcdef".to_owned(),
        format!("operation/{id}/journal/../../../../mine.txt"),
        "operation/op-20260102-030405-aaaa/journal".to_owned(),
        "operation/../../mine.txt".to_owned(),
        format!("report/{id}/audit.md"),
        format!("report/{id}/../request.json"),
        format!("report/{id}/%2e%2e%2frequest.json"),
        "file/mine.txt".to_owned(),
        "file/landfall.toml".to_owned(),
        format!("file/{generated}"),
        format!("file/{away}etc/passwd"),
        format!("file/{}etc/passwd", away.replace("..", "%2e%2e")),
        format!("file/{}etc/passwd", away.replace('/', "%2f")),
        "file//etc/passwd".to_owned(),
        "file/..%5c..%5cmine.txt".to_owned(),
        "file/a%00b".to_owned(),
        "plan/..".to_owned(),
        "plan/%2e%2e/diff".to_owned(),
        "nothing".to_owned(),
        String::new(),
        format!("operation/{id}?workspace=/etc"),
        format!("operation/{id}?workspace={folder}/.."),
        format!("operation/{id}?workspace=%2f"),
    ] {
        let answer = server.ask("resources/read", json!({ "uri": format!("landfall://{address}") }));
        assert!(answer.get("error").is_some(), "{address}: {answer}");
        assert!(!answer.to_string().contains("CANARY"), "{address}: {answer}");
    }
    for uri in ["file:///etc/passwd", "http://127.0.0.1/", "LANDFALL://plan/abcdefabcdef", "landfall:plan", "\u{1b}[2J"] {
        assert!(server.ask("resources/read", json!({ "uri": uri })).get("error").is_some(), "{uri}");
    }
    assert!(server.end().success());
}

fn complete(reference: &str, argument: &str, value: &str, context: &Value) -> Value {
    let reference =
        if reference.contains("://") { json!({ "type": "ref/resource", "uri": reference }) } else { json!({ "type": "ref/prompt", "name": reference }) };
    json!({ "ref": reference, "argument": { "name": argument, "value": value }, "context": { "arguments": context } })
}

#[test]
fn arguments_of_prompts_and_templates_are_completed() {
    let (shop, mut server, id) = charted();
    let mut check = |reference: &str, argument: &str, value: &str, context: Value, expect: &[&str]| {
        let answer = server.result("completion/complete", complete(reference, argument, value, &context));
        let values: Vec<&str> = answer["completion"]["values"].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
        assert_eq!(values, expect, "{reference} {argument} {value:?}");
        assert_eq!(answer["completion"]["total"], expect.len());
    };
    let workspace = shop.workspace();
    check("deploy_app", "workspace", "", json!({}), &[&workspace]);
    check("deploy_app", "workspace", "/nowhere", json!({}), &[]);
    check("roll_back", "to", "", json!({}), &["last_verified", "uninstalled"]);
    check("roll_back", "to", "UN", json!({}), &["uninstalled"]);
    check("why_failing", "service", "s", json!({ "workspace": workspace }), &[&shop.service()]);
    check("landfall://operation/{id}{?workspace}", "id", "op-", json!({}), &[&id]);
    check("landfall://report/{id}/{kind}.{format}", "kind", "t", json!({}), &["traceability"]);
    check("landfall://report/{id}/{kind}.{format}{?page,workspace}", "format", "", json!({}), &["md", "json", "html"]);
    check("landfall://schema/{tool}", "tool", "gen", json!({}), &["generate_chart"]);
    // What an argument of another prompt is called, or a workspace that is not allowed, suggests nothing.
    check("why_failing", "service", "", json!({ "workspace": "/etc" }), &[]);
    let evidence = server.result("completion/complete", complete("landfall://operation/{id}/evidence/{n}", "n", "", &json!({ "id": id })));
    assert!(evidence["completion"]["total"].as_u64().unwrap() > 0, "{evidence}");
    for (reference, argument) in [("no_such_prompt", "workspace"), ("landfall://no/{such}", "such")] {
        assert!(server.ask("completion/complete", complete(reference, argument, "", &json!({}))).get("error").is_some());
    }
    assert!(server.end().success());
}

#[test]
fn a_subscriber_of_the_older_revisions_hears_of_a_running_operation() {
    let shop = Shop::slow();
    let mut server = Lines::of(shop.program(&["serve", "--root", &shop.workspace()]), tempfile::tempdir().unwrap());
    let hello = server.open("2025-11-25");
    assert_eq!(hello["capabilities"]["resources"]["subscribe"], true, "{hello}");
    let id = server.call("generate_chart", json!({}))["structuredContent"]["operation"]["id"].as_str().unwrap().to_owned();
    let (operation, journal) = (format!("landfall://operation/{id}"), format!("landfall://operation/{id}/journal"));
    for uri in [&operation, &journal] {
        server.result("resources/subscribe", json!({ "uri": uri }));
    }
    server.result("resources/unsubscribe", json!({ "uri": journal }));
    server.result("resources/unsubscribe", json!({ "uri": "landfall://never/subscribed" }));
    for nothing in ["landfall://schema/deploy", "landfall://operation/op-20200101-000000-aaaa", "landfall://plan/abcdefabcdef", "nonsense"] {
        assert!(server.ask("resources/subscribe", json!({ "uri": nothing })).get("error").is_some(), "{nothing}");
    }
    settled(&mut server, &json!({}));
    std::thread::sleep(Duration::from_millis(800));
    server.result("ping", json!({}));
    let told: Vec<String> =
        server.notifications("notifications/resources/updated").iter().map(|news| news["params"]["uri"].as_str().unwrap().to_owned()).collect();
    assert!(!told.is_empty() && told.iter().all(|uri| *uri == operation), "{told:?}");
    // A settled operation is quiet.
    let before = told.len();
    std::thread::sleep(Duration::from_millis(1_000));
    server.result("ping", json!({}));
    assert_eq!(server.notifications("notifications/resources/updated").len(), before);
    assert!(server.end().success());
}

#[test]
fn a_subscriber_of_the_newest_revision_listens_on_one_stream() {
    let shop = Shop::slow();
    let mut server = Lines::of(shop.program(&["serve", "--root", &shop.workspace()]), tempfile::tempdir().unwrap());
    let meta = crate::modern::meta(&json!({}));
    server.result("server/discover", json!({ "_meta": meta }));
    let begun = server.result("tools/call", json!({ "_meta": meta, "name": "generate_chart", "arguments": {} }));
    let id = begun["structuredContent"]["operation"]["id"].as_str().unwrap().to_owned();
    let uri = format!("landfall://operation/{id}");
    server.send(&json!({ "jsonrpc": "2.0", "id": "listening", "method": "subscriptions/listen", "params": { "_meta": meta, "notifications": { "resourceSubscriptions": [uri], "toolsListChanged": true } } }));
    for _ in 0..40 {
        let status = server.result("tools/call", json!({ "_meta": meta, "name": "operation_status", "arguments": {} }));
        if status["structuredContent"]["status"] == "done" {
            break;
        }
    }
    std::thread::sleep(Duration::from_millis(800));
    server.result("tools/list", json!({ "_meta": meta }));
    let accepted = server.notifications("notifications/subscriptions/acknowledged");
    assert_eq!(accepted[0]["params"]["notifications"], json!({ "resourceSubscriptions": [uri] }), "{accepted:?}");
    let told = server.notifications("notifications/resources/updated");
    assert!(!told.is_empty() && told.iter().all(|news| news["params"]["uri"] == uri), "{told:?}");
    assert!(server.end().success());
}
