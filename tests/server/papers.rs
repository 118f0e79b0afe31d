//! Records that a workspace keeps of its operations, and the trail of what was changed, by the real program.

use crate::shop::Shop;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn records(shop: &Shop) -> Vec<PathBuf> {
    let folder = Path::new(&shop.workspace()).join("history/prompts/general");
    let mut found: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn json(shop: &Shop, arguments: &[&str]) -> Value {
    let done = shop.run(arguments);
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)))
}

/// The report in the form that is exported.
fn exported(shop: &Shop, kind: &str) -> Value {
    let file = shop.home().join("report.json");
    std::fs::create_dir_all(shop.home()).unwrap();
    json(shop, &["report", &shop.workspace(), "--json", "--kind", kind, "--format", "json", "--output", file.to_str().unwrap()]);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn an_operation_leaves_one_record_where_the_workspace_keeps_them() {
    let shop = Shop::new();
    json(&shop, &["chart", &shop.workspace(), "--json"]);
    assert_eq!(records(&shop), Vec::<PathBuf>::new(), "nobody asked for records");

    std::fs::create_dir_all(Path::new(&shop.workspace()).join("history/prompts")).unwrap();
    std::fs::remove_dir_all(Path::new(&shop.workspace()).join("deploy")).unwrap();
    let done = json(&shop, &["chart", &shop.workspace(), "--json"]);
    let id = done["operation"]["id"].as_str().unwrap_or_else(|| panic!("{done}")).to_owned();
    let found = records(&shop);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].file_name().unwrap().to_string_lossy().starts_with("0001-generate-chart-shop-"), "{found:?}");
    let text = std::fs::read_to_string(&found[0]).unwrap();
    assert!(text.contains(&id) && text.contains("deploy/charts/") && !text.contains(&shop.workspace()), "{text}");

    json(&shop, &["chart", &shop.workspace(), "--json"]);
    let again: Vec<_> = records(&shop).iter().map(|path| std::fs::read_to_string(path).unwrap()).filter(|text| text.contains(&id)).collect();
    assert_eq!(again, [text], "one operation, one record");
}

#[test]
fn the_trail_shows_every_change_and_that_somebody_changed_it() {
    let shop = Shop::new();
    std::fs::create_dir_all(Path::new(&shop.workspace()).join("history/prompts")).unwrap();
    let done = json(&shop, &["chart", &shop.workspace(), "--json"]);
    let id = done["operation"]["id"].as_str().unwrap_or_else(|| panic!("{done}")).to_owned();
    let trail = exported(&shop, "audit");
    assert_eq!(trail["operations"][0]["holds"], true, "{trail}");
    let mutations = trail["mutations"].as_array().unwrap();
    let of =
        |what: &str| mutations.iter().find(|mutation| mutation["what"].as_str().unwrap().contains(what)).unwrap_or_else(|| panic!("{what} is not in {trail}"));
    let chart = of("/Chart.yaml");
    assert_eq!((&chart["before"]["sha256"], &chart["outcome"]), (&Value::Null, &Value::from("done")));
    assert_eq!(chart["after"]["sha256"].as_str().map(str::len), Some(64), "{chart}");
    assert_eq!(of("history/prompts/general/0001-")["outcome"], "done");

    let journal = Path::new(&shop.workspace()).join(".landfall/operations").join(&id).join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let shorter: String = text.lines().take(text.lines().count() - 1).map(|line| format!("{line}\n")).collect();
    std::fs::write(&journal, shorter).unwrap();
    let trail = exported(&shop, "audit");
    assert_eq!(trail["operations"][0]["holds"], false, "a trail whose end was cut off: {trail}");
}
