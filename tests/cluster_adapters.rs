//! The adapters against a real Minikube; `LANDFALL_TEST_PROFILE` names its profile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

use landfall::adapters::docker::DockerImages;
use landfall::adapters::helm::Helm;
use landfall::adapters::minikube::{Minikube, Surroundings};
use landfall::evidence::Time as Timestamp;
use landfall::failure::Code;
use landfall::names::{ImageRef, Namespace, ProfileName, ReleaseName, Revision};
use landfall::ports::{Apply, BuildRequest, Charts as _, Images as _, LocalCluster as _, ProfileStatus, Progress, Proof, Silent, TryStart};
use landfall::secret::Secret;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

fn profile() -> ProfileName {
    ProfileName::parse(std::env::var("LANDFALL_TEST_PROFILE").expect("LANDFALL_TEST_PROFILE names the profile of a running test cluster")).unwrap()
}

async fn prove(state: &Path) -> Proof {
    Minikube::new(state.to_owned()).prove(&profile()).await.unwrap()
}

#[tokio::test]
async fn the_cluster_is_proven_and_its_kubeconfig_is_private() {
    let state = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let proof = prove(state.path()).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(proof.checks.len() >= 10 && proof.checks.iter().all(|check| check.ok), "{:#?}", proof.checks);
    assert!(proof.checks.iter().any(|check| check.check == "server certificate"));
    let facts = std::fs::metadata(&proof.kubeconfig).unwrap();
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);
    let written = facts.modified().unwrap();
    let again = prove(state.path()).await;
    assert_eq!(again.fingerprint, proof.fingerprint);
    assert_eq!(std::fs::metadata(&again.kubeconfig).unwrap().modified().unwrap(), written, "the kubeconfig was rewritten without need");
}

#[tokio::test]
async fn the_profile_is_listed_as_running() {
    let state = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let profiles = Minikube::new(state.path().to_owned()).profiles().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let ours = profiles.iter().find(|one| one.name == profile()).unwrap();
    assert_eq!(ours.status, ProfileStatus::Running);
}

#[tokio::test]
async fn a_home_with_another_ca_is_refused_by_the_handshake() {
    let state = tempfile::tempdir().unwrap();
    let mut around = Surroundings::read(state.path().to_owned());
    let home = state.path().join(".minikube");
    let folder = home.join("profiles").join(profile().as_str());
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "client.crt", "client.key", "apiserver.crt"] {
        std::fs::copy(around.profile_folder(profile().as_str()).join(name), folder.join(name)).unwrap();
    }
    // Another authority of the same machine: the one for container engines.
    std::fs::copy(around.minikube_home.join("certs/ca.pem"), home.join("ca.crt")).unwrap();
    around.minikube_home = home;
    let failure = Minikube::with(around).prove(&profile()).await.unwrap_err();
    assert_eq!(failure.code, Code::WrongCluster, "{failure}");
    assert!(failure.causes.iter().any(|cause| cause.starts_with("handshake with that CA alone") && cause.contains("UnknownIssuer")), "{failure}");
    assert!(failure.causes.iter().any(|cause| cause.starts_with("context CA")), "every failed comparison is listed: {failure}");
}

#[tokio::test]
async fn programs_are_found_with_their_versions() {
    let state = tempfile::tempdir().unwrap();
    let programs = Minikube::new(state.path().to_owned()).programs().await;
    for name in ["minikube", "helm", "docker"] {
        let found = programs.iter().find(|program| program.name == name).unwrap();
        assert!(found.version.is_some() && found.problem.is_empty(), "{found:?}");
    }
}

#[tokio::test]
async fn a_container_without_a_shell_shows_its_environment_in_the_node() {
    let state = tempfile::tempdir().unwrap();
    let proof = prove(state.path()).await;
    // CoreDNS is one program in an empty image, on every Minikube.
    let words = "{.items[0].spec.nodeName} {.items[0].status.containerStatuses[0].containerID}";
    let told = std::process::Command::new("kubectl")
        .args(["--kubeconfig", proof.kubeconfig.to_str().unwrap(), "-n", "kube-system", "get", "pod", "-l", "k8s-app=kube-dns"])
        .args(["-o", &format!("jsonpath={words}")])
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let (node, id) = told.split_once(' ').unwrap();
    let images = DockerImages::new(state.path().to_owned());
    let environment = images.first_environment(&proof, node, id).await.unwrap();
    let names: Vec<&str> = environment.reveal().split('\0').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    assert!(names.contains(&"PATH") && names.contains(&"KUBERNETES_SERVICE_HOST"), "{names:?}");

    let nobody = images.first_environment(&proof, node, "docker://0123456789abcdef0123456789abcdef").await.unwrap_err();
    assert_eq!(nobody.code, Code::NotSupported, "{nobody}");
}

