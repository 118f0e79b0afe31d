//! Kubeconfigs, profiles and environments that lead elsewhere: each is driven through plan, deploy, health and an approved rollback, and nothing is changed anywhere.
//! Servers on loopback count what they are asked. What only looks suspicious goes through, or the test would prove nothing.

use super::Machine;
use super::api::{Api, given};
use super::lines::{Lines, PROGRAM};
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// What shall come of a case.
enum Then {
    /// `WRONG_CLUSTER` from every call, naming these comparisons.
    Refused(&'static [&'static str]),
    /// `PROFILE_NOT_FOUND`: nothing of minikube's has this name.
    Unknown,
    /// The approval was for another cluster: `PLAN_STALE`.
    Stale,
    /// The approved rollback is carried out, in the profile's own cluster alone.
    Through,
}

/// A machine with a running profile `mine`, whose app has one release, and strangers around it.
pub(super) struct Stage {
    pub(super) machine: Machine,
    /// The profile's own API server.
    pub(super) own: Api,
    /// An API server of another CA.
    elsewhere: Api,
    /// A second API server that minikube's CA signed.
    twin: Api,
    proxy: Api,
    /// The user's kubeconfig; written before the calls.
    config: Value,
    profile: &'static str,
    environment: Vec<(&'static str, String)>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let machine = Machine::new();
        let own = Api::secure("server.crt");
        machine.profile("mine", own.port);
        std::fs::copy(given("server.crt"), machine.path("mini/.minikube/profiles/mine/apiserver.crt")).unwrap();
        for program in ["kubectl", "minikube", "steal"] {
            machine.program(program, &format!("echo {program} \"$@\" >> {}", machine.path("ran").display()));
        }
        let gone = machine.path("gone").display().to_string();
        machine.program(
            "helm",
            &format!(
                "echo helm \"$@\" >> {ran}\nset >> {variables}\ncase \" $* \" in\n*' version '*) printf v4.0.1 ;;\n*' uninstall '*) : > {gone} ;;\n\
                 *' history '*) if [ -e {gone} ]; then echo 'Error: release: not found' >&2; exit 1; fi\n  echo '[{{\"revision\":1,\"status\":\"deployed\",\"chart\":\"stock-0.1.0\"}}]' ;;\n\
                 *' list '*) echo '[]' ;;\nesac",
                ran = machine.path("ran").display(),
                variables = machine.path("variables").display(),
            ),
        );
        let stage = Self {
            config: Value::Null,
            elsewhere: Api::secure("server-of-other-ca.crt"),
            twin: Api::secure("server-of-another-profile.crt"),
            proxy: Api::plain(),
            profile: "mine",
            environment: Vec::new(),
            own,
            machine,
        };
        for api in [&stage.own, &stage.elsewhere, &stage.twin] {
            populate(api);
        }
        Self { config: stage.regular(&stage.own.address()), ..stage }
    }

