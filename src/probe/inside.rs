//! One HTTP request from inside a running container, with the interpreter that its image surely has: its DNS, its network policy, its view.

use super::http::{HttpAsk, HttpSeen};
use crate::failure::{Code, Failure};
use crate::names::Namespace;
use crate::ports::{Cluster, Executed, Proof};
use crate::secret::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// What came of asking from inside.
#[derive(Clone, Debug)]
pub enum Inside {
    Answered(HttpSeen),
    /// The request was made and got no answer.
    Unanswered {
        error: String,
        silence: Silence,
        elapsed: Duration,
    },
    NotRun {
        reason: String,
    },
}

/// How a request without an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The connection was turned away.
    Refused,
    /// Nothing came back in time.
    TimedOut,
    /// Another error; it says which.
    Other,
}

/// By the name that the interpreter gives its error: an exception's class, or the system's own code.
fn silence(error: &str) -> Silence {
    match error.split(':').next().unwrap_or_default() {
        "ConnectionRefusedError" | "ECONNREFUSED" => Silence::Refused,
        "TimeoutError" | "timeout" | "ETIMEDOUT" => Silence::TimedOut,
        _ => Silence::Other,
    }
}

/// The script prints one line of JSON. Proxies are left out: a Service is never behind one.
const PYTHON: &str = r#"
import http.client,json,sys,time,urllib.parse
a=json.loads(sys.argv[1]);u=urllib.parse.urlsplit(a["url"]);b=time.monotonic()
def out(**k):
    k["elapsed_ms"]=(time.monotonic()-b)*1000;print(json.dumps(k));sys.exit(0)
try:
    c=http.client.HTTPConnection(u.hostname,u.port or 80,timeout=a["timeout"])
    c.request(a["method"],(u.path or "/")+("?"+u.query if u.query else ""),a["body"],a["headers"])
    r=c.getresponse();t=r.read(65536) if not (r.getheader("content-type") or "").startswith("text/event-stream") else r.read1(65536)
    out(status=r.status,content_type=r.getheader("content-type") or "",body=t.decode("utf-8","replace"))
except Exception as e:
    out(error=type(e).__name__+": "+str(e))
"#;

const NODE: &str = r#"
const a=JSON.parse(process.argv[1]),b=process.hrtime.bigint();
const out=o=>{o.elapsed_ms=Number(process.hrtime.bigint()-b)/1e6;process.stdout.write(JSON.stringify(o)+"\n",()=>process.exit(0))};
const r=require("http").request(a.url,{method:a.method,headers:a.headers,agent:false,timeout:a.timeout*1000},s=>{
  let t=Buffer.alloc(0);const done=()=>out({status:s.statusCode,content_type:s.headers["content-type"]||"",body:t.toString("utf8")});
  s.on("data",d=>{t=Buffer.concat([t,d]).subarray(0,65536);if(t.length>=65536||(s.headers["content-type"]||"").startsWith("text/event-stream"))done()});
  s.on("end",done)});
r.on("timeout",()=>r.destroy(Object.assign(new Error("timed out"),{code:"ETIMEDOUT"})));r.on("error",e=>out({error:(e.code||e.name)+": "+e.message}));
if(a.body!==null)r.write(a.body);r.end();
"#;

/// The line that a script prints.
#[derive(Deserialize)]
struct Printed {
    status: Option<u16>,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    body: String,
    error: Option<String>,
    elapsed_ms: f64,
}

/// Where to ask from.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    pub pod: &'a str,
    pub container: &'a str,
    /// The survey's language of its image: `python` and `node` are known.
    pub language: &'a str,
}