fn request(tag: &str, folder: &Path, files: &[(&str, &str)], dockerfile: &str) -> BuildRequest {
    for (file, content) in files {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    BuildRequest {
        reference: image(tag),
        context: folder.to_owned(),
        files: files.iter().map(|(file, _)| (*file).to_owned()).collect(),
        dockerfile: dockerfile.to_owned(),
        build_args: BTreeMap::new(),
        secrets: BTreeMap::new(),
        labels: BTreeMap::from([("landfall.test".to_owned(), tag.to_owned())]),
        deadline: Duration::from_secs(180),
    }
}

fn image(tag: &str) -> ImageRef {
    ImageRef::parse(format!("localhost/landfall-adapters/{tag}:{}", std::process::id())).unwrap()
}

fn trial(reference: ImageRef) -> TryStart {
    TryStart { reference, user: "10001".to_owned(), env: BTreeMap::new(), writable: vec!["/tmp".to_owned()], command: None, watch: Duration::from_secs(4) }
}

#[derive(Default)]
struct Notes(std::sync::Mutex<Vec<String>>);
impl Progress for Notes {
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
    fn amount(&self, _done: u64, _total: u64) {}
}

const BASE: &str = "debian:bookworm-slim";

#[tokio::test]
async fn a_build_mounts_secrets_and_caches_and_leaves_no_trace_of_them() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let images = DockerImages::new(state.path().to_owned());
    let dockerfile = format!(
        "FROM {BASE}\nCOPY a.txt /app/a.txt\nRUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=token test \"$(cat /run/secrets/token)\" = q8w7e6r5 && date +%N > /app/made\nUSER 10001\nCMD [\"cat\", \"/app/a.txt\"]\n"
    );
    let mut request = request("secret", folder.path(), &[("a.txt", "hello")], &dockerfile);
    request.secrets.insert("token".to_owned(), Secret::new("q8w7e6r5"));
    let built = images.build(&proof, &request, &Silent).await.unwrap();
    assert!(built.id.starts_with("sha256:") && built.user == "10001", "{built:?}");
    // The same input again comes from the cache. While builds of other tests begin from the same base for the first time,
    // BuildKit in Docker Engine 20.10 does not see that it has the step; it does once they have ended.
    let cached = |notes: &[String]| notes.iter().any(|note| note.contains("step 3/3 RUN") && note.ends_with("(cached)"));
    let (began, mut built, mut notes) = (std::time::Instant::now(), built, Vec::new());
    while !cached(&notes) && began.elapsed() < Duration::from_secs(60) {
        let heard = Notes::default();
        built = images.build(&proof, &request, &heard).await.unwrap();
        notes = heard.0.into_inner().unwrap();
    }
    eprintln!("cached after {:.1} s", began.elapsed().as_secs_f32());
    assert!(cached(&notes), "{notes:?}");
    assert!(!notes.iter().any(|note| note.contains("q8w7e6r5")), "{notes:?}");
    let how = images.deliver(&proof, &request.reference, &built.id, &Silent).await.unwrap();
    let nodes = images.on_nodes(&proof, &request.reference).await.unwrap();
    assert!(nodes.iter().all(|node| node.id.as_deref() == Some(built.id.as_str())), "{how}: {nodes:?}");
    assert_eq!(images.secrets_in_layers(&proof, &request.reference).await.unwrap(), Vec::<String>::new());
    let started = images.try_start(&proof, &trial(request.reference.clone())).await.unwrap();
    assert_eq!((started.exit_code, started.log.as_str()), (Some(0), "hello"));
    images.untag(&proof, &request.reference).await.unwrap();
    assert!(images.inspect(&proof, &request.reference).await.unwrap().is_none());
    assert!(images.on_nodes(&proof, &request.reference).await.unwrap().iter().all(|node| node.id.is_none()));
    images.untag(&proof, &request.reference).await.unwrap();
}

