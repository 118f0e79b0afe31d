//! `landfall install-client`: writes this program into the configuration of an MCP client, showing the difference; everything else in that file stays as it is.

use super::show::Screen;
use clap::{Args, ValueEnum};
use landfall::config::ApprovalMode;
use landfall::failure::{Code, Failure};
use serde::Serialize as _;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The name under which clients know the server.
const NAME: &str = "landfall";
/// What a server that a desktop program starts would not know otherwise.
const PASSED_ON: &[&str] = &["LANDFALL_STATE", "MINIKUBE_HOME", "DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"];

/// The programs whose configuration can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Client {
    ClaudeDesktop,
    ClaudeCode,
    Cursor,
    Vscode,
    Inspector,
}

#[derive(Debug, Args)]
pub(super) struct Install {
    client: Client,
    /// Only workspaces inside these folders [default: any folder but / and your home]
    #[arg(long, value_name = "DIR", num_args = 1..)]
    root: Vec<PathBuf>,
    /// Whose word counts: client, human
    #[arg(long, value_name = "MODE", value_parser = super::choice::<ApprovalMode>)]
    approval: Option<ApprovalMode>,
    /// For this project alone, in its own folder (not for claude-desktop and inspector)
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// In WSL: the folder of the Windows user, such as /mnt/c/Users/me
    #[arg(long, value_name = "DIR")]
    windows_home: Option<PathBuf>,
    /// Take the entry out again
    #[arg(long)]
    remove: bool,
    /// Print the configuration and write nothing
    #[arg(long, conflicts_with = "remove")]
    print: bool,
}

/// The machine as far as it decides where configurations lie.
#[derive(Clone, Debug)]
struct Machine {
    home: PathBuf,
    config: PathBuf,
    mac: bool,
    /// Inside WSL: its distribution, and the Windows user's folder where one is known.
    wsl: Option<(String, Option<PathBuf>)>,
    /// Of this process, what is worth passing on.
    environment: BTreeMap<String, String>,
}

impl Machine {
    fn here(windows_home: Option<PathBuf>) -> Result<Self, Failure> {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = text("HOME").map(PathBuf::from).ok_or_else(|| Failure::new(Code::FileSystem, "HOME names no folder").help("set HOME, then call again"))?;
        let config = text("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).unwrap_or_else(|| home.join(".config"));
        let mut environment: BTreeMap<String, String> = PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect();
        // A shell that ran `minikube docker-env` would have the server look into a node instead of at the machine's engine.
        if text("MINIKUBE_ACTIVE_DOCKERD").is_some() {
            environment.retain(|name, _| !name.starts_with("DOCKER_"));
        }
        let wsl = text("WSL_DISTRO_NAME").map(|distribution| (distribution, windows_home.or_else(|| only_user(Path::new("/mnt/c/Users")))));
        Ok(Self { home, config, mac: cfg!(target_os = "macos"), wsl, environment })
    }

    /// The Windows user's folder, where the client is a Windows program.
    fn windows(&self) -> Result<Option<&Path>, Failure> {
        match &self.wsl {
            None => Ok(None),
            Some((_, Some(home))) => Ok(Some(home)),
            Some((_, None)) => Err(Failure::new(Code::BadArgument, "which Windows user it is for cannot be told from here")
                .help("name the folder: landfall install-client CLIENT --windows-home /mnt/c/Users/NAME")),
        }
    }
}

/// The only person's folder among Windows' users.
fn only_user(users: &Path) -> Option<PathBuf> {
    let all = std::fs::read_dir(users).ok()?.flatten().map(|entry| entry.path());
    let mut people = all.filter(|home| {
        let name = home.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        !["all users", "default", "default user", "public"].contains(&name.as_str()) && home.join("AppData/Roaming").is_dir()
    });
    people.next().filter(|_| people.next().is_none())
}

impl Client {
    /// The configuration file.
    fn file(self, machine: &Machine, project: Option<&Path>) -> Result<PathBuf, Failure> {
        if let Some(project) = project {
            return match self {
                Self::ClaudeCode => Ok(project.join(".mcp.json")),
                Self::Cursor => Ok(project.join(".cursor/mcp.json")),
                Self::Vscode => Ok(project.join(".vscode/mcp.json")),
                Self::ClaudeDesktop | Self::Inspector => {
                    Err(Failure::new(Code::BadArgument, "this client has no configuration of a project").help("leave --project out"))
                }
            };
        }
        // Terminal programs run inside WSL and are configured there.
        let windows = if self.desktop() { machine.windows()? } else { None };
        let roaming = |name: &str| windows.map(|home| home.join("AppData/Roaming").join(name));
        let support = |name: &str| if machine.mac { machine.home.join("Library/Application Support").join(name) } else { machine.config.join(name) };
        Ok(match self {
            Self::ClaudeDesktop => roaming("Claude").unwrap_or_else(|| support("Claude")).join("claude_desktop_config.json"),
            Self::Vscode => roaming("Code/User").unwrap_or_else(|| support("Code/User")).join("mcp.json"),
            Self::Cursor => windows.unwrap_or(&machine.home).join(".cursor/mcp.json"),
            Self::ClaudeCode => machine.home.join(".claude.json"),
            Self::Inspector => machine.config.join("landfall/inspector.json"),
        })
    }