/// Asks `http://address` (host and port; `ask.path` is added) from inside a container. Secrets are refused: they would stand in an argument list.
pub async fn http_from_inside(
    cluster: &dyn Cluster,
    at: &Proof,
    namespace: &Namespace,
    from: Caller<'_>,
    address: &str,
    ask: &HttpAsk,
) -> Result<Inside, Failure> {
    let not_run = |reason: String| Ok(Inside::NotRun { reason });
    let Some(interpreters) = interpreters(from.language, PYTHON, NODE) else {
        return not_run(format!("the image of {} ({}) has no interpreter that is known to be there", from.container, from.language));
    };
    if let Some(what) = secret_part(ask) {
        return not_run(format!("{what} looks secret, and arguments of a process can be read by others"));
    }
    let arguments = arguments(address, ask);
    for (program, flag, script) in interpreters {
        let command = [program, flag, script, arguments.as_str()].map(str::to_owned);
        // The script has its own deadline; the rest is for the way there and back.
        let executed = cluster.exec(at, namespace, from.pod, from.container, &command, ask.deadline + Duration::from_secs(4)).await;
        match executed {
            Ok(executed) if missing(&executed) => {}
            Ok(executed) => return read(&executed, program),
            Err(failure) if failure.code == Code::Deadline => {
                let error = format!("no answer within {} s", ask.deadline.as_secs_f32());
                return Ok(Inside::Unanswered { error, silence: Silence::TimedOut, elapsed: ask.deadline });
            }
            Err(failure) => return Err(failure),
        }
    }
    let names: Vec<&str> = interpreters.iter().map(|(program, ..)| *program).collect();
    not_run(format!("the image of {} has no {}", from.container, names.join(" or ")))
}