#[tokio::test]
async fn a_failing_build_says_which_step_and_why() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let images = DockerImages::new(state.path().to_owned());
    let fails =
        async |tag: &str, dockerfile: String| images.build(&proof, &request(tag, folder.path(), &[("a.txt", "x")], &dockerfile), &Silent).await.unwrap_err();
    let failure = fails("missing-copy", format!("FROM {BASE}\nCOPY nope.txt /x\n")).await;
    assert_eq!(failure.code, Code::BuildFailed);
    assert!(failure.message.contains("COPY nope.txt") && failure.message.contains("not in the build context"), "{failure}");
    let failure = fails("exit", format!("FROM {BASE}\nRUN echo seen-this; make-it-so\n")).await;
    assert!(failure.message.contains("RUN echo seen-this") && failure.message.contains("a program is missing"), "{failure}");
    assert!(failure.causes.iter().any(|cause| cause == "seen-this"), "{failure}");
    let failure = fails("base", "FROM localhost/landfall-adapters/no-such-base:1\n".to_owned()).await;
    assert!(failure.message.contains("base image"), "{failure}");
    let failure = fails("syntax", format!("FROM {BASE}\nRUNN x\n")).await;
    assert!(failure.message.contains("the Dockerfile has an error"), "{failure}");
}

/// name, base, files of the context, the instruction that fails, and the cause.
type Broken = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

const BROKEN: &[Broken] = &[
    (
        "npm-no-lockfile",
        "node:22-slim",
        &[("package.json", "{\"name\":\"a\",\"version\":\"1.0.0\"}")],
        "RUN npm ci",
        "the lock file is missing or does not match the manifest",
    ),
    (
        "npm-stale-lockfile",
        "node:22-slim",
        &[
            ("package.json", "{\"name\":\"a\",\"version\":\"1.0.0\",\"dependencies\":{\"is-odd\":\"3.0.1\"}}"),
            (
                "package-lock.json",
                "{\"name\":\"a\",\"version\":\"1.0.0\",\"lockfileVersion\":3,\"requires\":true,\"packages\":{\"\":{\"name\":\"a\",\"version\":\"1.0.0\"}}}",
            ),
        ],
        "RUN npm ci",
        "the lock file is missing or does not match the manifest",
    ),
    ("npm-no-package", "node:22-slim", &[], "RUN npm install @landfall-nobody-has-this/package", "a dependency was not found"),
    ("pip-no-package", "python:3.13-slim", &[], "RUN pip install landfall-nobody-has-this==9.9.9", "a dependency was not found"),
    (
        "pip-hash",
        "python:3.13-slim",
        &[("requirements.txt", "six==1.17.0 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n")],
        "RUN pip install --require-hashes -r requirements.txt",
        "a package is not the one that the lock file names",
    ),
    (
        "python-version",
        "python:3.13-slim",
        &[("pyproject.toml", "[project]\nname = \"a\"\nversion = \"1.0.0\"\nrequires-python = \">=3.99\"\n")],
        "RUN pip install .",
        "the project or a dependency asks for another version of the language",
    ),
    (
        "pip-compiler",
        "python:3.13-slim",
        &[],
        "RUN pip install --no-binary :all: psycopg2==2.9.11",
        "a dependency is compiled here, and a compiler or system library is missing",
    ),
    (
        "no-network",
        "node:22-slim",
        &[],
        "RUN npm install --registry http://registry.invalid --fetch-retries 0 is-odd",
        "the network or a package registry could not be reached from the build",
    ),
    (
        "node-memory",
        "node:22-slim",
        &[],
        "RUN node --max-old-space-size=20 -e \"const a = []; for (;;) a.push(new Array(1e5).fill({}))\"",
        "the build ran out of memory",
    ),
    ("disk", BASE, &[], "RUN dd if=/dev/zero of=/dev/full count=1", "there is no space left"),
    ("python-syntax", "python:3.13-slim", &[("main.py", "def broken(:\n")], "RUN python -m py_compile main.py", "the application does not compile"),
    (
        "go-compile",
        "golang:1.19-bookworm",
        &[("go.mod", "module a\n"), ("main.go", "package main\n\nfunc main() { missing() }\n")],
        "RUN go build .",
        "the application does not compile",
    ),
    ("variable", "python:3.13-slim", &[], "RUN python -c \"import os; os.environ['NEEDED']\"", "the build needs an environment variable that it was not given"),
    ("no-module", "python:3.13-slim", &[], "RUN python -c \"import nobody_has_this\"", "the application's own code stops while it is built"),
    (
        "database",
        "node:22-slim",
        &[],
        "RUN node -e \"require('net').connect(5432, '127.0.0.1')\"",
        "the build connects to a service that does not run during a build",
    ),
    ("no-program", BASE, &[], "RUN make-it-so", "a program is missing in the image"),
    ("no-permission", BASE, &[], "USER 10001\nRUN touch /etc/mine", "a file may not be read, written or run by the build's user"),
    ("no-file", BASE, &[], "COPY nowhere.txt /x", "a file that COPY or ADD names is not in the build context"),
    ("instruction", BASE, &[], "RUNN x", "the Dockerfile has an error"),
    ("no-cause", BASE, &[], "RUN exit 3", "the command did not end well"),
];

