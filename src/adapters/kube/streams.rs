//! Logs, commands in containers and forwarded ports: everything that flows.

use super::{Kube, connect, refused};
use crate::failure::{Code, Failure};
use crate::names::Namespace;
use crate::ports::{Executed, Forward, LogRequest, Proof};
use crate::secret::Secret;
use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, LogParams};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The newest part of a log that is kept.
const LOG_BYTES: usize = 1 << 20;
/// What is kept of a command's output.
const OUTPUT_BYTES: u64 = 4 << 20;

impl Kube {
    pub(super) async fn read_log(&self, at: &Proof, namespace: &Namespace, request: &LogRequest) -> Result<String, Failure> {
        let pods: Api<Pod> = Api::namespaced(self.client(at).await?, namespace.as_str());
        let parameters = LogParams {
            container: Some(request.container.clone()),
            previous: request.previous,
            tail_lines: Some(request.lines),
            since_seconds: request.since_seconds,
            ..LogParams::default()
        };
        let which = if request.previous { "previous log" } else { "log" };
        let doing = format!("read the {which} of {namespace}/{} container {}", request.pod, request.container);
        let text = || async {
            let mut stream = pods.log_stream(&request.pod, &parameters).await?;
            newest(&mut stream).await.map_err(kube::Error::ReadEvents)
        };
        let text = self.ask(at, &doing, text).await?;
        // The kubelet says so with status 200 when the runtime has removed the container.
        if text.starts_with("unable to retrieve container logs for ") {
            return Err(refused(&doing, text.lines().next().unwrap_or_default()).help("the container is gone; read the log of its next run"));
        }
        Ok(text)
    }

    pub(super) async fn run_inside(
        &self,
        at: &Proof,
        namespace: &Namespace,
        pod: &str,
        container: &str,
        command: &[String],
        deadline: Duration,
    ) -> Result<Executed, Failure> {
        // A command may change something, so this counts as a change.
        let pods: Api<Pod> = Api::namespaced(self.proven(at).await?, namespace.as_str());
        let doing = format!("run {} in {namespace}/{pod} container {container}", command.first().map_or("nothing", String::as_str));
        let parameters = AttachParams::default().container(container).stdin(false).stdout(true).stderr(true).max_stdout_buf_size(64 << 10);
        let run = async {
            let mut process = pods.exec(pod, command, &parameters).await.map_err(Ended::Kube)?;
            let (stdout, stderr, status) = (process.stdout(), process.stderr(), process.take_status());
            let (stdout, stderr) = tokio::try_join!(output(stdout), output(stderr)).map_err(Ended::Stream)?;
            let status = match status {
                Some(status) => status.await,
                None => None,
            };
            // Nothing more is read: closing is the other side's business, and may come late.
            process.abort();
            Ok((stdout, stderr, status))
        };
        let (stdout, stderr, status) = match tokio::time::timeout(deadline, run).await {
            Ok(Ok(done)) => done,
            Ok(Err(Ended::Kube(error))) => return Err(connect::failure(&doing, at, &error, &self.last_heard())),
            Ok(Err(Ended::Stream(error))) => return Err(connect::unreachable(&doing, at, &format!("the stream broke ({error})"), &self.last_heard())),
            Err(_) => {
                return Err(Failure::new(Code::Deadline, format!("{doing}: it did not end within {} s", deadline.as_secs_f32()))
                    .help("call again with a longer deadline, or look at the pod's log"));
            }
        };
        self.note(&doing);
        let status = status.ok_or_else(|| connect::unreachable(&doing, at, "the stream ended without an exit status", &self.last_heard()))?;
        let exit_code = exit_code(&status).ok_or_else(|| refused(&doing, status.message.unwrap_or_default()).help("check that the container runs"))?;
        Ok(Executed { exit_code, stdout: Secret::new(stdout), stderr })
    }

    pub(super) async fn open_forward(&self, at: &Proof, namespace: &Namespace, pod: &str, port: u16) -> Result<Forward, Failure> {
        let pods: Api<Pod> = Api::namespaced(self.client(at).await?, namespace.as_str());
        let doing = format!("forward port {port} of {namespace}/{pod}");
        let found = self.ask(at, &doing, || pods.get_opt(pod)).await?;
        let phase = found.and_then(|found| found.status).and_then(|status| status.phase).unwrap_or_else(|| "absent".to_owned());
        if phase != "Running" {
            return Err(refused(&doing, format!("the pod is {phase}")).help("call cluster_health to see why"));
        }
        let listener = async { TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.and_then(|listener| listener.local_addr().map(|local| (listener, local))) };
        let (listener, local) = listener.await.map_err(|error| {
            Failure::new(Code::FileSystem, format!("{doing}: listen on 127.0.0.1"))
                .cause(error)
                .help("check the limits on open files and ports of this machine")
        })?;
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, pods, pod.to_owned(), port, stop.clone()));
        Ok(Forward { local, pod: pod.to_owned(), guard: stop.drop_guard() })
    }
}