    fn desktop(self) -> bool {
        match self {
            Self::ClaudeDesktop | Self::Cursor | Self::Vscode => true,
            Self::ClaudeCode | Self::Inspector => false,
        }
    }

    /// Under which key the client keeps its servers.
    fn key(self) -> &'static str {
        if self == Self::Vscode { "servers" } else { "mcpServers" }
    }

    /// What the user does next.
    fn next(self, file: &Path) -> String {
        match self {
            Self::ClaudeDesktop => "quit Claude Desktop and start it again; Landfall is then among its connectors".to_owned(),
            Self::ClaudeCode => "start claude in your project; /mcp shows whether Landfall is connected".to_owned(),
            Self::Cursor => "in Cursor: Settings, MCP, and switch Landfall on".to_owned(),
            Self::Vscode => "in VS Code: MCP: List Servers, landfall, Start Server".to_owned(),
            Self::Inspector => format!("npx @modelcontextprotocol/inspector --config {} --server {NAME}", file.display()),
        }
    }

    /// How this client starts the program: absolute paths, since its own PATH is short.
    fn entry(self, machine: &Machine, program: &Path, serve: &[String]) -> Value {
        let program = program.display().to_string();
        let foreign = self.desktop() && machine.wsl.is_some();
        let (command, mut arguments) = match &machine.wsl {
            Some((distribution, _)) if foreign => {
                let mut arguments = vec!["-d".to_owned(), distribution.clone(), "--exec".to_owned()];
                // Windows hands no variables over: they are set on this side.
                if !machine.environment.is_empty() {
                    arguments.push("/usr/bin/env".to_owned());
                    arguments.extend(machine.environment.iter().map(|(name, value)| format!("{name}={value}")));
                }
                arguments.push(program);
                ("wsl.exe".to_owned(), arguments)
            }
            _ => (program, Vec::new()),
        };
        arguments.extend(serve.iter().cloned());
        let mut entry = Map::new();
        if self != Self::ClaudeDesktop {
            entry.insert("type".to_owned(), json!("stdio"));
        }
        entry.insert("command".to_owned(), json!(command));
        entry.insert("args".to_owned(), json!(arguments));
        if !foreign && !machine.environment.is_empty() {
            entry.insert("env".to_owned(), json!(machine.environment));
        }
        Value::Object(entry)
    }
}

impl Install {
    pub(super) fn run(self, screen: &Screen) -> Result<u8, Failure> {
        let machine = Machine::here(self.windows_home.clone())?;
        let mut serve = vec!["serve".to_owned()];
        for root in &self.root {
            let real =
                std::fs::canonicalize(root).map_err(|error| Failure::new(Code::WorkspaceNotFound, format!("open the root {}", root.display())).cause(error))?;
            serve.extend(["--root".to_owned(), real.display().to_string()]);
        }
        if self.approval == Some(ApprovalMode::Human) {
            serve.extend(["--approval".to_owned(), "human".to_owned()]);
        }
        let program = std::env::current_exe().map_err(|error| Failure::new(Code::FileSystem, "find this program").cause(error))?;
        let entry = self.client.entry(&machine, &program, &serve);
        if self.print {
            screen.print(&text_of(&json!({ self.client.key(): { NAME: entry } }), "  ")?);
            return Ok(0);
        }
        let project = self.project.as_deref().map(|folder| std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()));
        let file = self.client.file(&machine, project.as_deref())?;
        let done = change(&file, self.client.key(), (!self.remove).then_some(entry))?;
        if screen.json {
            let shown = json!({ "file": file, "changed": done.diff.is_some(), "backup": done.backup, "diff": done.diff });
            screen.print(&text_of(&shown, "  ")?);
            return Ok(0);
        }
        match &done.diff {
            None => screen.print(&format!("{} needs no change\n", file.display())),
            Some(diff) => screen.print(&format!("{}\n{diff}", file.display())),
        }
        if let Some(backup) = &done.backup {
            screen.say(&format!("the file as it was: {}", backup.display()));
        }
        if !self.remove {
            screen.say(&self.client.next(&file));
        }
        Ok(0)
    }
}

/// What was done to a configuration file.
#[derive(Debug)]
struct Changed {
    /// Redacted: other servers keep secrets in this file. None where nothing had to change.
    diff: Option<String>,
    backup: Option<PathBuf>,
}