/// What was said of these builds is kept in tests/failures/builds.json, which the table of causes is tested with; LANDFALL_BLESS=1 writes it anew.
#[tokio::test]
async fn builds_that_really_fail_have_their_causes() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let images = DockerImages::new(state.path().to_owned());
    let full = std::env::var("LANDFALL_TEST_TIER").is_ok_and(|tier| tier == "full");
    let address = regex::Regex::new(r"(https?://)[^/\s]+").unwrap();
    let (mut kept, mut wrong) = (Vec::new(), Vec::new());
    for (name, base, files, instruction, cause) in BROKEN.iter().filter(|(_, base, ..)| full || *base == BASE) {
        let context = folder.path().join(name);
        std::fs::create_dir_all(&context).unwrap();
        let copy = if files.is_empty() { String::new() } else { "COPY . .\n".to_owned() };
        let failure =
            images.build(&proof, &request(name, &context, files, &format!("FROM {base}\nWORKDIR /src\n{copy}{instruction}\n")), &Silent).await.unwrap_err();
        if !failure.message.ends_with(&format!(": {cause}")) {
            wrong.push(format!("{name} is told as {failure:?}"));
        }
        let told = failure.message.split('"').nth(1).unwrap_or_default();
        let step = told.strip_prefix("step ").and_then(|told| told.split_once(' ')).map_or(told.to_owned(), |(place, rest)| format!("[{place}] {rest}"));
        let mut said = failure.causes.iter().map(|line| address.replace_all(line, "${1}registry.example").into_owned());
        let error = said.next().unwrap_or_default();
        kept.push(serde_json::json!({"name": name, "step": step, "error": error, "lines": said.collect::<Vec<_>>(), "cause": cause}));
    }
    if full && std::env::var("LANDFALL_BLESS").is_ok() {
        let text = serde_json::to_string_pretty(&kept).unwrap();
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/failures/builds.json"), text + "\n").unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_changed_line_rebuilds_only_the_last_layers() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let images = DockerImages::new(state.path().to_owned());
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generated/express");
    let survey = landfall::survey::survey(&project, &landfall::survey::Options::default()).unwrap();
    let config = landfall::config::Config::parse("schema = 1\n").unwrap();
    let app = landfall::names::AppName::parse("again").unwrap();
    let blueprint = landfall::blueprint::draw(&survey, &config, &app, &landfall::blueprint::Wishes::default()).unwrap();
    let files = landfall::render::dockerfiles(&blueprint, &survey).unwrap();
    let dockerfile = files.iter().find(|file| file.path == "Dockerfile").unwrap();
    let sources = ["package.json", "package-lock.json", "server.js"].map(|name| (name, std::fs::read_to_string(project.join(name)).unwrap()));
    let steps = async |server: &str| {
        let files: Vec<(&str, &str)> = sources.iter().map(|(name, text)| (*name, if *name == "server.js" { server } else { text.as_str() })).collect();
        let notes = Notes::default();
        let built = images.build(&proof, &request("layers", folder.path(), &files, &dockerfile.text), &notes).await.unwrap();
        let notes = notes.0.into_inner().unwrap();
        let ran: Vec<String> = notes
            .iter()
            .filter(|note| note.contains(": step ") && !notes.contains(&format!("{note} (cached)")) && !note.ends_with("(cached)"))
            .cloned()
            .collect();
        (built.id, ran)
    };
    let server = &sources[2].1;
    let (first, _) = steps(server).await;
    let installs = |ran: &[String]| ran.iter().any(|step| step.contains("npm ci"));
    // See above: while other builds begin from the same base, this engine does not see at once which steps it has.
    let began = Instant::now();
    let mut again = steps(server).await;
    while installs(&again.1) && began.elapsed() < Duration::from_secs(60) {
        again = steps(server).await;
    }
    assert_eq!((again.0, installs(&again.1)), (first.clone(), false), "the same sources are the same image: {:?}", again.1);
    // A line that no earlier run has built.
    let new = state.path().display();
    let (changed, ran) = steps(&format!("{server}\n// {new}\n")).await;
    assert_ne!(changed, first);
    assert!(!installs(&ran), "what is installed does not depend on the sources: {ran:?}");
    assert!(ran.iter().any(|step| step.contains("COPY")), "the changed line is built: {ran:?}");
    images.untag(&proof, &image("layers")).await.unwrap();
}

