//! One build: the context as a stream, secrets by our own session, progress from BuildKit's vertexes, and a diagnosis where a step fails.

use super::causes::cause;
use super::{facts, refused};
use crate::adapters::buildkit_session::Session;
use crate::adapters::engine::{Engine, chain};
use crate::failure::{Code, Failure};
use crate::ports::{BuildRequest, ImageFacts, Progress};
use crate::secret::plain;
use bollard::errors::Error;
use bollard::moby::buildkit::v1::StatusResponse;
use bollard::models::BuildInfoAux;
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use bytes::Bytes;
use futures::StreamExt as _;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Lines of log kept per step.
const KEPT: usize = 200;
/// Lines of log shown of a failed step.
const SHOWN: usize = 20;

/// Builds the image and answers what the engine says of it.
pub(super) async fn build(engine: &Engine, request: &BuildRequest, progress: &dyn Progress) -> Result<ImageFacts, Failure> {
    let began = tokio::time::Instant::now();
    let left = || request.deadline.saturating_sub(began.elapsed());
    let first = attempt(engine, request, &request.dockerfile, left(), progress).await;
    let failure = match first {
        Ok(id) => return built(engine, request, &id).await,
        Err(failure) => failure,
    };
    // The engine's own frontend knows what nearly every Dockerfile needs; the one that the syntax line names must be pulled first.
    let Some(plainer) = without_syntax(&request.dockerfile).filter(|_| !failure.ran) else { return Err(failure.failure) };
    progress.note("the Dockerfile's frontend cannot be had: building with the engine's own");
    match attempt(engine, request, &plainer, left(), progress).await {
        Ok(id) => built(engine, request, &id).await,
        Err(again) => Err(again.failure.cause(format!("with the Dockerfile's own frontend: {}", failure.failure.message))),
    }
}

async fn built(engine: &Engine, request: &BuildRequest, id: &str) -> Result<ImageFacts, Failure> {
    let found = facts(engine, request.reference.as_str()).await?;
    let found =
        found.ok_or_else(|| Failure::new(Code::BuildFailed, format!("{} was built and the engine does not have it", request.reference)).help("call again"))?;
    if found.id.trim_start_matches("sha256:") == id.trim_start_matches("sha256:") {
        return Ok(found);
    }
    Err(Failure::new(Code::BuildFailed, format!("{} is another image than the one that was just built", request.reference))
        .cause(format!("built {id}, tagged {}", found.id))
        .help("somebody tags the same reference at the same time; call again"))
}

/// A failed attempt, and whether any step had run by then.
struct Failed {
    failure: Failure,
    ran: bool,
}

async fn attempt(engine: &Engine, request: &BuildRequest, dockerfile: &str, limit: std::time::Duration, progress: &dyn Progress) -> Result<String, Failed> {
    let early = |failure| Failed { failure, ran: true };
    let session = Session::open(engine, request.secrets.clone()).await.map_err(early)?;
    let context = Context::of(request, dockerfile).map_err(early)?;
    let named = context.dockerfile.clone();
    let (body, trouble) = context.stream();
    let hash = |map: &BTreeMap<String, String>| map.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<HashMap<_, _>>();
    let options = BuildImageOptionsBuilder::default()
        .t(request.reference.as_str())
        .dockerfile(&named)
        .buildargs(&hash(&request.build_args))
        .labels(&hash(&request.labels))
        .version(BuilderVersion::BuilderV1)
        .session(session.id())
        .build();
    let mut tracker = Tracker::new(request);
    let mut id = None;
    let mut stream = std::pin::pin!(engine.docker().build_image(options, None, Some(bollard::body_try_stream(body))));
    let end = tokio::time::Instant::now() + limit;
    let error = loop {
        let item = match tokio::time::timeout_at(end, stream.next()).await {
            Ok(Some(Ok(item))) => item,
            Ok(Some(Err(error))) => break Some(error),
            Ok(None) => break None,
            Err(_) => return Err(early(tracker.late(request))),
        };
        match item.aux {
            Some(BuildInfoAux::BuildKit(status)) => tracker.hear(status, progress),
            // Not the last item: what comes after it may still be an error.
            Some(BuildInfoAux::Default(image)) => id = image.id.or(id),
            None => {}
        }
    };
    let unread = trouble.lock().ok().and_then(|mut trouble| trouble.take());
    match (error, unread, id) {
        (None, _, Some(id)) => Ok(id),
        (_, Some(failure), _) => Err(early(failure)),
        (Some(Error::DockerStreamError { error }), None, _) => Err(Failed { failure: tracker.diagnose(&error), ran: tracker.ran() }),
        (Some(error @ Error::DockerResponseServerError { .. }), None, _) => Err(Failed { failure: tracker.diagnose(&chain(&error)), ran: tracker.ran() }),
        (Some(error), None, _) => Err(early(refused(&format!("build {}", request.reference), engine, &error))),
        (None, None, None) => Err(early(tracker.diagnose("the build ended without an image"))),
    }
}

