//! What is handed out: bundle, registry entry, manual; opened again and used as a client would.

use crate::lines::{Lines, PROGRAM, root};
use crate::shop::Shop;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn python(arguments: &[&str]) -> String {
    let done = Command::new("python3").args(arguments).current_dir(root()).output().expect("python3, which writes bundles, is not installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_bundle_opened_again_starts_what_its_manifest_promises() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let url = "https://example.org/landfall.mcpb";
    let bundle = python(&["tests/machine/bundle.py", "--program", PROGRAM, "--output", &path("out"), "--url", url]);
    assert!(bundle.ends_with(".mcpb") && bundle.contains(env!("CARGO_PKG_VERSION")), "{bundle}");
    python(&[
        "-c",
        "import sys, zipfile, os\nwith zipfile.ZipFile(sys.argv[1]) as bundle:\n    for entry in bundle.infolist():\n        bundle.extract(entry, sys.argv[2]); os.chmod(os.path.join(sys.argv[2], entry.filename), entry.external_attr >> 16 & 0o777)",
        &bundle,
        &path("open"),
    ]);

    let manifest = json_of(&folder.path().join("open/manifest.json"));
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    assert!(folder.path().join("open").join(manifest["server"]["entry_point"].as_str().unwrap()).is_file());
    // As a client fills in what its user chose: a list becomes several arguments.
    let shop = Shop::new();
    let config = &manifest["server"]["mcp_config"];
    let filled = |text: &str| {
        let text = text.replace("${__dirname}", &path("open")).replace("${user_config.workspaces}", &shop.workspace());
        text.replace("${user_config.approval}", manifest["user_config"]["approval"]["default"].as_str().unwrap())
    };
    let mut command = Command::new(filled(config["command"].as_str().unwrap()));
    command.args(config["args"].as_array().unwrap().iter().map(|word| filled(word.as_str().unwrap()))).env_clear().env("HOME", shop.home());
    let mut server = Lines::of(command, tempfile::tempdir().unwrap());
    server.open("2025-06-18");
    let names = |list: &Value| list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&manifest["tools"]), names(&server.result("tools/list", json!({}))["tools"]));
    assert_eq!(names(&manifest["prompts"]), names(&server.result("prompts/list", json!({}))["prompts"]));
    assert_eq!(server.call("analyze_project", json!({}))["structuredContent"]["root"], shop.workspace());
    assert!(server.end().success());

    let entry = json_of(&folder.path().join("out/server.json"));
    let package = &entry["packages"][0];
    assert_eq!((&package["registryType"], &package["identifier"], &package["transport"]["type"]), (&json!("mcpb"), &json!(url), &json!("stdio")));
    let digest = python(&["-c", "import sys, hashlib; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())", &bundle]);
    assert_eq!(package["fileSha256"], digest);
    // The same program gives the same bundle.
    let again = python(&["tests/machine/bundle.py", "--program", PROGRAM, "--output", &path("again")]);
    assert!(std::fs::read(bundle).unwrap() == std::fs::read(again).unwrap());
}

#[test]
fn the_registry_entry_is_this_version_and_within_its_limits() {
    let entry = json_of(&root().join("server.json"));
    assert_eq!(entry["version"], env!("CARGO_PKG_VERSION"));
    assert!(entry["description"].as_str().unwrap().len() <= 100);
    let name = entry["name"].as_str().unwrap();
    assert!((3..=200).contains(&name.len()) && name.matches('/').count() == 1 && name.split('/').next().unwrap().contains('.'), "{name}");
    let known = json_of(&root().join("mcp.json"));
    assert_eq!(known["mcpServers"]["landfall"]["command"], "landfall");
}

#[test]
fn the_manual_has_a_page_for_every_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Command::new(PROGRAM).args(arguments).output().unwrap();
    let page = String::from_utf8(run(&["man"]).stdout).unwrap();
    assert!(page.contains(".TH landfall 1") && page.contains("install\\-client"), "{page}");
    assert!(run(&["man", "--all", folder.path().to_str().unwrap()]).status.success());
    for name in ["landfall.1", "landfall-deploy.1", "landfall-install-client.1", "landfall-operations.1"] {
        assert!(std::fs::read_to_string(folder.path().join(name)).unwrap().starts_with(".ie"), "{name}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = run(&["completions", shell]);
        assert!(done.status.success() && String::from_utf8_lossy(&done.stdout).contains("install-client"), "{shell}");
    }
}