#[tokio::test]
async fn a_frontend_that_cannot_be_had_does_not_stop_a_build() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let images = DockerImages::new(state.path().to_owned());
    let request = request("frontend", folder.path(), &[("a.txt", "x")], &format!("# syntax=localhost:1/no-such/frontend:1\nFROM {BASE}\nCOPY a.txt /a.txt\n"));
    images.build(&proof, &request, &Silent).await.unwrap();
    images.untag(&proof, &request.reference).await.unwrap();
}

#[tokio::test]
async fn a_build_past_its_deadline_is_stopped() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let mut request = request("late", folder.path(), &[("a.txt", "x")], &format!("FROM {BASE}\nRUN sleep 61\n"));
    request.deadline = Duration::from_secs(4);
    let started = Instant::now();
    let failure = DockerImages::new(state.path().to_owned()).build(&proof, &request, &Silent).await.unwrap_err();
    assert_eq!(failure.code, Code::Deadline, "{failure}");
    assert!(failure.causes[0].contains("RUN sleep 61"), "{failure}");
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn starts_are_told_apart() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let images = DockerImages::new(state.path().to_owned());
    let request = request("start", folder.path(), &[("a.txt", "x")], &format!("FROM {BASE}\nCMD [\"sh\", \"-c\", \"echo up; sleep 60\"]\n"));
    images.build(&proof, &request, &Silent).await.unwrap();
    let with = |command: Option<&[&str]>| TryStart {
        command: command.map(|parts| parts.iter().map(|part| (*part).to_owned()).collect()),
        ..trial(request.reference.clone())
    };
    let healthy = images.try_start(&proof, &with(None)).await.unwrap();
    assert_eq!((healthy.exit_code, healthy.log.as_str(), healthy.error.as_str()), (None, "up", ""));
    let crashing = images.try_start(&proof, &with(Some(&["sh", "-c", "echo oh no >&2; exit 3"]))).await.unwrap();
    assert_eq!((crashing.exit_code, crashing.log.as_str()), (Some(3), "oh no"));
    let fenced = images.try_start(&proof, &with(Some(&["sh", "-c", "id -u; ls /sys/class/net; touch /x; touch /tmp/x && echo written"]))).await.unwrap();
    assert!(fenced.log.contains("10001\nlo\n") && fenced.log.contains("Read-only file system") && fenced.log.contains("written"), "{}", fenced.log);
    let missing = images.try_start(&proof, &with(Some(&["/no/such/program"]))).await.unwrap();
    assert!(missing.error.contains("/no/such/program") && missing.exit_code == Some(127), "{missing:?}");
    images.untag(&proof, &request.reference).await.unwrap();
}