/// The Dockerfile without its `# syntax=` line; None where it has none.
fn without_syntax(dockerfile: &str) -> Option<String> {
    let is_directive = |line: &&str| {
        let line = line.trim_start();
        line.starts_with('#') && line.trim_start_matches('#').trim_start().to_ascii_lowercase().starts_with("syntax") && line.contains('=')
    };
    // Directives stand before everything else.
    let at = dockerfile.lines().take_while(|line| line.trim_start().starts_with('#')).position(|line| is_directive(&line))?;
    // An empty comment keeps the numbers of the lines.
    Some(dockerfile.lines().enumerate().map(|(number, line)| if number == at { "#" } else { line }).collect::<Vec<_>>().join("\n") + "\n")
}

/// What the build may see: files of the folder, and the Dockerfile's text.
struct Context {
    folder: PathBuf,
    files: Vec<String>,
    /// The Dockerfile's path in the context.
    dockerfile: String,
    /// The text, where no file of the context has it.
    text: Option<String>,
}

impl Context {
    fn of(request: &BuildRequest, dockerfile: &str) -> Result<Self, Failure> {
        for file in &request.files {
            let inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
            if file.is_empty() || !inside {
                return Err(Failure::internal(format!("the file {file:?} lies outside the build context")));
            }
        }
        let same = |file: &&String| {
            Path::new(file.as_str()).file_name().is_some_and(|name| name.to_string_lossy().contains("Dockerfile"))
                && std::fs::read_to_string(request.context.join(file.as_str())).is_ok_and(|text| text == dockerfile)
        };
        let (named, text) = match request.files.iter().find(same) {
            Some(file) => (file.clone(), None),
            None => (".landfall.Dockerfile".to_owned(), Some(dockerfile.to_owned())),
        };
        let files = request.files.iter().filter(|file| **file != named || text.is_none()).cloned().collect();
        Ok(Self { folder: request.context.clone(), files, dockerfile: named, text })
    }

    /// The context as a tar stream, made as fast as the engine reads it; the second value says why it broke off, where it did.
    fn stream(self) -> (impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static, Arc<Mutex<Option<Failure>>>) {
        let (send, receive) = mpsc::channel::<io::Result<Bytes>>(16);
        let trouble = Arc::new(Mutex::new(None));
        let told = trouble.clone();
        tokio::task::spawn_blocking(move || {
            let pipe = Pipe { send: send.clone(), buffer: Vec::with_capacity(Pipe::CHUNK) };
            if let Err((path, error)) = self.write(pipe)
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                if let Ok(mut told) = told.lock() {
                    *told = Some(Failure::file("read a file of the build context", &path, &error));
                }
                // Without this the engine would take the torn archive for a whole one.
                let _ = send.blocking_send(Err(error));
            }
        });
        let stream = futures::stream::unfold(receive, |mut receive| async { receive.recv().await.map(|chunk| (chunk, receive)) });
        (stream, trouble)
    }

    fn write(self, pipe: Pipe) -> Result<(), (PathBuf, io::Error)> {
        let mut archive = tar::Builder::new(pipe);
        // The same files give the same bytes, whoever checked them out and when.
        archive.mode(tar::HeaderMode::Deterministic);
        archive.follow_symlinks(false);
        if let Some(text) = &self.text {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, &self.dockerfile, text.as_bytes()).map_err(|error| (PathBuf::from(&self.dockerfile), error))?;
        }
        for file in &self.files {
            let path = self.folder.join(file);
            archive.append_path_with_name(&path, file).map_err(|error| (path, error))?;
        }
        let end = |error| (self.folder.clone(), error);
        io::Write::flush(&mut archive.into_inner().map_err(end)?).map_err(end)
    }
}

/// Hands what is written to a channel, in chunks.
struct Pipe {
    send: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Pipe {
    const CHUNK: usize = 64 * 1024;
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= Self::CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(Self::CHUNK));
        self.send.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A vertex of the build.
#[derive(Debug, Default)]
struct Step {
    name: String,
    started: bool,
    completed: bool,
    cached: bool,
    error: String,
    log: VecDeque<String>,
    line: String,
}

/// What was heard of a build so far.
struct Tracker {
    image: String,
    /// Build secrets, to be taken out of every line.
    secrets: Vec<crate::secret::Secret>,
    steps: BTreeMap<String, Step>,
    order: Vec<String>,
    last: String,
}

impl Tracker {
    fn new(request: &BuildRequest) -> Self {
        let secrets = request.secrets.values().filter(|secret| secret.reveal().trim().len() >= 4).cloned().collect();
        Self { image: request.reference.to_string(), secrets, steps: BTreeMap::new(), order: Vec::new(), last: String::new() }
    }

