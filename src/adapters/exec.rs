//! The only place that spawns a process: found, fenced, timed and killed as a group; it never runs a shell and never lets a child read our input.

use crate::failure::{Code, Failure};
use crate::secret::plain;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// What is kept of each stream unless the caller says otherwise: the newest bytes.
const CAP: usize = 8 * 1024 * 1024;
/// How long a program may go on after SIGTERM unless the caller says otherwise.
const GRACE: Duration = Duration::from_secs(5);
/// How long the pipes of a program that has ended are still read: a grandchild may hold them open for ever.
const LINGER: Duration = Duration::from_secs(1);

/// Which of its streams a program wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// A program to run. The environment is built up from `HOME` and `PATH`; nothing else of ours is passed on.
#[derive(Debug)]
pub struct Run {
    program: String,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    folder: Option<PathBuf>,
    input: Option<std::fs::File>,
    deadline: Duration,
    grace: Duration,
    cap: usize,
}

/// What a program did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its name, for failures.
    pub program: String,
    /// None where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// True where one of the streams was longer than the cap, and only its end was kept.
    pub cut: bool,
    pub elapsed: Duration,
}

impl Run {
    /// A program by its name on the search path, or by an absolute path; 30 s unless told otherwise.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            folder: None,
            input: None,
            deadline: Duration::from_secs(30),
            grace: GRACE,
            cap: CAP,
        }
    }

    /// Adds one argument. Arguments can be read by everybody on the machine: never a secret.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets one variable of the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(name.into(), value.as_ref().to_owned());
        self
    }

    /// Runs in this folder instead of a fresh empty one.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Gives the child this open file as its input instead of nothing. A lock on the file is held for as long as the child lives.
    #[must_use]
    pub fn input(mut self, file: std::fs::File) -> Self {
        self.input = Some(file);
        self
    }

    /// How long it may take in all.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long it may go on after SIGTERM before it is killed.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How many bytes of each stream are kept, the newest.
    #[must_use]
    pub fn cap(mut self, bytes: usize) -> Self {
        self.cap = bytes;
        self
    }

    /// Runs it to its end. `PROGRAM_MISSING` where it is not on this machine, `DEADLINE` where it took too long; an exit code is no failure.
    /// Dropping the future asks the whole process group to stop, and kills it after the grace.
    pub async fn output(self) -> Result<Ran, Failure> {
        self.lines(&mut |_, _| {}).await
    }

    /// As `output`, and calls back with every line as it comes.
    pub async fn lines(self, heard: &mut (dyn FnMut(Stream, &str) + Send)) -> Result<Ran, Failure> {
        let path = locate(&self.program).ok_or_else(|| missing(&self.program))?;
        let empty = match &self.folder {
            Some(_) => None,
            None => Some(EmptyFolder::make()?),
        };
        let folder = self.folder.as_deref().or(empty.as_ref().map(|folder| folder.0.as_path())).unwrap_or(Path::new("/"));
        let mut command = Command::new(&path);
        command.args(&self.arguments).env_clear().env("PATH", search_path());
        if let Some(home) = std::env::var_os("HOME") {
            command.env("HOME", home);
        }
        command
            .envs(&self.environment)
            .current_dir(folder)
            .stdin(self.input.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let started = Instant::now();
        let child = command.spawn().map_err(|error| {
            Failure::new(Code::ProgramFailed, format!("start {}", path.display())).cause(error).help(format!("run '{} --help' in a terminal", self.program))
        })?;
        let mut group = Group { process: child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw), child: Some(child), grace: self.grace };
        let (out, err, code) = group.follow(&self.program, self.deadline, self.cap, heard).await?;
        let cut = out.cut || err.cut;
        Ok(Ran { program: self.program, code, stdout: out.text(), stderr: err.text(), cut, elapsed: started.elapsed() })
    }
}

impl Ran {
    /// True where it ended with exit code 0.
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// `exit code N`, or that a signal ended it.
    pub fn ended(&self) -> String {
        self.code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}"))
    }

    /// Reads its standard output as JSON; says what it printed where it is none.
    pub fn json<T: serde::de::DeserializeOwned>(&self, doing: &str) -> Result<T, Failure> {
        serde_json::from_str(self.stdout.trim())
            .map_err(|error| self.failure(doing).cause(format!("not the JSON that was expected: {error}")).cause(plain(self.stdout.trim(), 200)))
    }

    /// `PROGRAM_FAILED` with the exit code and the last lines.
    pub fn failure(&self, doing: &str) -> Failure {
        let mut failure = Failure::new(Code::ProgramFailed, format!("{doing}: {} {}", self.program, self.ended()));
        for line in last_lines(if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr }, 12) {
            failure = failure.cause(line);
        }
        failure.help(format!("run the same {} command in a terminal to see all of its output", self.program))
    }
}