#[tokio::test]
async fn a_secret_is_found_in_a_layer_after_its_deletion() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let images = DockerImages::new(state.path().to_owned());
    let dockerfile = format!("FROM {BASE}\nARG NPM_TOKEN\nCOPY . /app\nRUN rm /app/.env\nENV API_KEY=q8w7e6r5t4\n");
    let mut request = request("leak", folder.path(), &[(".env", "JWT_SECRET=8fj3kd93jf83jd\n"), ("main.py", "print()\n")], &dockerfile);
    request.build_args.insert("NPM_TOKEN".to_owned(), "t4r5e6w7q8".to_owned());
    images.build(&proof, &request, &Silent).await.unwrap();
    let found = images.secrets_in_layers(&proof, &request.reference).await.unwrap().join("\n");
    assert!(found.contains("/app/.env: an environment file with secret values"), "{found}");
    assert!(found.contains("environment API_KEY") && found.contains("the value of NPM_TOKEN"), "{found}");
    assert!(!found.contains("8fj3kd93jf83jd") && !found.contains("q8w7e6r5t4") && !found.contains("t4r5e6w7q8"), "{found}");
    images.untag(&proof, &request.reference).await.unwrap();
}

/// A namespace of a test, deleted again.
struct Room {
    name: Namespace,
    kubeconfig: std::path::PathBuf,
}

impl Room {
    fn new(proof: &Proof, name: &str) -> Self {
        let room = Self { name: Namespace::parse(format!("landfall-adapters-{name}-{}", std::process::id())).unwrap(), kubeconfig: proof.kubeconfig.clone() };
        assert!(room.kubectl(&["create", "namespace", room.name.as_str()]).status.success());
        room
    }

    fn kubectl(&self, arguments: &[&str]) -> std::process::Output {
        std::process::Command::new("kubectl").env("KUBECONFIG", &self.kubeconfig).args(arguments).output().unwrap()
    }

    fn value(&self) -> String {
        let out = self.kubectl(&["get", "configmap", "tiny", "-n", self.name.as_str(), "-o", "jsonpath={.data.value}"]);
        String::from_utf8(out.stdout).unwrap()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.kubectl(&["delete", "namespace", self.name.as_str(), "--wait=false"]);
    }
}

const TINY: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: tiny\ndata:\n  value: {{ .Values.value | quote }}\n";

fn chart(folder: &Path, templates: &[(&str, &str)]) -> std::path::PathBuf {
    let chart = folder.join("tiny");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: tiny\nversion: 0.1.0+abc\nicon: file://none\n").unwrap();
    std::fs::write(chart.join("values.yaml"), "value: \"1\"\n").unwrap();
    for (name, text) in templates {
        std::fs::write(chart.join("templates").join(name), text).unwrap();
    }
    chart
}

fn apply(room: &Room, folder: &Path, chart: &Path, value: &str) -> Apply {
    let values = folder.join(format!("values-{value}.yaml"));
    std::fs::write(&values, format!("value: \"{value}\"\n")).unwrap();
    Apply {
        namespace: room.name.clone(),
        release: release(),
        chart: chart.to_owned(),
        values: vec![values],
        labels: BTreeMap::from([("app-revision".to_owned(), format!("r{value}"))]),
        description: format!("value {value}"),
        deadline: Duration::from_secs(60),
    }
}

fn release() -> ReleaseName {
    ReleaseName::parse("tiny").unwrap()
}