    /// A text of the build without the values of its secrets.
    fn clean(&self, text: &str, limit: usize) -> String {
        let text = self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.reveal().trim(), "***"));
        plain(&text, limit)
    }

    /// True once an instruction of the Dockerfile began.
    fn ran(&self) -> bool {
        self.steps.values().any(|step| step.started && place(&step.name).is_some())
    }

    fn hear(&mut self, status: StatusResponse, progress: &dyn Progress) {
        for vertex in status.vertexes {
            if !self.steps.contains_key(&vertex.digest) {
                self.order.push(vertex.digest.clone());
            }
            let step = self.steps.entry(vertex.digest).or_default();
            let begins = vertex.started.is_some() && !step.started;
            step.name = vertex.name;
            step.started |= vertex.started.is_some();
            step.completed |= vertex.completed.is_some();
            step.cached |= vertex.cached;
            if !vertex.error.is_empty() {
                step.error = vertex.error;
            }
            if begins || (step.cached && step.completed) {
                let text = told(&step.name, step.cached);
                if text != self.last {
                    let text = self.clean(&text, 200);
                    progress.note(&format!("building {}: {text}", short(&self.image)));
                    self.last = text;
                }
            }
        }
        for log in status.logs {
            let step = self.steps.entry(log.vertex).or_default();
            step.line.push_str(&String::from_utf8_lossy(&log.msg));
            while let Some((line, rest)) = step.line.split_once('\n') {
                // A carriage return starts the line anew: only the last state of a progress bar counts.
                let line = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned();
                let rest = rest.to_owned();
                step.line = rest;
                if !line.trim().is_empty() {
                    step.log.push_back(line);
                }
                if step.log.len() > KEPT {
                    step.log.pop_front();
                }
            }
        }
        let (done, total) = self.amount();
        if total > 0 {
            progress.amount(done, total);
        }
    }

    /// Steps done and steps in all, over all stages.
    fn amount(&self) -> (u64, u64) {
        let mut stages: BTreeMap<&str, u64> = BTreeMap::new();
        let mut done = 0;
        for step in self.steps.values() {
            let Some((stage, _, of)) = place(&step.name) else { continue };
            stages.insert(stage, of);
            done += u64::from(step.completed && step.error.is_empty());
        }
        let total = stages.values().sum();
        (done.min(total), total)
    }

    /// The deadline has passed.
    fn late(&self, request: &BuildRequest) -> Failure {
        let last = if self.last.is_empty() { "no step had begun" } else { &self.last };
        Failure::new(Code::Deadline, format!("build {} did not end within {} s", self.image, request.deadline.as_secs()))
            .cause(format!("last seen: {last}"))
            .help("call again: finished steps are kept in the build cache; or allow more with deadline_s")
    }

    /// `BUILD_FAILED` with the failed step, its last lines and a cause.
    fn diagnose(&self, error: &str) -> Failure {
        let failed = self.order.iter().filter_map(|digest| self.steps.get(digest)).filter(|step| !step.error.is_empty());
        // A cancelled neighbour fails as well; the one with its own words is the cause.
        let step = failed.max_by_key(|step| (!step.error.contains("context canceled"), place(&step.name).is_some()));
        let mut lines: Vec<String> = step.map(|step| step.log.iter().cloned().collect()).unwrap_or_default();
        lines.extend(step.map(|step| step.line.trim().to_owned()).filter(|line| !line.is_empty()));
        let name = step.map(|step| step.name.as_str()).unwrap_or_default();
        let cause = cause(name, error, &lines);
        let step_text = match step {
            Some(step) => format!("step {:?} failed", self.clean(&told(&step.name, false), 200)),
            None => "the Dockerfile could not be used".to_owned(),
        };
        let mut failure = Failure::new(cause.code, format!("build {}: {step_text}: {}", short(&self.image), cause.what)).help(cause.help);
        failure.owner = cause.owner;
        failure.causes.push(self.clean(error, 400));
        failure.causes.extend(shown(&lines, cause.words).into_iter().map(|line| self.clean(line, 300)));
        failure
    }
}