/// Puts our entry into the file, or takes it out; the file is replaced whole or not at all.
fn change(file: &Path, key: &str, entry: Option<Value>) -> Result<Changed, Failure> {
    // A link into somebody's dotfiles stays one: what it leads to is written.
    let real = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let before = match std::fs::read_to_string(&real) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::file("read", &real, &error)),
    };
    let unreadable = |why: String| {
        Failure::new(Code::ConfigInvalid, format!("{} is not plain JSON, so nothing was written", real.display()))
            .cause(why)
            .help("mend it, or add the entry by hand: landfall install-client CLIENT --print")
    };
    let text = before.as_deref().unwrap_or_default();
    let mut whole: Value = if text.trim().is_empty() {
        json!({})
    } else {
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| unreadable(error.to_string()))?
    };
    let Some(all) = whole.as_object_mut() else { return Err(unreadable("it is no object".to_owned())) };
    let servers = all.entry(key).or_insert_with(|| json!({}));
    let Some(servers) = servers.as_object_mut() else { return Err(unreadable(format!("{key} is no object"))) };
    let changed = match entry {
        Some(entry) => servers.insert(NAME.to_owned(), entry.clone()).as_ref() != Some(&entry),
        None => servers.shift_remove(NAME).is_some(),
    };
    if !changed {
        return Ok(Changed { diff: None, backup: None });
    }
    let after = text_of(&whole, indent_of(text))?;
    let backup = match &before {
        Some(before) => Some(keep(&real, before)?),
        None => None,
    };
    write(&real, &after, before.is_some())?;
    let diff = similar::TextDiff::from_lines(text, &after).unified_diff().context_radius(2).header("before", "after").to_string();
    Ok(Changed { diff: Some(landfall::secret::redact(&diff)), backup })
}

/// Replaces a file whole; who may read it stays as it was.
fn write(file: &Path, text: &str, existed: bool) -> Result<(), Failure> {
    let mode = existed.then(|| std::fs::metadata(file).map(|facts| facts.permissions())).transpose().map_err(|error| Failure::file("look at", file, &error))?;
    landfall::files::write_private(file, text.as_bytes())?;
    if let Some(mode) = mode {
        std::fs::set_permissions(file, mode).map_err(|error| Failure::file("write", file, &error))?;
    }
    Ok(())
}

/// A copy beside the file that no later run replaces.
fn keep(file: &Path, text: &str) -> Result<PathBuf, Failure> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stamp = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let free = (0..1_000).map(|n| if n == 0 { String::new() } else { format!("-{n}") });
    let backup = free.map(|n| file.with_file_name(format!("{name}.{stamp}{n}.bak"))).find(|path| !path.exists());
    let backup = backup.ok_or_else(|| Failure::new(Code::FileSystem, format!("find a name for a copy of {}", file.display())).help("remove old copies"))?;
    landfall::files::write_private(&backup, text.as_bytes())?;
    Ok(backup)
}

/// The file's own indentation, two spaces where it has none.
fn indent_of(text: &str) -> &str {
    let line = text.lines().find(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty());
    line.and_then(|line| line.get(..line.len() - line.trim_start().len())).unwrap_or("  ")
}