#[tokio::test]
async fn a_chart_is_checked_installed_upgraded_rolled_back_and_uninstalled() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let room = Room::new(&proof, "life");
    let helm = Helm::new(state.path().to_owned());
    let chart = chart(folder.path(), &[("map.yaml", TINY)]);
    let lint = helm.lint(&chart, &[]).await.unwrap();
    assert!(lint.ok, "{}", lint.text);
    let rendered = helm.template(&chart, &release(), &room.name, &[], Some("1.34.4")).await.unwrap();
    assert!(rendered.ok && rendered.text.contains("value: \"1\""), "{}", rendered.text);
    let head = std::fs::read_to_string(chart.join("Chart.yaml")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), format!("{head}kubeVersion: \">=1.25.0-0\"\n")).unwrap();
    let unasked = helm.template(&chart, &release(), &room.name, &[], None).await.unwrap();
    assert!(unasked.ok, "a recent Kubernetes is taken where no cluster was asked: {}", unasked.text);
    let package = helm.package(&chart, &folder.path().join("out")).await.unwrap();
    assert!(package.path.ends_with("tiny-0.1.0+abc.tgz") && package.digest.len() == 64);
    assert_eq!(helm.history(&proof, &room.name, &release()).await.unwrap(), Vec::new());

    assert_eq!(helm.apply(&proof, &apply(&room, folder.path(), &chart, "1")).await.unwrap(), Revision(1));
    assert_eq!(helm.apply(&proof, &apply(&room, folder.path(), &chart, "2")).await.unwrap(), Revision(2));
    assert_eq!(room.value(), "2");
    let history = helm.history(&proof, &room.name, &release()).await.unwrap();
    assert_eq!(
        history.iter().map(|one| (one.revision.0, one.status.as_str(), one.description.as_str())).collect::<Vec<_>>(),
        [(1, "superseded", "value 1"), (2, "deployed", "value 2")]
    );
    let (manifest, values) = helm.recorded(&proof, &room.name, &release(), Revision(1)).await.unwrap();
    assert!(manifest.contains("value: \"1\"") && values.contains("value: \"1\""), "{manifest}{values}");

    // What a person changed by hand is overridden by going back.
    assert!(room.kubectl(&["patch", "configmap", "tiny", "-n", room.name.as_str(), "-p", "{\"data\":{\"value\":\"9\"}}"]).status.success());
    let back = helm.rollback(&proof, &room.name, &release(), Revision(1)).await.unwrap();
    assert!(back >= Revision(3));
    assert_eq!(room.value(), "1");
    let failure = helm.rollback(&proof, &room.name, &release(), Revision(77)).await.unwrap_err();
    assert!(failure.message.contains("no revision 77"), "{failure}");

    helm.uninstall(&proof, &room.name, &release()).await.unwrap();
    assert_eq!(helm.history(&proof, &room.name, &release()).await.unwrap(), Vec::new());
    helm.uninstall(&proof, &room.name, &release()).await.unwrap();
}

#[tokio::test]
async fn a_refused_object_fails_the_release_and_the_next_try_mends_it() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let room = Room::new(&proof, "refused");
    let helm = Helm::new(state.path().to_owned());
    let bad = chart(
        folder.path(),
        &[("map.yaml", TINY), ("service.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: tiny\nspec:\n  ports:\n  - port: 99999\n")],
    );
    let failure = helm.apply(&proof, &apply(&room, folder.path(), &bad, "1")).await.unwrap_err();
    assert_eq!(failure.code, Code::HelmFailed);
    assert!(failure.message.contains("revision 1 is failed"), "{failure}");
    std::fs::remove_file(bad.join("templates/service.yaml")).unwrap();
    assert_eq!(helm.apply(&proof, &apply(&room, folder.path(), &bad, "2")).await.unwrap(), Revision(2));
}

#[tokio::test]
async fn a_pending_release_is_repaired_once_its_helm_is_gone() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let proof = prove(state.path()).await;
    let room = Room::new(&proof, "pending");
    let helm = Helm::new(state.path().to_owned());
    let hook = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: wait\n  annotations:\n    helm.sh/hook: pre-install\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - name: wait\n        image: {BASE}\n        command: [sleep, \"60\"]\n"
    );
    let slow = chart(folder.path(), &[("map.yaml", TINY), ("hook.yaml", &hook)]);
    let began = Timestamp::now();
    let mut killed = std::process::Command::new("helm")
        .args(["install", "tiny", "--namespace", room.name.as_str(), "--kubeconfig"])
        .args([&proof.kubeconfig, &slow])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(helm.history(&proof, &room.name, &release()).await.unwrap()[0].status, "pending-install");
    std::fs::remove_file(slow.join("templates/hook.yaml")).unwrap();
    // Somebody else's helm may still be at it.
    let failure = helm.apply(&proof, &apply(&room, folder.path(), &slow, "1")).await.unwrap_err();
    assert_eq!(failure.code, Code::HelmPending, "{failure}");
    // It was ours, and its lock is free: it is dead.
    let lock = state.path().join("helm/locks").join(format!("{}.{}.tiny", proof.profile.name, room.name));
    std::fs::write(lock, began.to_string()).unwrap();
    let done = helm.repair(&proof, &room.name, &release(), None).await.unwrap().unwrap();
    assert!(done.contains("pending-install") && done.contains("uninstalled"), "{done}");
    assert_eq!(helm.apply(&proof, &apply(&room, folder.path(), &slow, "1")).await.unwrap(), Revision(1));
    assert_eq!(helm.repair(&proof, &room.name, &release(), None).await.unwrap(), None);
}