/// The last lines of a step; before them the one that tells the cause, where a program went on to explain its options.
fn shown<'l>(lines: &'l [String], words: &[&str]) -> Vec<&'l String> {
    let from = lines.len().saturating_sub(SHOWN);
    let tells = |line: &&String| words.iter().any(|word| line.to_lowercase().contains(word));
    let last = lines.iter().skip(from);
    match lines.iter().take(from).find(tells).filter(|_| !last.clone().any(|line| tells(&line))) {
        Some(telling) => std::iter::once(telling).chain(last.skip(1)).collect(),
        None => last.collect(),
    }
}

/// Stage, number and count of `[builder 2/7] RUN …`; the stage of `[2/7] RUN …` is empty.
fn place(name: &str) -> Option<(&str, u64, u64)> {
    let (inside, _) = name.strip_prefix('[')?.split_once(']')?;
    let (stage, numbers) = inside.rsplit_once(' ').unwrap_or(("", inside));
    let (number, of) = numbers.split_once('/')?;
    Some((stage.trim(), number.trim().parse().ok()?, of.trim().parse().ok()?))
}

/// A vertex's name for people: `step 2/7 RUN pip install`, or what BuildKit calls its own steps.
fn told(name: &str, cached: bool) -> String {
    let instruction = name.split_once(']').map_or(name, |(_, rest)| rest).trim();
    let instruction = instruction.split_whitespace().collect::<Vec<_>>().join(" ");
    let cached = if cached { " (cached)" } else { "" };
    match place(name) {
        Some(("" | "stage-0", number, of)) => format!("step {number}/{of} {instruction}{cached}"),
        Some((stage, number, of)) => format!("step {number}/{of} of {stage}: {instruction}{cached}"),
        None => format!("{instruction}{cached}"),
    }
}