fn text_of(value: &Value, indent: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, format))
        .map_err(|error| Failure::internal("write a configuration").cause(error))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(|error| Failure::internal("write a configuration").cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(mac: bool, wsl: Option<(&str, Option<&str>)>) -> Machine {
        let wsl = wsl.map(|(distribution, home)| (distribution.to_owned(), home.map(PathBuf::from)));
        Machine { home: "/home/me".into(), config: "/home/me/.config".into(), mac, wsl, environment: BTreeMap::new() }
    }

    #[test]
    fn each_client_is_configured_where_it_looks() {
        let (linux, mac, wsl) = (machine(false, None), machine(true, None), machine(false, Some(("Debian", Some("/mnt/c/Users/me")))));
        let check = |machine: &Machine, client: Client, expect: &str| assert_eq!(client.file(machine, None).unwrap(), PathBuf::from(expect));
        check(&linux, Client::ClaudeDesktop, "/home/me/.config/Claude/claude_desktop_config.json");
        check(&mac, Client::ClaudeDesktop, "/home/me/Library/Application Support/Claude/claude_desktop_config.json");
        check(&wsl, Client::ClaudeDesktop, "/mnt/c/Users/me/AppData/Roaming/Claude/claude_desktop_config.json");
        check(&linux, Client::Vscode, "/home/me/.config/Code/User/mcp.json");
        check(&mac, Client::Vscode, "/home/me/Library/Application Support/Code/User/mcp.json");
        check(&wsl, Client::Vscode, "/mnt/c/Users/me/AppData/Roaming/Code/User/mcp.json");
        check(&linux, Client::Cursor, "/home/me/.cursor/mcp.json");
        check(&wsl, Client::Cursor, "/mnt/c/Users/me/.cursor/mcp.json");
        for machine in [&linux, &mac, &wsl] {
            check(machine, Client::ClaudeCode, "/home/me/.claude.json");
            check(machine, Client::Inspector, "/home/me/.config/landfall/inspector.json");
        }
        let project = |client: Client| client.file(&linux, Some(Path::new("/p"))).ok();
        assert_eq!(project(Client::Vscode), Some("/p/.vscode/mcp.json".into()));
        assert_eq!(project(Client::ClaudeCode), Some("/p/.mcp.json".into()));
        assert_eq!(project(Client::ClaudeDesktop), None);
        let unknown = Client::ClaudeDesktop.file(&machine(false, Some(("Debian", None))), None).unwrap_err();
        assert!(unknown.help.contains("--windows-home"), "{unknown:?}");
    }

    #[test]
    fn a_windows_program_starts_the_server_inside_wsl() {
        let mut wsl = machine(false, Some(("Debian", Some("/mnt/c/Users/me"))));
        let entry = |machine: &Machine, client: Client| client.entry(machine, Path::new("/usr/bin/landfall"), &["serve".to_owned()]);
        assert_eq!(entry(&wsl, Client::ClaudeDesktop), json!({ "command": "wsl.exe", "args": ["-d", "Debian", "--exec", "/usr/bin/landfall", "serve"] }));
        assert_eq!(entry(&wsl, Client::ClaudeCode)["command"], "/usr/bin/landfall", "a terminal program runs inside");
        wsl.environment.insert("MINIKUBE_HOME".to_owned(), "/m".to_owned());
        assert_eq!(entry(&wsl, Client::Cursor)["args"], json!(["-d", "Debian", "--exec", "/usr/bin/env", "MINIKUBE_HOME=/m", "/usr/bin/landfall", "serve"]));
        assert_eq!(entry(&wsl, Client::ClaudeCode)["env"], json!({ "MINIKUBE_HOME": "/m" }));
    }

    #[test]
    fn the_only_windows_user_is_found_and_one_of_several_is_not_guessed() {
        let users = tempfile::tempdir().unwrap();
        for name in ["Public", "Default", "me"] {
            std::fs::create_dir_all(users.path().join(name).join("AppData/Roaming")).unwrap();
        }
        assert_eq!(only_user(users.path()), Some(users.path().join("me")));
        std::fs::create_dir_all(users.path().join("you/AppData/Roaming")).unwrap();
        assert_eq!(only_user(users.path()), None);
    }

    #[test]
    fn a_file_is_merged_kept_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made/config.json");
        let entry = || Some(json!({ "command": "/landfall", "args": ["serve"] }));
        assert!(change(&file, "mcpServers", entry()).unwrap().backup.is_none());
        assert!(change(&file, "mcpServers", entry()).unwrap().diff.is_none(), "twice is as once");

        let before = "{\n    \"theme\": \"dark\",\n    \"mcpServers\": {\n        \"other\": {\n            \"command\": \"x\",\n            \"env\": {\n                \"API_KEY\": \"sk-abcdefghijklmnopqrstuv\"\n            }\n        }\n    }\n}\n";
        std::fs::write(&file, before).unwrap();
        let done = change(&file, "mcpServers", entry()).unwrap();
        let (diff, backup) = (done.diff.unwrap(), done.backup.unwrap());
        assert_eq!(std::fs::read_to_string(&backup).unwrap(), before);
        assert!(diff.contains("+        \"landfall\"") && !diff.contains("abcdefghijkl"), "{diff}");
        let after: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!((&after["theme"], &after["mcpServers"]["other"]["command"]), (&json!("dark"), &json!("x")));
        change(&file, "mcpServers", None).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "taken out again, the file is as it was");
        assert!(change(&file, "mcpServers", None).unwrap().diff.is_none());
    }

    #[test]
    fn what_is_not_plain_json_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mcp.json");
        for odd in ["{ // a comment\n}", "[]", "{\"servers\": []}", "{"] {
            std::fs::write(&file, odd).unwrap();
            let failure = change(&file, "servers", Some(json!({}))).unwrap_err();
            assert!(failure.help.contains("--print"), "{failure:?}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), odd);
        }
        std::fs::write(&file, "\u{feff}{}").unwrap();
        assert!(change(&file, "servers", Some(json!({}))).unwrap().diff.is_some());
    }

    #[test]
    fn a_link_stays_a_link_and_the_mode_stays() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("dotfiles.json"), folder.path().join("mcp.json"));
        std::fs::write(&real, "{}").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        change(&link, "mcpServers", Some(json!({}))).unwrap();
        assert!(link.is_symlink() && std::fs::read_to_string(&real).unwrap().contains("landfall"));
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