    /// What minikube itself writes into the user's kubeconfig.
    fn regular(&self, server: &str) -> Value {
        let home = self.machine.path("mini/.minikube");
        let told = json!([{ "name": "cluster_info", "extension": { "provider": "minikube.sigs.k8s.io", "version": "v1.37.0" } }]);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "mine", "preferences": {},
            "clusters": [{ "name": "mine", "cluster": { "certificate-authority": home.join("ca.crt"), "server": server, "extensions": told } }],
            "contexts": [{ "name": "mine", "context": { "cluster": "mine", "user": "mine", "namespace": "default", "extensions": told } }],
            "users": [{ "name": "mine", "user": { "client-certificate": home.join("profiles/mine/client.crt"), "client-key": home.join("profiles/mine/client.key") } }],
        })
    }

    fn cluster(&mut self) -> &mut Value {
        &mut self.config["clusters"][0]["cluster"]
    }

    fn user(&mut self) -> &mut Value {
        &mut self.config["users"][0]["user"]
    }

    fn home(&self, name: &str) -> PathBuf {
        self.machine.path("mini/.minikube").join(name)
    }

    /// Changes the profile's own file.
    fn profile(&self, change: impl Fn(&mut Value)) {
        let path = self.home("profiles/mine/config.json");
        let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut file);
        std::fs::write(path, file.to_string()).unwrap();
    }

    /// The profile's API server is another one now.
    fn serves(&self, api: &Api) {
        self.profile(|file| file["Nodes"][0]["Port"] = json!(api.port));
    }

    /// A file beside the first kubeconfig, added to the list that `KUBECONFIG` holds.
    fn second(&mut self, config: &Value) {
        std::fs::write(self.machine.path("second"), config.to_string()).unwrap();
        self.list(&["kubeconfig", "second"]);
    }

    fn list(&mut self, names: &[&str]) {
        let paths: Vec<_> = names.iter().map(|name| self.machine.path(name).display().to_string()).collect();
        self.environment.push(("KUBECONFIG", paths.join(":")));
    }

    pub(super) fn write(&self) {
        let path = self.machine.path("kubeconfig");
        if !self.config.is_null() {
            std::fs::write(path, self.config.to_string()).unwrap();
        }
    }

    /// A server for an agent, on this machine.
    pub(super) fn server(&self) -> Lines {
        let mut command = Command::new(PROGRAM);
        command.arg("serve");
        self.machine.surround(&mut command);
        let mut server = Lines::of(command, tempfile::tempdir().unwrap());
        server.open("2025-06-18");
        server
    }

    /// A call of the command line: its exit code and its reply or failure.
    pub(super) fn call(&self, words: &[&str]) -> (i32, Value) {
        let app = self.machine.app();
        let mut command = Command::new(PROGRAM);
        command.arg(words[0]).arg(app).args(&words[1..]).args(["--profile", self.profile, "--json"]).stdin(Stdio::null()).current_dir("/");
        self.machine.surround(&mut command);
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        let done = command.output().unwrap();
        let said = serde_json::from_slice(&done.stdout);
        let said = said.unwrap_or_else(|error| panic!("{words:?}: {error}: {}", String::from_utf8_lossy(&done.stderr)));
        (done.status.code().unwrap_or(-1), said)
    }

    /// The token of an approval for uninstalling the app, given for the cluster as it is now.
    fn approved(&self) -> String {
        // On a machine that has much to do the cluster may be called silent; the answer to that is to call again.
        let mut asked = (0, Value::Null);
        for _ in 0..20 {
            asked = self.call(&["rollback", "--to", "uninstalled"]);
            if asked.1["code"] != "CLUSTER_UNREACHABLE" {
                break;
            }
        }
        let (ended, asked) = asked;
        assert_eq!((ended, asked["status"].as_str()), (4, Some("approval_needed")), "{asked}");
        asked["approval"]["token"].as_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.machine.path(name)).unwrap_or_default()
    }

    /// Whatever was changed anywhere, or run that must not run.
    fn traces(&self) -> Vec<String> {
        let mut all: Vec<String> = [&self.own, &self.elsewhere, &self.twin, &self.proxy].iter().flat_map(|api| api.changes()).collect();
        let harmless = |line: &&str| {
            let mut words = line.split(' ');
            let reads = ["version", "history", "list", "template", "get", "lint"];
            match words.next() {
                Some("minikube") => words.next() == Some("status"),
                Some("helm") => words.any(|word| reads.contains(&word)) && !line.contains("uninstall"),
                Some(_) | None => false,
            }
        };
        all.extend(self.read("ran").lines().filter(|line| !harmless(line)).map(str::to_owned));
        all
    }

    /// Servers that were spoken to although they are none of the profile's.
    fn strangers(&self) -> Vec<&'static str> {
        let all = [("elsewhere", &self.elsewhere), ("twin", &self.twin), ("proxy", &self.proxy)];
        all.iter().filter(|(_, api)| api.connections() > 0).map(|(name, _)| *name).collect()
    }
}