/// A program, the flag before a script, and the script.
pub(super) type Interpreter = (&'static str, &'static str, &'static str);

/// Where the interpreter of a language is in its images, the likeliest place first, with the script in that language.
pub(super) fn interpreters(language: &str, python: &'static str, node: &'static str) -> Option<[Interpreter; 2]> {
    match language {
        "python" => Some(["python3", "python"].map(|program| (program, "-c", python))),
        "node" | "javascript" | "typescript" => Some(["node", "/nodejs/bin/node"].map(|program| (program, "-e", node))),
        _ => None,
    }
}

/// The last line of JSON that a script printed.
pub(super) fn printed<T: DeserializeOwned>(executed: &Executed) -> Option<T> {
    let line = executed.stdout.reveal().lines().rev().find(|line| line.starts_with('{'))?;
    serde_json::from_str(line).ok()
}

/// How a script ended that printed no such line.
pub(super) fn wordless(executed: &Executed, program: &str) -> String {
    let said = crate::secret::plain(executed.stderr.lines().last().unwrap_or_default(), 200);
    format!("{program} ended with exit code {} without an answer: {said}", executed.exit_code)
}

/// A header or body that must not stand in an argument list.
fn secret_part(ask: &HttpAsk) -> Option<String> {
    let header = ask.headers.iter().find(|(name, value)| {
        let name = name.to_ascii_lowercase();
        matches!(name.as_str(), "authorization" | "cookie" | "proxy-authorization")
            || crate::secret::secret_name(&name.replace('-', "_"))
            || crate::secret::looks_secret(value.reveal())
    });
    header
        .map(|(name, _)| format!("the header {name}"))
        .or_else(|| ask.body.as_ref().filter(|body| crate::secret::looks_secret(body.reveal())).map(|_| "the body".to_owned()))
}

fn arguments(address: &str, ask: &HttpAsk) -> String {
    let mut headers: serde_json::Map<String, serde_json::Value> = ask.headers.iter().map(|(name, value)| (name.clone(), value.reveal().into())).collect();
    if !ask.host.is_empty() {
        headers.insert("host".to_owned(), ask.host.clone().into());
    }
    let path = if ask.path.starts_with('/') { ask.path.clone() } else { format!("/{}", ask.path) };
    serde_json::json!({
        "url": format!("http://{address}{path}"),
        "method": ask.method,
        "headers": headers,
        "body": ask.body.as_ref().map(Secret::reveal),
        "timeout": ask.deadline.as_secs_f64(),
    })
    .to_string()
}

/// True where the program is not in the image.
fn missing(executed: &Executed) -> bool {
    matches!(executed.exit_code, 126 | 127) && !executed.stdout.reveal().contains("elapsed_ms")
}

fn read(executed: &Executed, program: &str) -> Result<Inside, Failure> {
    let Some(printed) = printed::<Printed>(executed) else {
        return Ok(Inside::NotRun { reason: wordless(executed, program) });
    };
    let elapsed = Duration::from_secs_f64((printed.elapsed_ms / 1000.0).clamp(0.0, 3600.0));
    Ok(match (printed.status, printed.error) {
        (Some(status), None) => Inside::Answered(HttpSeen { status, elapsed, content_type: printed.content_type, body: Secret::new(printed.body) }),
        (_, error) => {
            let error = error.unwrap_or_else(|| "no status".to_owned());
            Inside::Unanswered { silence: silence(&error), error: crate::secret::plain(&error, 300), elapsed }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executed(exit_code: i32, stdout: &str) -> Executed {
        Executed { exit_code, stdout: Secret::new(stdout), stderr: "python3: cannot open".into() }
    }

    #[test]
    fn a_printed_line_becomes_an_answer() {
        let Inside::Answered(seen) =
            read(&executed(0, "noise\n{\"status\":503,\"content_type\":\"a\",\"body\":\"no db\",\"elapsed_ms\":12.5}\n"), "python3").unwrap()
        else {
            panic!()
        };
        assert_eq!((seen.status, seen.text(20).as_str(), seen.elapsed.as_micros()), (503, "no db", 12_500));
        let Inside::Unanswered { error, .. } = read(&executed(0, "{\"error\":\"ConnectionRefusedError: x\",\"elapsed_ms\":1}"), "python3").unwrap() else {
            panic!()
        };
        assert_eq!(error, "ConnectionRefusedError: x");
        let named =
            ["ConnectionRefusedError: x", "ECONNREFUSED: x", "TimeoutError: timed out", "timeout: timed out", "ETIMEDOUT: timed out", "gaierror: [Errno -2]"];
        use Silence::{Other, Refused, TimedOut};
        assert_eq!(named.map(silence), [Refused, Refused, TimedOut, TimedOut, TimedOut, Other]);
        let Inside::NotRun { reason } = read(&executed(2, ""), "python3").unwrap() else { panic!() };
        assert!(reason.contains("exit code 2"), "{reason}");
    }

    #[test]
    fn secrets_never_stand_in_an_argument_list() {
        let check = |name: &str, value: &str, body: Option<&str>, expect: bool| {
            let mut ask = HttpAsk::get("/", "api", Duration::from_secs(1));
            ask.headers.insert(name.to_owned(), Secret::new(value));
            ask.body = body.map(Secret::new);
            assert_eq!(secret_part(&ask).is_some(), expect, "{name} {value} {body:?}");
        };
        check("authorization", "x", None, true);
        check("x-api-key", "x", None, true);
        check("accept", "application/json", Some("{\"title\":\"milk\"}"), false);
        check("accept", "application/json", Some("{\"password\":\"hunter2x\"}"), true);
    }

    /// Runs a script as a container would, against a small server, where this machine has the interpreter.
    async fn check_script(language: &str) {
        let (program, flag, script) = interpreters(language, PYTHON, NODE).unwrap()[0];
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 2048];
            let count = stream.read(&mut bytes).await.unwrap();
            let seen = String::from_utf8_lossy(&bytes[..count]).to_lowercase();
            assert!(seen.starts_with("post /a?b=1 ") && seen.contains("host: backend:8000"), "{seen}");
            stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        });
        let ask = HttpAsk { method: "POST".into(), body: Some(Secret::new("{}")), ..HttpAsk::get("/a?b=1", "backend:8000", Duration::from_secs(5)) };
        for (target, expect) in [(address.to_string(), Some(201)), ("127.0.0.1:1".to_owned(), None)] {
            let run = tokio::process::Command::new(program).args([flag, script, &arguments(&target, &ask)]).output().await;
            let Ok(output) = run else { return };
            let out = Executed {
                exit_code: output.status.code().unwrap_or(-1),
                stdout: Secret::new(String::from_utf8_lossy(&output.stdout)),
                stderr: String::from_utf8_lossy(&output.stderr).into(),
            };
            match read(&out, program).unwrap() {
                Inside::Answered(seen) => assert_eq!((Some(seen.status), seen.text(9)), (expect, "ok".to_owned())),
                Inside::Unanswered { error, .. } => assert!(expect.is_none() && error.to_lowercase().contains("refused"), "{error}"),
                Inside::NotRun { reason } => panic!("{reason}"),
            }
        }
    }

    #[tokio::test]
    async fn the_script_for_python_asks_and_tells() {
        check_script("python").await;
    }

    #[tokio::test]
    async fn the_script_for_node_asks_and_tells() {
        check_script("node").await;
    }
}