/// The last lines that are not empty, oldest first.
pub fn last_lines(text: &str, count: usize) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().rev().map(str::trim_end).filter(|line| !line.trim().is_empty()).take(count).collect();
    lines.reverse();
    lines
}

/// Where a program is: on `PATH`, or where package managers put programs that an editor's environment does not know.
pub fn locate(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        let path = PathBuf::from(program);
        return (path.is_absolute() && executable(&path)).then_some(path);
    }
    folders().into_iter().map(|folder| folder.join(program)).find(|path| executable(path))
}

/// `PROGRAM_MISSING` with the command that installs it.
pub fn missing(program: &str) -> Failure {
    Failure::new(Code::ProgramMissing, format!("{program} is neither on PATH nor where package managers put it")).help(installs(program))
}

/// The command that installs a program on this kind of machine.
pub fn installs(program: &str) -> String {
    let mac = cfg!(target_os = "macos");
    let text = match (program, mac) {
        ("minikube" | "helm" | "kubectl" | "trivy" | "grype", true) => return format!("brew install {program}"),
        ("docker", true) => "install Docker Desktop, or: brew install colima docker && colima start",
        ("minikube", false) => "install minikube: https://minikube.sigs.k8s.io/docs/start",
        ("helm", false) => "install Helm: https://helm.sh/docs/intro/install (or: sudo snap install helm --classic)",
        ("kubectl", false) => "install kubectl: https://kubernetes.io/docs/tasks/tools (or: sudo snap install kubectl --classic)",
        ("docker", false) => "install Docker Engine: https://docs.docker.com/engine/install (Debian, Ubuntu: sudo apt install docker.io)",
        ("trivy", false) => "install trivy: https://trivy.dev (Debian, Ubuntu: sudo apt install trivy, from its own repository)",
        _ => return format!("install {program} and put it on PATH"),
    };
    text.to_owned()
}

/// The folders that are searched, in their order, without repetition. Relative entries of `PATH` are left out.
fn folders() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let inside = |name: &str| home.as_ref().map(|home| home.join(name));
    let known = ["/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin", "/home/linuxbrew/.linuxbrew/bin", "/snap/bin", "/run/current-system/sw/bin"];
    let mut all: Vec<PathBuf> = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    all.extend(known.iter().map(PathBuf::from));
    all.extend([".local/bin", "bin", ".nix-profile/bin", ".rd/bin"].iter().filter_map(|name| inside(name)));
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|folder| folder.is_absolute() && seen.insert(folder.clone()));
    all
}

fn search_path() -> OsString {
    std::env::join_paths(folders()).unwrap_or_else(|_| OsString::from("/usr/local/bin:/usr/bin:/bin"))
}

fn executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// A fresh, private, empty folder, removed again.
struct EmptyFolder(PathBuf);