/// The objects of a cluster `mine` in which the app has one release.
fn populate(api: &Api) {
    api.put("/api/v1/nodes/mine", json!({ "metadata": { "name": "mine", "labels": { "minikube.k8s.io/name": "mine" } } }));
    let ours = json!({ "app.kubernetes.io/managed-by": "landfall", "landfall.dev/app": "shop" });
    api.put("/api/v1/namespaces/shop", json!({ "metadata": { "name": "shop", "labels": ours } }));
    let labels =
        json!({ "owner": "helm", "name": "stock", "version": "1", "status": "deployed", "landfall.dev/app": "shop", "landfall.dev/app-revision": "1" });
    api.put("/api/v1/namespaces/shop/secrets/sh.helm.release.v1.stock.v1", json!({ "metadata": { "name": "sh.helm.release.v1.stock.v1", "labels": labels } }));
}

type Case = (&'static str, fn(&mut Stage), Then);

/// The user's kubeconfig says something else under the profile's name.
const CONTEXTS: &[Case] = &[
    ("a cloud's name", |stage| stage.cluster()["server"] = json!("https://api.prod.example:6443"), Then::Refused(&["context server"])),
    (
        "another cluster altogether",
        |stage| {
            stage.cluster()["server"] = json!(stage.elsewhere.address());
            stage.cluster()["certificate-authority"] = json!(given("other-ca.crt"));
        },
        Then::Refused(&["context server", "context CA"]),
    ),
    ("the profile's CA with another address", |stage| stage.cluster()["server"] = json!(stage.twin.address()), Then::Refused(&["context server"])),
    ("another CA with the profile's address", |stage| stage.cluster()["certificate-authority"] = json!(given("other-ca.crt")), Then::Refused(&["context CA"])),
    (
        "another CA, in line, with the profile's address",
        |stage| {
            use base64::Engine as _;
            let text = std::fs::read(given("other-ca.crt")).unwrap();
            stage.cluster()["certificate-authority-data"] = json!(base64::engine::general_purpose::STANDARD.encode(text));
        },
        Then::Refused(&["context CA"]),
    ),
    ("a CA that is no base64", |stage| stage.cluster()["certificate-authority-data"] = json!("%%%"), Then::Refused(&["context CA"])),
    ("no CA", |stage| stage.cluster()["certificate-authority"] = json!(""), Then::Refused(&["context CA"])),
    (
        "two CAs, one of them the profile's",
        |stage| {
            let both = [std::fs::read(given("ca.crt")).unwrap(), std::fs::read(given("other-ca.crt")).unwrap()].concat();
            std::fs::write(stage.machine.path("both.crt"), both).unwrap();
            stage.cluster()["certificate-authority"] = json!(stage.machine.path("both.crt"));
        },
        Then::Refused(&["context CA"]),
    ),
    ("a CA that is not there", |stage| stage.cluster()["certificate-authority"] = json!("gone.crt"), Then::Refused(&["context CA"])),
    (
        "no check of certificates",
        |stage| {
            stage.cluster()["insecure-skip-tls-verify"] = json!(true);
        },
        Then::Refused(&["context user", "insecure-skip-tls-verify"]),
    ),
    ("a proxy", |stage| stage.cluster()["proxy-url"] = json!(format!("http://127.0.0.1:{}", stage.proxy.port)), Then::Refused(&["context user", "proxy-url"])),
    ("a SOCKS proxy", |stage| stage.cluster()["proxy-url"] = json!("socks5://127.0.0.1:1080"), Then::Refused(&["context user", "proxy-url"])),
    (
        "another name to expect of the server",
        |stage| stage.cluster()["tls-server-name"] = json!("prod.example"),
        Then::Refused(&["context user", "tls-server-name"]),
    ),
    (
        "a program for credentials",
        |stage| {
            let steal = stage.machine.path("bin/steal");
            stage.user()["exec"] = json!({ "apiVersion": "client.authentication.k8s.io/v1", "command": steal, "interactiveMode": "Never" });
        },
        Then::Refused(&["context user", "exec"]),
    ),
    (
        "a program for credentials, found by PATH",
        |stage| stage.user()["exec"] = json!({ "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "steal", "args": ["token"] }),
        Then::Refused(&["context user", "exec"]),
    ),
    (
        "an old auth provider",
        |stage| {
            let steal = stage.machine.path("bin/steal");
            stage.user()["auth-provider"] = json!({ "name": "gcp", "config": { "cmd-path": steal, "cmd-args": "token" } });
        },
        Then::Refused(&["context user", "auth-provider"]),
    ),
    ("a token", |stage| stage.user()["token"] = json!("abc"), Then::Refused(&["context user", "token"])),
    ("a file with a token", |stage| stage.user()["tokenFile"] = json!("/var/run/secrets/token"), Then::Refused(&["context user", "tokenFile"])),
    (
        "a user name and a password",
        |stage| {
            stage.user()["username"] = json!("admin");
            stage.user()["password"] = json!("hunter2hunter2");
        },
        Then::Refused(&["context user", "username", "password"]),
    ),
    ("impersonation of a user", |stage| stage.user()["as"] = json!("system:admin"), Then::Refused(&["context user", "as"])),
    ("impersonation of groups", |stage| stage.user()["as-groups"] = json!(["system:masters"]), Then::Refused(&["context user", "as-groups"])),
    ("impersonation by uid", |stage| stage.user()["as-uid"] = json!("0"), Then::Refused(&["context user", "as-uid"])),
    (
        "a renamed context of a cloud",
        |stage| {
            stage.config["contexts"][0]["context"] = json!({ "cluster": "gke_shop_europe_main", "user": "mine" });
            stage.config["clusters"][0]["name"] = json!("gke_shop_europe_main");
            stage.cluster()["server"] = json!(stage.elsewhere.address());
        },
        Then::Refused(&["context cluster", "gke_shop_europe_main", "context server"]),
    ),
    (
        "a renamed cluster with everything else right",
        |stage| {
            stage.config["contexts"][0]["context"]["cluster"] = json!("prod");
            stage.config["clusters"][0]["name"] = json!("prod");
        },
        Then::Refused(&["context cluster"]),
    ),
    ("a context of no cluster", |stage| stage.config["clusters"] = json!([]), Then::Refused(&["context server", "context CA"])),
    (
        "the right address without TLS",
        |stage| stage.cluster()["server"] = json!(format!("http://127.0.0.1:{}", stage.own.port)),
        Then::Refused(&["context server"]),
    ),
    (
        "a name for the right address",
        |stage| stage.cluster()["server"] = json!(format!("https://localhost:{}", stage.own.port)),
        Then::Refused(&["context server"]),
    ),
    (
        "the right address as somebody's user name",
        |stage| stage.cluster()["server"] = json!(format!("https://127.0.0.1:{}@prod.example:6443", stage.own.port)),
        Then::Refused(&["context server"]),
    ),
    (
        "a path of the right address that leads on",
        |stage| stage.cluster()["server"] = json!(format!("{}/k8s/clusters/c-prod", stage.own.address())),
        Then::Refused(&["context server"]),
    ),
    ("another tunnel on loopback", |stage| stage.cluster()["server"] = json!("https://127.0.0.1:16443"), Then::Refused(&["context server"])),
    (
        "another program's mark",
        |stage| stage.config["contexts"][0]["context"]["extensions"][0]["extension"]["provider"] = json!("kind.sigs.k8s.io"),
        Then::Refused(&["context provider", "kind.sigs.k8s.io"]),
    ),
    (
        "merged files, of which the first leads elsewhere",
        |stage| {
            let right = stage.config.clone();
            stage.cluster()["server"] = json!(stage.elsewhere.address());
            stage.second(&right);
        },
        Then::Refused(&["context server"]),
    ),
    (
        "merged files that take the cluster from a stranger's",
        |stage| {
            let mut other = stage.config.clone();
            other["clusters"][0]["cluster"]["server"] = json!(stage.elsewhere.address());
            stage.config["clusters"] = json!([]);
            stage.second(&other);
        },
        Then::Refused(&["context server"]),
    ),
    (
        "merged files that take the user from a stranger's",
        |stage| {
            let mut other = stage.config.clone();
            other["users"][0]["user"] = json!({ "exec": { "command": stage.machine.path("bin/steal") } });
            stage.config["users"] = json!([]);
            stage.second(&other);
        },
        Then::Refused(&["context user", "exec"]),
    ),
    (
        "a link to a kubeconfig that leads elsewhere",
        |stage| {
            stage.cluster()["server"] = json!(stage.elsewhere.address());
            let config = std::mem::take(&mut stage.config);
            std::fs::write(stage.machine.path("hidden"), config.to_string()).unwrap();
            std::fs::remove_file(stage.machine.path("kubeconfig")).unwrap();
            symlink(stage.machine.path("hidden"), stage.machine.path("kubeconfig")).unwrap();
        },
        Then::Refused(&["context server"]),
    ),
    (
        "a remote cluster that is called minikube",
        |stage| {
            let text = stage.config.to_string().replace("\"mine\"", "\"minikube\"");
            stage.config = serde_json::from_str(&text).unwrap();
            stage.cluster()["server"] = json!(stage.elsewhere.address());
            stage.profile = "minikube";
        },
        Then::Unknown,
    ),
];

/// Minikube's own files, or who answers at the profile's address, are not what they should be.
const PROFILES: &[Case] = &[
    (
        "a public address",
        |stage| {
            stage.profile(|file| file["Nodes"][0]["IP"] = json!("203.0.113.7"));
            stage.config = json!({});
        },
        Then::Refused(&["address class", "none was asked"]),
    ),
    (
        "a name instead of an address",
        |stage| {
            stage.profile(|file| file["Nodes"][0]["IP"] = json!("prod.example"));
            stage.config = json!({});
        },
        Then::Refused(&["address class", "server address"]),
    ),
    ("the driver for machines elsewhere", |stage| stage.profile(|file| file["Driver"] = json!("ssh")), Then::Refused(&["driver", "ssh"])),
    ("the old driver for machines elsewhere", |stage| stage.profile(|file| file["Driver"] = json!("generic")), Then::Refused(&["driver", "generic"])),
    ("the driver without isolation", |stage| stage.profile(|file| file["Driver"] = json!("none")), Then::Refused(&["driver", "none"])),
    (
        "a folder that anybody can write to",
        |stage| std::fs::set_permissions(stage.home(""), std::fs::Permissions::from_mode(0o777)).unwrap(),
        Then::Refused(&["minikube home", "can be written by others"]),
    ),
    (
        "a CA that anybody can write to",
        |stage| std::fs::set_permissions(stage.home("ca.crt"), std::fs::Permissions::from_mode(0o666)).unwrap(),
        Then::Refused(&["minikube home", "ca.crt"]),
    ),
    (
        "a second certificate beside the CA",
        |stage| {
            let both = [std::fs::read(given("ca.crt")).unwrap(), std::fs::read(given("other-ca.crt")).unwrap()].concat();
            std::fs::write(stage.home("ca.crt"), both).unwrap();
        },
        Then::Refused(&["minikube CA", "holds 2 certificates"]),
    ),
    ("the CA of somebody else", |stage| drop(std::fs::copy(given("other-ca.crt"), stage.home("ca.crt"))), Then::Refused(&["handshake with that CA alone"])),
    (
        "a server of another CA at the profile's address",
        |stage| stage.serves(&stage.elsewhere),
        Then::Refused(&["handshake with that CA alone", "invalid peer certificate"]),
    ),
    ("the server of another profile at the profile's address", |stage| stage.serves(&stage.twin), Then::Refused(&["server certificate"])),
    (
        "a server with a certificate for names alone",
        |stage| {
            stage.twin = Api::secure("server-by-name-only.crt");
            stage.serves(&stage.twin);
        },
        Then::Refused(&["handshake with that CA alone"]),
    ),
    (
        "a server whose certificate has expired",
        |stage| {
            stage.twin = Api::secure("server-expired.crt");
            stage.serves(&stage.twin);
        },
        Then::Refused(&["handshake with that CA alone", "certificate expired"]),
    ),
    ("a server without TLS", |stage| stage.serves(&stage.proxy), Then::Refused(&["handshake with that CA alone"])),
    (
        "nodes of another profile",
        |stage| stage.own.put("/api/v1/nodes/mine", json!({ "metadata": { "name": "mine", "labels": { "minikube.k8s.io/name": "yours" } } })),
        Then::Refused(&["node labels", "yours"]),
    ),
    (
        "a node that the profile does not know",
        |stage| stage.own.put("/api/v1/nodes/worker-7", json!({ "metadata": { "name": "worker-7" } })),
        Then::Refused(&["node labels", "worker-7"]),
    ),
    (
        "a server that does not know the profile's certificate",
        |stage| stage.own.fail(|_| Some(super::api::Fault::Status(401, None))),
        Then::Refused(&["handshake with that CA alone", "HTTP 401"]),
    ),
    (
        "another program at the profile's address",
        |stage| stage.own.fail(|asked| asked.path.starts_with("/version").then_some(super::api::Fault::Status(404, None))),
        Then::Refused(&["handshake with that CA alone", "HTTP 404"]),
    ),
    (
        "a container engine elsewhere",
        |stage| {
            stage.profile(|file| file["Driver"] = json!("docker"));
            stage.environment.push(("DOCKER_HOST", "tcp://203.0.113.7:2376".to_owned()));
        },
        Then::Refused(&["container engine", "203.0.113.7"]),
    ),
    (
        "a container engine elsewhere, by its context",
        |stage| {
            stage.profile(|file| file["Driver"] = json!("docker"));
            let contexts = stage.machine.path("home/.docker/contexts/meta").join(landfall::names::Digest::of("far").as_str());
            std::fs::create_dir_all(&contexts).unwrap();
            std::fs::write(contexts.join("meta.json"), r#"{"Name":"far","Endpoints":{"docker":{"Host":"ssh://build@far.example"}}}"#).unwrap();
            stage.environment.extend([("DOCKER_CONTEXT", "far".to_owned()), ("DOCKER_HOST", String::new())]);
        },
        Then::Refused(&["container engine", "far.example"]),
    ),
    (
        "a profile that was made anew after the approval",
        |stage| {
            stage.serves(&stage.elsewhere);
            std::fs::copy(given("other-ca.crt"), stage.home("ca.crt")).unwrap();
            std::fs::copy(given("server-of-other-ca.crt"), stage.home("profiles/mine/apiserver.crt")).unwrap();
            stage.cluster()["server"] = json!(stage.elsewhere.address());
        },
        Then::Stale,
    ),
];

/// What looks odd and leads nowhere else.
const HARMLESS: &[Case] = &[
    ("a right kubeconfig", |_| (), Then::Through),
    ("the right address with a slash", |stage| stage.cluster()["server"] = json!(format!("{}/", stage.own.address())), Then::Through),
    ("fields that say no", |stage| stage.cluster()["insecure-skip-tls-verify"] = json!(false), Then::Through),
    (
        "merged files, of which the first is right",
        |stage| {
            let mut other = stage.config.clone();
            other["clusters"][0]["cluster"]["server"] = json!(stage.elsewhere.address());
            other["users"][0]["user"]["exec"] = json!({ "command": stage.machine.path("bin/steal") });
            stage.second(&other);
        },
        Then::Through,
    ),
    (
        "a current context that is a cloud",
        |stage| {
            let server = stage.elsewhere.address();
            stage.config = json!({ "current-context": "prod", "contexts": [{ "name": "prod", "context": { "cluster": "prod", "user": "prod" } }],
                "clusters": [{ "name": "prod", "cluster": { "server": server } }], "users": [{ "name": "prod", "user": { "exec": { "command": "steal" } } }] });
        },
        Then::Through,
    ),
    ("no kubeconfig", |stage| stage.environment.push(("KUBECONFIG", stage.machine.path("none").display().to_string())), Then::Through),
    ("a folder for a kubeconfig", |stage| stage.environment.push(("KUBECONFIG", stage.machine.path("home").display().to_string())), Then::Through),
    (
        "a kubeconfig that is no YAML",
        |stage| {
            stage.config = Value::Null;
            std::fs::write(stage.machine.path("kubeconfig"), "clusters: [{server: \"https://prod.example").unwrap();
        },
        Then::Through,
    ),
    (
        "a link that leads to itself",
        |stage| {
            symlink(stage.machine.path("loop"), stage.machine.path("loop")).unwrap();
            stage.list(&["loop"]);
        },
        Then::Through,
    ),
    (
        "proxies in the environment",
        |stage| {
            let proxy = format!("http://127.0.0.1:{}", stage.proxy.port);
            let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
            stage.environment.extend(names.map(|name| (name, proxy.clone())));
        },
        Then::Through,
    ),
    (
        "an environment as inside a cluster",
        |stage| {
            let port = stage.elsewhere.port.to_string();
            stage.environment.extend([("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()), ("KUBERNETES_SERVICE_PORT", port)]);
        },
        Then::Through,
    ),
    (
        "helm's own settings",
        |stage| {
            let server = stage.elsewhere.address();
            stage.environment.extend([
                ("HELM_KUBEAPISERVER", server.clone()),
                ("KUBERNETES_MASTER", server),
                ("HELM_KUBECONTEXT", "prod".to_owned()),
                ("HELM_KUBETOKEN", "abc".to_owned()),
                ("HELM_KUBEASUSER", "admin".to_owned()),
                ("HELM_PLUGINS", stage.machine.path("home").display().to_string()),
            ]);
        },
        Then::Through,
    ),
    (
        "a private kubeconfig that was changed",
        |stage| {
            let text = format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: mine\nclusters: [{{name: mine, cluster: {{server: '{}', insecure-skip-tls-verify: true, proxy-url: 'http://127.0.0.1:{}'}}}}]\n\
                 contexts: [{{name: mine, context: {{cluster: mine, user: mine}}}}]\nusers: [{{name: mine, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, command: steal}}}}}}]\n",
                stage.elsewhere.address(),
                stage.proxy.port
            );
            std::fs::write(stage.machine.path("state/kubeconfig/mine"), text).unwrap();
        },
        Then::Through,
    ),
];

/// One case from an approval in good order to what came of it.
fn drive((name, change, then): &Case) {
    let mut stage = Stage::new();
    stage.write();
    let token = stage.approved();
    assert!(stage.traces().is_empty(), "{name}: asking changed something: {:?}", stage.traces());
    change(&mut stage);
    stage.write();
    let roll_back = ["rollback", "--to", "uninstalled", "--approval", &token];
    let calls: [&[&str]; 3] = [&["deploy", "--secrets", "SIGNING_SECRET=generate"], &["status"], &roll_back];
    let (ended, planned) = stage.call(&["plan", "--secrets", "SIGNING_SECRET=generate"]);
    match then {
        Then::Refused(compared) => {
            assert_eq!(ended, 0, "{name}: a plan needs no cluster: {planned}");
            assert!(planned["next"].to_string().contains("not proven"), "{name}: the plan does not say that there is no cluster to carry it out: {planned}");
            for call in calls {
                let (ended, failure) = stage.call(call);
                assert_eq!((failure["code"].as_str(), ended), (Some("WRONG_CLUSTER"), 6), "{name}: {call:?}: {failure}");
                let causes = failure["causes"].to_string();
                assert!(causes.contains("expected") && causes.contains("saw"), "{name}: {call:?} does not say both sides: {failure}");
                for word in *compared {
                    assert!(causes.contains(word), "{name}: {call:?}: {word} is not among what was compared: {failure}");
                }
                assert!(!failure.to_string().contains("hunter2"), "{name}: {failure}");
            }
        }
        Then::Unknown => {
            for call in calls {
                let (ended, failure) = stage.call(call);
                assert_eq!((failure["code"].as_str(), ended), (Some("PROFILE_NOT_FOUND"), 7), "{name}: {call:?}: {failure}");
            }
        }
        Then::Stale => {
            let (ended, failure) = stage.call(&roll_back);
            assert_eq!((failure["code"].as_str(), ended), (Some("PLAN_STALE"), 4), "{name}: {failure}");
        }
        Then::Through => {
            assert_ne!(planned["code"], "WRONG_CLUSTER", "{name}: {planned}");
            for call in &calls[..2] {
                let (_, said) = stage.call(call);
                assert_ne!(said["code"], "WRONG_CLUSTER", "{name}: {call:?}: {said}");
            }
            let (ended, done) = stage.call(&roll_back);
            assert_eq!((ended, done["status"].as_str()), (0, Some("done")), "{name}: {done}");
            let changes = stage.own.changes();
            assert!(changes.iter().any(|change| change.starts_with("POST") && change.ends_with("/namespaces/shop/leases")), "{name}: {changes:?}");
            assert!(stage.read("ran").lines().any(|line| line.contains("uninstall stock")), "{name}: helm was not called");
            assert_eq!(stage.strangers(), <[&str; 0]>::default(), "{name}");
            for word in ["_PROXY", "_proxy", "HELM_KUBE", "KUBERNETES_", "HELM_PLUGINS"] {
                assert!(!stage.read("variables").contains(word), "{name}: helm was given {word}");
            }
            assert!(!stage.read("ran").contains("steal") && !stage.read("ran").contains("kubectl"), "{name}: {}", stage.read("ran"));
            return;
        }
    }
    assert_eq!(stage.traces(), <[&str; 0]>::default(), "{name}");
    // Whoever answers at the profile's own address is asked who it is; nobody else is spoken to.
    let asked = [&stage.elsewhere, &stage.twin, &stage.proxy].iter().flat_map(|api| api.asked()).filter(|asked| asked.method != "GET").count();
    assert_eq!(asked, 0, "{name}");
    if CONTEXTS.iter().any(|(known, _, _)| known == name) {
        assert_eq!(stage.strangers(), <[&str; 0]>::default(), "{name}");
    }
}

/// Every case, a few at a time; all that failed are told together.
fn drive_all(cases: &[Case]) {
    let next = Mutex::new(cases.iter());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some(case) = next.lock().unwrap().next() else { return };
                    if std::panic::catch_unwind(|| drive(case)).is_err() {
                        failed.lock().unwrap().push(case.0);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "see above: {failed:?}");
}

#[test]
fn there_are_enough_ways_to_lead_elsewhere() {
    let all: Vec<&str> = CONTEXTS.iter().chain(PROFILES).chain(HARMLESS).map(|(name, _, _)| *name).collect();
    let mut names = all.clone();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len(), "two cases have one name");
    assert!(CONTEXTS.len() + PROFILES.len() >= 40, "{} hostile cases", CONTEXTS.len() + PROFILES.len());
}

#[test]
fn contexts_that_lead_elsewhere_change_nothing() {
    drive_all(CONTEXTS);
}

#[test]
fn profiles_that_lead_elsewhere_change_nothing() {
    drive_all(PROFILES);
}

#[test]
fn what_only_looks_odd_goes_through_to_the_profiles_own_cluster() {
    drive_all(HARMLESS);
}

/// A worker died, and meanwhile the profile was made anew: the operation was approved for a cluster that is gone.
#[test]
fn an_operation_is_not_resumed_in_another_cluster() {
    let mut stage = Stage::new();
    stage.write();
    let token = stage.approved();
    stage.environment.push(("LANDFALL_FAULT", "intended:helm-uninstall/stock".to_owned()));
    let (_, died) = stage.call(&["rollback", "--to", "uninstalled", "--approval", &token]);
    assert_eq!(died["code"], "INTERRUPTED", "{died}");
    let id = died["message"].as_str().unwrap().split(' ').find(|word| word.starts_with("op-")).unwrap().to_owned();
    stage.environment.clear();
    stage.serves(&stage.elsewhere);
    std::fs::copy(given("other-ca.crt"), stage.home("ca.crt")).unwrap();
    std::fs::copy(given("server-of-other-ca.crt"), stage.home("profiles/mine/apiserver.crt")).unwrap();
    stage.cluster()["server"] = json!(stage.elsewhere.address());
    stage.write();
    let app = stage.machine.app();
    let (_, resumed, _) = stage.machine.timed(&["operations", "resume", &id, &app]);
    assert!(resumed.to_string().contains("WRONG_CLUSTER") || resumed.to_string().contains("another cluster"), "{resumed}");
    assert_eq!(stage.elsewhere.changes(), <[&str; 0]>::default(), "{resumed}");
    assert!(!stage.read("ran").contains("uninstall stock"), "{}", stage.read("ran"));
}
