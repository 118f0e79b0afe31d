//! A worker that is killed anywhere in a first deploy: resumed, it comes to the same end as one that never died, and nothing is done twice.
//! The short tier takes one point of each kind, the full tier every effect of the journal (of files the first and the last).
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

use app::{App, files};
use std::collections::BTreeSet;
use std::io::Write as _;

/// What can be compared between two deploys of the same app.
#[derive(Debug, PartialEq)]
struct Picture {
    releases: Vec<(String, u32, String)>,
    objects: BTreeSet<String>,
    files: BTreeSet<String>,
}

fn picture(app: &App) -> Picture {
    let objects = app.kubectl(&["get", "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies,persistentvolumeclaims", "-o", "name"]);
    let objects = objects.lines().map(|line| line.replace(&app.name, "APP")).collect();
    let inner = |path: &std::path::Path| path.strip_prefix(app.root()).unwrap().display().to_string();
    let files = files(app.root()).iter().map(|(path, _)| inner(path)).filter(|path| !path.starts_with(".landfall/")).collect();
    Picture { releases: app.releases(), objects, files }
}

fn killed_and_resumed(point: &str, one: &str) {
    let mut whole = App::stock(&format!("whole-{point}"));
    whole.deploy_verified(1);
    let expect = picture(&whole);
    let id = app::newest(&whole);
    let keys: Vec<String> = whole
        .journal(&id)
        .iter()
        .filter(|line| line["event"] == "effect_intended")
        .map(|line| line["data"]["key"].as_str().unwrap().replace(&whole.name, "APP"))
        .collect();
    assert!(keys.len() >= 5, "{keys:?}");
    whole.step(&format!("{} effects: {}", keys.len(), keys.join(", ")));
    let full = std::env::var("LANDFALL_TEST_TIER").is_ok_and(|tier| tier == "full");
    // One file is written as the other: the first and the last of them stand for all.
    let file = |key: &&String| key.starts_with("file/");
    let ends = [keys.iter().find(file), keys.iter().rfind(file)];
    let wanted: Vec<_> = keys.iter().filter(|key| if full { !file(key) || ends.contains(&Some(*key)) } else { key.starts_with(one) }).collect();
    assert!(!wanted.is_empty(), "no key of {keys:?} begins with {one}");
    let mut table = String::new();
    for (n, key) in wanted.into_iter().enumerate() {
        let mut app = App::stock(&format!("{point}{n}"));
        let fault = format!("{point}:{}", key.replace("APP", &app.name));
        let killed = app.deploy_with(&["--approval", &app.token()], Some(&fault));
        assert_eq!((killed.code, killed.reply["code"].as_str()), (130, Some("INTERRUPTED")), "{fault}: {killed:?}");
        let id = app::newest(&app);
        let resumed = app::resume(&app, &id);
        assert_eq!(picture(&app), expect, "{fault}: another end than without a crash: {resumed}");
        let again = app.deploy_with(&[], None);
        assert!(again.code == 0 && again.reply["summary"].as_str().unwrap_or_default().contains("nothing was touched"), "{fault}: {again:?}");
        app.step(&format!("killed at {fault}, resumed, same end"));
        table.push_str(&format!("| {point} | {key} | verified, one revision |\n"));
    }
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(format!("crash-{point}.md"));
    std::fs::File::create(target).unwrap().write_all(format!("| killed | effect | end |\n|---|---|---|\n{table}").as_bytes()).unwrap();
}

#[test]
fn a_worker_killed_before_an_effect_lands_is_finished_by_the_next() {
    killed_and_resumed("intended", "secret/");
}

#[test]
fn a_worker_killed_after_an_effect_landed_is_finished_by_the_next() {
    killed_and_resumed("landed", "image/");
}
