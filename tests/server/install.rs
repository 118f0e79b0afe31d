//! `landfall install-client`, as a person runs it, and the programs that the server then finds.

use crate::lines::Lines;
use crate::shop::Shop;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

/// Runs it on the shop's machine, as on one without XDG folders or WSL.
fn install(shop: &Shop, arguments: &[&str]) -> std::process::Output {
    std::fs::create_dir_all(shop.home()).unwrap();
    let mut command = shop.program(&[&["install-client"], arguments].concat());
    let done = command.env_remove("XDG_CONFIG_HOME").env_remove("WSL_DISTRO_NAME").env_remove("DOCKER_HOST").output().unwrap();
    assert!(done.status.code().is_some());
    done
}

#[test]
fn each_client_can_start_what_was_written_for_it() {
    for (client, file, key) in [
        ("claude-desktop", ".config/Claude/claude_desktop_config.json", "mcpServers"),
        ("claude-code", ".claude.json", "mcpServers"),
        ("cursor", ".cursor/mcp.json", "mcpServers"),
        ("vscode", ".config/Code/User/mcp.json", "servers"),
        ("inspector", ".config/landfall/inspector.json", "mcpServers"),
    ] {
        let shop = Shop::new();
        let done = install(&shop, &[client, "--root", &shop.workspace(), "--approval", "human"]);
        assert!(done.status.success(), "{client}: {}", String::from_utf8_lossy(&done.stderr));
        let written = json_of(&shop.home().join(file));
        let entry = &written[key]["landfall"];
        // As a desktop program starts it: no shell, hardly any PATH, somewhere else.
        let mut command = Command::new(entry["command"].as_str().unwrap());
        command.args(entry["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", shop.home());
        for (name, value) in entry["env"].as_object().into_iter().flatten() {
            command.env(name, value.as_str().unwrap());
        }
        let mut server = Lines::of(command, tempfile::tempdir().unwrap());
        server.open("2025-06-18");
        assert_eq!(server.call("analyze_project", json!({}))["structuredContent"]["root"], shop.workspace(), "{client}");
        assert!(server.end().success());
        let shown = String::from_utf8(done.stdout).unwrap();
        assert!(shown.contains(file) && shown.contains("+") && shown.contains("human"), "{client}: {shown}");
    }
}

#[test]
fn a_file_with_other_servers_is_merged_backed_up_and_given_back() {
    let shop = Shop::new();
    let file = shop.home().join(".cursor/mcp.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let before = "{\n\t\"mcpServers\": {\n\t\t\"other\": {\n\t\t\t\"command\": \"x\",\n\t\t\t\"env\": {\n\t\t\t\t\"GITHUB_TOKEN\": \"ghp_0123456789abcdefghijklmnopqrstuvwxyz\"\n\t\t\t}\n\t\t}\n\t}\n}\n";
    std::fs::write(&file, before).unwrap();
    let done = install(&shop, &["cursor", "--json"]);
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(told["changed"], true);
    assert_eq!(std::fs::read_to_string(told["backup"].as_str().unwrap()).unwrap(), before);
    assert!(!told.to_string().contains("0123456789abcdef"), "a token of another server is shown: {told}");
    assert_eq!(json_of(&file)["mcpServers"]["other"]["env"]["GITHUB_TOKEN"], "ghp_0123456789abcdefghijklmnopqrstuvwxyz");
    let again: Value = serde_json::from_slice(&install(&shop, &["cursor", "--json"]).stdout).unwrap();
    assert_eq!((&again["changed"], &again["backup"]), (&json!(false), &Value::Null));
    assert!(install(&shop, &["cursor", "--remove"]).status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn printing_writes_nothing_and_a_broken_file_is_left_alone() {
    let shop = Shop::new();
    let printed: Value = serde_json::from_slice(&install(&shop, &["vscode", "--print"]).stdout).unwrap();
    assert_eq!(printed["servers"]["landfall"]["type"], "stdio");
    assert!(printed["servers"]["landfall"]["command"].as_str().unwrap().starts_with('/'));
    assert!(!shop.home().join(".config").exists());
    std::fs::write(shop.home().join(".claude.json"), "{ // mine\n}").unwrap();
    let refused = install(&shop, &["claude-code"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--print"));
    assert_eq!(std::fs::read_to_string(shop.home().join(".claude.json")).unwrap(), "{ // mine\n}");
    assert_eq!(install(&shop, &["cursor", "--root", "/nowhere/at/all"]).status.code(), Some(2));
}

#[test]
fn a_project_has_its_own_configuration() {
    let shop = Shop::new();
    assert!(install(&shop, &["claude-code", "--project", &shop.workspace()]).status.success());
    assert!(json_of(&Path::new(&shop.workspace()).join(".mcp.json"))["mcpServers"]["landfall"].is_object());
    assert!(!shop.home().join(".claude.json").exists());
}

#[test]
fn programs_are_found_where_package_managers_put_them() {
    let shop = Shop::new();
    for name in ["minikube", "helm", "docker"] {
        shop.stand_in(name, "exit 1");
    }
    let done = shop.program(&["doctor", "--json"]).env("PATH", "/nowhere").output().unwrap();
    let programs: Vec<Value> = serde_json::from_slice(&done.stdout).unwrap();
    for name in ["minikube", "helm"] {
        let found = programs.iter().find(|program| program["name"] == name).unwrap();
        assert!(found["path"].as_str().is_some_and(|path| Path::new(path).is_absolute()), "{found}");
    }
}