/// How a command's run ended early.
enum Ended {
    Kube(kube::Error),
    Stream(std::io::Error),
}

/// Reads to the end and keeps the newest part, from the first whole line on.
async fn newest(stream: &mut (impl futures::AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut kept: Vec<u8> = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    let mut cut = false;
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            break;
        }
        kept.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if kept.len() > 2 * LOG_BYTES {
            kept.drain(..kept.len() - LOG_BYTES);
            cut = true;
        }
    }
    let from = if cut { kept.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1) } else { 0 };
    Ok(String::from_utf8_lossy(kept.get(from..).unwrap_or_default()).into_owned())
}

/// Everything a stream brings, up to the limit; the rest is read and dropped, so that the other side can end.
async fn output(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let Some(mut stream) = stream else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    (&mut stream).take(OUTPUT_BYTES).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The exit code of a command: 0 on success, the named cause where it was not, None where it never ran.
fn exit_code(status: &Status) -> Option<i32> {
    if status.status.as_deref() == Some("Success") {
        return Some(0);
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let named = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode")).find_map(|cause| cause.message.as_deref()?.parse().ok());
    named.or_else(|| not_there(status))
}

/// A program that the image does not have: Docker's runtime answers exit code 126 or 127, containerd's an internal error
/// whose text is the only sign (seen with containerd 1.6 on Kubernetes 1.34).
fn not_there(status: &Status) -> Option<i32> {
    let words = status.message.as_deref().unwrap_or_default();
    let tried = words.contains("failed to exec in container") || words.contains("OCI runtime exec failed");
    (tried && (words.contains("executable file not found") || words.contains("no such file or directory"))).then_some(127)
}

/// Accepts until the token is cancelled; each connection gets a stream of its own.
async fn accept(listener: TcpListener, pods: Api<Pod>, pod: String, port: u16, stop: CancellationToken) {
    loop {
        let connection = tokio::select! {
            () = stop.cancelled() => return,
            connection = listener.accept() => connection,
        };
        let Ok((connection, _)) = connection else {
            // Out of file descriptors, most likely: wait for one to be freed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (pods, pod, stop) = (pods.clone(), pod.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                carried = carry(connection, &pods, &pod, port) => {
                    if let Err(why) = carried {
                        tracing::debug!(pod, port, why, "a forwarded connection ended early");
                    }
                }
            }
        });
    }
}

/// Carries one connection; the error says what the kubelet said.
async fn carry(mut connection: TcpStream, pods: &Api<Pod>, pod: &str, port: u16) -> Result<(), String> {
    let opened = tokio::time::timeout(super::OF_AN_OPERATION, pods.portforward(pod, &[port])).await;
    let mut forward = opened.map_err(|_| "no stream in time".to_owned())?.map_err(|error| error.to_string())?;
    let (Some(mut stream), Some(problem)) = (forward.take_stream(port), forward.take_error(port)) else {
        return Err("kube offered no stream".to_owned());
    };
    // A closed port in the pod shows here, and as an end without a byte in the stream. A silent end of this channel is no error.
    let broken = async {
        match problem.await {
            Some(why) => why,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        copied = tokio::io::copy_bidirectional(&mut connection, &mut stream) => copied.map(|_| ()).map_err(|error| error.to_string()),
        why = broken => Err(why),
    };
    forward.abort();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(status: serde_json::Value, expect: Option<i32>) {
        assert_eq!(exit_code(&serde_json::from_value(status).unwrap()), expect);
    }

    #[test]
    fn the_exit_code_comes_from_the_named_cause() {
        check(json!({"status": "Success"}), Some(0));
        check(json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}), Some(7));
        check(json!({"status": "Failure", "reason": "InternalError", "message": "container not found"}), None);
        let absent = "error executing command in container: failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: exec: \"node\": executable file not found in $PATH: unknown";
        check(json!({"status": "Failure", "reason": "InternalError", "message": absent}), Some(127));
    }

    #[tokio::test]
    async fn the_newest_part_of_a_long_log_is_kept_from_a_whole_line() {
        let text = format!("first line\n{}last line\n", "middle\n".repeat(400_000));
        let kept = newest(&mut text.as_bytes()).await.unwrap();
        assert!(kept.len() <= 2 * LOG_BYTES && kept.len() >= LOG_BYTES / 2);
        assert!(kept.starts_with("middle\n") && kept.ends_with("last line\n"));
        assert_eq!(newest(&mut "short\n".as_bytes()).await.unwrap(), "short\n");
    }
}