impl EmptyFolder {
    fn make() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("landfall-run-{}", crate::secret::noise::<8>()?));
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| Failure::file("make the folder", &path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for EmptyFolder {
    fn drop(&mut self) {
        // What a program left there is nobody's; a folder that cannot be removed stays for the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The newest bytes of a stream, and its lines as they come.
struct Kept {
    bytes: Vec<u8>,
    line: Vec<u8>,
    cap: usize,
    cut: bool,
    last: String,
}

impl Kept {
    fn new(cap: usize) -> Self {
        Self { bytes: Vec::new(), line: Vec::new(), cap, cut: false, last: String::new() }
    }

    fn push(&mut self, chunk: &[u8], mut heard: impl FnMut(&str)) {
        self.bytes.extend_from_slice(chunk);
        // Cutting only at twice the cap keeps the cost linear.
        if self.bytes.len() > self.cap.saturating_mul(2) {
            self.trim();
        }
        for byte in chunk {
            match byte {
                b'\n' | b'\r' => self.flush(&mut heard),
                _ if self.line.len() < 64 * 1024 => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn flush(&mut self, mut heard: impl FnMut(&str)) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if !line.trim().is_empty() {
            heard(&line);
            self.last = line;
        }
    }

    fn trim(&mut self) {
        let over = self.bytes.len().saturating_sub(self.cap);
        if over > 0 {
            self.cut = true;
            self.bytes.drain(..over);
        }
    }

    fn text(mut self) -> String {
        self.trim();
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// How far the stopping of a program has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Runs,
    Asked,
    Killed,
}

/// A running process group. Dropped before its end, it is stopped in the background.
struct Group {
    child: Option<Child>,
    process: Option<Pid>,
    grace: Duration,
}

impl Group {
    fn signal(&self, signal: Signal) {
        // The leader has not been waited for while `child` is there, so the number cannot have been given to another group.
        if let Some(process) = self.process {
            let _ = kill_process_group(process, signal);
        }
    }

    async fn follow(
        &mut self,
        program: &str,
        deadline: Duration,
        cap: usize,
        heard: &mut (dyn FnMut(Stream, &str) + Send),
    ) -> Result<(Kept, Kept, Option<i32>), Failure> {
        let (mut kept_out, mut kept_err) = (Kept::new(cap), Kept::new(cap));
        let Some((mut stdout, mut stderr)) = self.child.as_mut().and_then(|child| child.stdout.take().zip(child.stderr.take())) else {
            return Err(Failure::internal(format!("read what {program} prints")));
        };
        let (mut chunk_out, mut chunk_err) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
        let (mut out_open, mut err_open, mut ended) = (true, true, None);
        let mut phase = Phase::Runs;
        let mut limit = tokio::time::Instant::now() + deadline;
        while ended.is_none() || out_open || err_open {
            tokio::select! {
                read = stdout.read(&mut chunk_out), if out_open => match read {
                    Ok(count @ 1..) => kept_out.push(chunk_out.get(..count).unwrap_or_default(), |line| heard(Stream::Out, line)),
                    _ => out_open = false,
                },
                read = stderr.read(&mut chunk_err), if err_open => match read {
                    Ok(count @ 1..) => kept_err.push(chunk_err.get(..count).unwrap_or_default(), |line| heard(Stream::Err, line)),
                    _ => err_open = false,
                },
                status = wait(&mut self.child), if ended.is_none() => {
                    self.child = None;
                    ended = Some(status);
                    limit = tokio::time::Instant::now() + LINGER;
                }
                () = tokio::time::sleep_until(limit) => match (ended.is_some(), phase) {
                    (true, _) => break,
                    (false, Phase::Runs) => {
                        self.signal(Signal::TERM);
                        (phase, limit) = (Phase::Asked, tokio::time::Instant::now() + self.grace);
                    }
                    (false, Phase::Asked) => {
                        self.signal(Signal::KILL);
                        (phase, limit) = (Phase::Killed, tokio::time::Instant::now() + GRACE);
                    }
                    (false, Phase::Killed) => break,
                },
            }
        }
        kept_out.flush(|line| heard(Stream::Out, line));
        kept_err.flush(|line| heard(Stream::Err, line));
        if phase != Phase::Runs {
            let last = if kept_err.last.is_empty() { &kept_out.last } else { &kept_err.last };
            let seen = if last.is_empty() { "it printed nothing".to_owned() } else { format!("its last line was: {}", plain(last, 300)) };
            return Err(Failure::new(Code::Deadline, format!("{program} did not end within {} s", deadline.as_secs()))
                .cause(seen)
                .help(format!("see whether {program} answers in a terminal, then call again")));
        }
        Ok((kept_out, kept_err, ended.flatten()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let (Some(process), Ok(runtime)) = (self.process, tokio::runtime::Handle::try_current()) else {
            if let Some(process) = self.process {
                let _ = kill_process_group(process, Signal::KILL);
            }
            return;
        };
        let _ = kill_process_group(process, Signal::TERM);
        let grace = self.grace;
        runtime.spawn(async move {
            if tokio::time::timeout(grace, child.wait()).await.is_err() {
                let _ = kill_process_group(process, Signal::KILL);
                let _ = child.wait().await;
            }
        });
    }
}

/// The exit code once the child has ended; never where there is no child.
async fn wait(child: &mut Option<Child>) -> Option<i32> {
    match child {
        Some(child) => child.wait().await.ok().and_then(|status| status.code()),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Run {
        Run::new("sh").arg("-c").arg(script)
    }

    fn alive(process: i32) -> bool {
        // A killed process that nobody has reaped yet is a zombie: dead as well.
        std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
    }

    #[tokio::test]
    async fn the_environment_is_built_up_and_the_folder_is_empty() {
        let ran = shell("env; ls -A | wc -l; pwd").env("GIVEN", "yes").output().await.unwrap();
        let names: Vec<&str> = ran.stdout.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        assert!(names.contains(&"GIVEN") && names.contains(&"PATH"));
        for name in names {
            assert!(["GIVEN", "HOME", "PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name), "{name}");
        }
        assert!(ran.stdout.lines().any(|line| line.trim() == "0"), "{}", ran.stdout);
        let folder = ran.stdout.lines().last().unwrap().to_owned();
        assert!(!Path::new(&folder).exists(), "{folder} is left behind");
    }

    #[tokio::test]
    async fn a_missing_program_says_how_to_get_it() {
        let failure = Run::new("minikube-that-is-not-there").output().await.unwrap_err();
        assert_eq!(failure.code, Code::ProgramMissing);
        assert!(failure.help.contains("install"));
        assert!(Run::new("./relative").output().await.is_err(), "a relative path is not run");
    }

    #[tokio::test]
    async fn output_is_capped_at_its_newest_bytes() {
        let ran = shell("i=0; while [ $i -lt 2000 ]; do echo line-$i; i=$((i+1)); done").cap(100).output().await.unwrap();
        assert!(ran.cut && ran.stdout.len() <= 100 && ran.stdout.ends_with("line-1999\n"), "{:?}", ran.stdout);
    }

    #[tokio::test]
    async fn lines_are_heard_as_they_come() {
        let mut heard = Vec::new();
        let ran = shell("echo one; echo two >&2; printf three; exit 3").lines(&mut |stream, line| heard.push((stream, line.to_owned()))).await.unwrap();
        heard.sort_by(|left, right| left.1.cmp(&right.1));
        assert_eq!(heard, [(Stream::Out, "one".to_owned()), (Stream::Out, "three".to_owned()), (Stream::Err, "two".to_owned())]);
        assert_eq!(ran.code, Some(3));
        assert_eq!(ran.failure("try").message, "try: sh exit code 3");
    }

    #[tokio::test]
    async fn the_deadline_kills_the_group_and_says_what_was_seen() {
        let started = Instant::now();
        let script = "sh -c 'trap \"\" TERM; echo $$; sleep 60' & trap '' TERM; sleep 60; sleep 60";
        let mut child = None;
        let failure = shell(script)
            .deadline(Duration::from_millis(400))
            .grace(Duration::from_millis(200))
            .lines(&mut |_, line| child = line.parse::<i32>().ok())
            .await
            .unwrap_err();
        assert_eq!(failure.code, Code::Deadline);
        assert!(failure.causes[0].contains("its last line was"), "{failure}");
        assert!(started.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!alive(child.unwrap()), "the grandchild lives on");
    }

    #[tokio::test]
    async fn dropping_the_future_stops_the_group() {
        let (send, receive) = std::sync::mpsc::channel();
        let run = shell("sleep 60 & echo $!; wait").grace(Duration::from_millis(200));
        let mut heard = move |_: Stream, line: &str| {
            let _ = send.send(line.parse::<i32>());
        };
        let _ = tokio::time::timeout(Duration::from_millis(500), run.lines(&mut heard)).await;
        let child = receive.try_recv().unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(!alive(child));
    }

    #[tokio::test]
    async fn a_grandchild_that_holds_the_pipe_does_not_hang_us() {
        let started = Instant::now();
        let ran = shell("sleep 30 & echo done").output().await.unwrap();
        assert_eq!(ran.stdout.trim(), "done");
        assert!(started.elapsed() < Duration::from_secs(15));
    }

    #[tokio::test]
    async fn a_lock_on_the_input_lives_as_long_as_the_child() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let open = || std::fs::OpenOptions::new().create(true).append(true).read(true).open(&path).unwrap();
        let file = open();
        file.try_lock().unwrap();
        let run = tokio::spawn(shell("sleep 0.5").input(file).output());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(open().try_lock().is_err());
        run.await.unwrap().unwrap();
        // Another child that is just being made may hold a copy of it for a moment.
        let began = Instant::now();
        while open().try_lock().is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "nobody holds it any more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