/// The last part of the repository: what people call the image.
fn short(image: &str) -> &str {
    let repository = image.rsplit_once(':').map_or(image, |(repository, _)| repository);
    repository.rsplit('/').next().unwrap_or(repository)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::moby::buildkit::v1::{Vertex, VertexLog};
    use std::time::Duration;

    fn request(files: &[&str], folder: &Path) -> BuildRequest {
        BuildRequest {
            reference: crate::names::ImageRef::parse("localhost/todo/backend:0a1b").unwrap(),
            context: folder.to_owned(),
            files: files.iter().map(|file| (*file).to_owned()).collect(),
            dockerfile: "FROM scratch\n".to_owned(),
            build_args: BTreeMap::new(),
            secrets: BTreeMap::from([("token".to_owned(), crate::secret::Secret::new("hunter2horse\n"))]),
            labels: BTreeMap::new(),
            deadline: Duration::from_secs(1),
        }
    }

    fn vertex(digest: &str, name: &str, started: bool, completed: bool, error: &str) -> Vertex {
        let at = |set: bool| set.then(Default::default);
        Vertex {
            digest: digest.to_owned(),
            name: name.to_owned(),
            started: at(started),
            completed: at(completed),
            error: error.to_owned(),
            ..Vertex::default()
        }
    }

    fn log(digest: &str, text: &str) -> VertexLog {
        VertexLog { vertex: digest.to_owned(), stream: 2, msg: text.as_bytes().to_vec(), ..VertexLog::default() }
    }

    fn status(vertexes: Vec<Vertex>, logs: Vec<VertexLog>) -> StatusResponse {
        StatusResponse { vertexes, logs, ..StatusResponse::default() }
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);
    impl Progress for Heard {
        fn note(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
        fn amount(&self, done: u64, total: u64) {
            self.0.lock().unwrap().push(format!("{done}/{total}"));
        }
    }

    #[test]
    fn progress_counts_the_steps_of_all_stages() {
        let heard = Heard::default();
        let mut tracker = Tracker::new(&request(&[], Path::new("/")));
        let first = vec![
            vertex("a", "[internal] load build definition from Dockerfile", true, true, ""),
            vertex("b", "[builder 1/2] FROM x", false, false, ""),
            vertex("c", "[builder 2/2] RUN  npm ci", true, false, ""),
            vertex("d", "[stage-1 1/3] COPY a b", false, false, ""),
        ];
        tracker.hear(status(first, Vec::new()), &heard);
        tracker.hear(status(vec![vertex("c", "[builder 2/2] RUN  npm ci", true, true, "")], Vec::new()), &heard);
        let heard = heard.0.into_inner().unwrap();
        assert_eq!(heard, ["building backend: load build definition from Dockerfile", "building backend: step 2/2 of builder: RUN npm ci", "0/5", "1/5"]);
    }

    #[test]
    fn a_failed_step_is_told_with_its_log_and_without_secrets() {
        let mut tracker = Tracker::new(&request(&[], Path::new("/")));
        let lines: String = (0..30).map(|number| format!("line {number}\n")).collect();
        let logs = vec![log("c", &lines), log("c", "auth hunter2horse\nERROR: No matching distri"), log("c", "bution found for nope==1")];
        let failed = vec![
            vertex("a", "[stage-0 1/3] FROM x", true, true, ""),
            vertex("c", "[stage-0 3/3] RUN pip install nope", true, true, "executor failed running [/bin/sh -c pip install nope]: exit code: 1"),
        ];
        tracker.hear(status(failed, logs), &crate::ports::Silent);
        let failure = tracker.diagnose("executor failed running [/bin/sh -c pip install nope]: exit code: 1");
        assert_eq!(failure.code, Code::BuildFailed);
        assert_eq!(failure.message, "build backend: step \"step 3/3 RUN pip install nope\" failed: a dependency was not found");
        assert_eq!(failure.causes.len(), 1 + SHOWN);
        assert_eq!(failure.causes.last().unwrap(), "ERROR: No matching distribution found for nope==1");
        assert!(!failure.to_string().contains("hunter2") && failure.to_string().contains("auth ***"), "{failure}");
    }

    #[test]
    fn the_line_that_tells_the_cause_is_shown_wherever_it_stands() {
        let lines: Vec<String> =
            (0..60).map(|number| if number == 7 { "npm error EUSAGE: no lockfile".to_owned() } else { format!("option {number}") }).collect();
        let told = shown(&lines, &["eusage"]);
        assert_eq!(
            (told.len(), told[0].as_str(), told[1].as_str(), told[SHOWN - 1].as_str()),
            (SHOWN, "npm error EUSAGE: no lockfile", "option 41", "option 59")
        );
        assert_eq!(shown(&lines, &["option 59", "eusage"])[0], "option 40", "it is among the last lines already");
        assert_eq!(shown(&lines, &[])[0], "option 40");
        assert_eq!(shown(&lines[..3], &["eusage"]).len(), 3);
    }

    #[test]
    fn a_syntax_line_is_taken_out_and_lines_keep_their_numbers() {
        assert_eq!(without_syntax("# syntax=docker/dockerfile:1\nFROM x\n").as_deref(), Some("#\nFROM x\n"));
        assert_eq!(without_syntax("# escape=\\\n#Syntax = a\nFROM x").as_deref(), Some("# escape=\\\n#\nFROM x\n"));
        assert_eq!(without_syntax("FROM x\n# syntax=late\n"), None);
        assert_eq!(without_syntax("# a comment\nFROM x\n"), None);
    }

    fn entries(context: Context) -> Vec<(String, Vec<u8>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(async {
            let (stream, trouble) = context.stream();
            let chunks: Vec<_> = stream.collect().await;
            assert!(trouble.lock().unwrap().is_none());
            chunks.into_iter().flat_map(|chunk| chunk.unwrap().to_vec()).collect::<Vec<u8>>()
        });
        let mut archive = tar::Archive::new(bytes.as_slice());
        let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            io::Read::read_to_end(&mut entry, &mut content).unwrap();
            (entry.path().unwrap().to_string_lossy().into_owned(), content)
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn the_context_holds_the_files_and_the_dockerfile_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("src/main.py"), "print()").unwrap();
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        let own = Context::of(&request(&["Dockerfile", "src/main.py"], folder.path()), "FROM scratch\n").unwrap();
        assert_eq!(own.dockerfile, "Dockerfile");
        assert_eq!(entries(own), [("Dockerfile".to_owned(), b"FROM scratch\n".to_vec()), ("src/main.py".to_owned(), b"print()".to_vec())]);
        let other = Context::of(&request(&["src/main.py"], folder.path()), "FROM other\n").unwrap();
        assert_eq!(other.dockerfile, ".landfall.Dockerfile");
        assert_eq!(entries(other)[0], (".landfall.Dockerfile".to_owned(), b"FROM other\n".to_vec()));
    }

    #[test]
    fn a_path_outside_the_context_is_refused_and_a_missing_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for bad in ["../x", "/etc/passwd", "a/../../x", ""] {
            assert!(Context::of(&request(&[bad], folder.path()), "").is_err(), "{bad:?}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (stream, trouble) = Context::of(&request(&["gone"], folder.path()), "").unwrap().stream();
            let chunks: Vec<_> = stream.collect().await;
            assert!(chunks.last().unwrap().is_err(), "the engine must not take it for a whole archive");
            assert!(trouble.lock().unwrap().as_ref().unwrap().message.contains("gone"));
        });
    }
}
