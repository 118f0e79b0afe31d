//! MCP over stdio inside a running container: the server is started there as its caller starts it, with the interpreter of the image, and spoken to line by line.

use super::inside::{Caller, interpreters, printed, wordless};
use crate::failure::{Code, Failure};
use crate::names::Namespace;
use crate::ports::{Cluster, Executed, PeerAnswer, PeerFacts, PeerTool, Proof};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// What the server answered.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Spoken {
    pub name: String,
    pub version: String,
    pub protocol: String,
    pub tools: Vec<SpokenTool>,
    /// One for each call that was asked for, in their order.
    #[serde(default)]
    pub calls: Vec<SpokenCall>,
}

/// A tool that it lists.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SpokenTool {
    pub name: String,
    #[serde(default)]
    pub read_only: bool,
    #[serde(default)]
    pub input_schema: Map<String, Value>,
    #[serde(default)]
    pub output_schema: Option<Map<String, Value>>,
}

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SpokenCall {
    pub is_error: bool,
    pub text: String,
    #[serde(default)]
    pub structured: Option<Value>,
    /// Milliseconds.
    pub ms: f64,
}

impl From<Spoken> for PeerFacts {
    fn from(spoken: Spoken) -> Self {
        let tool = |tool: SpokenTool| PeerTool {
            name: tool.name,
            description: String::new(),
            read_only: tool.read_only,
            input_schema: tool.input_schema,
            output_schema: tool.output_schema,
        };
        Self {
            name: spoken.name,
            version: spoken.version,
            protocol: spoken.protocol,
            path: "stdio".to_owned(),
            host_header: String::new(),
            tools: spoken.tools.into_iter().map(tool).collect(),
        }
    }
}

impl From<SpokenCall> for PeerAnswer {
    fn from(call: SpokenCall) -> Self {
        let elapsed = Duration::try_from_secs_f64(call.ms / 1_000.0).unwrap_or_default();
        Self { is_error: call.is_error, text: call.text, structured: call.structured, elapsed }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Stdio {
    Spoke(Spoken),
    /// It was started and did not speak MCP: what it printed last.
    Mute {
        why: String,
    },
    NotRun {
        reason: String,
    },
}

/// Starts the server, does the handshake, lists its tools, makes the calls, ends it; prints one line of JSON.
const PYTHON: &str = r#"
import json,queue,subprocess,sys,threading,time
a=json.loads(sys.argv[1]);end=time.monotonic()+a["timeout"];n=0;err=[]
def out(**k):
    try: p.kill()
    except Exception: pass
    print(json.dumps(k));sys.stdout.flush();import os;os._exit(0)
try: p=subprocess.Popen([sys.executable]+a["arguments"],stdin=subprocess.PIPE,stdout=subprocess.PIPE,stderr=subprocess.PIPE)
except Exception as e: p=None;out(error=type(e).__name__+": "+str(e))
q=queue.Queue()
def read():
    for l in p.stdout: q.put(l)
    q.put(None)
def note():
    for l in p.stderr: err.append(l.decode("utf-8","replace").strip());del err[:-8]
for f in (read,note): threading.Thread(target=f,daemon=True).start()
def say(m):
    try: p.stdin.write((json.dumps(m)+"\n").encode());p.stdin.flush()
    except Exception as e: time.sleep(.2);out(error="it ended: "+(err[-1] if err else str(e)))
def ask(method,params):
    global n;n+=1;say({"jsonrpc":"2.0","id":n,"method":method,"params":params})
    while True:
        try: l=q.get(timeout=max(.05,end-time.monotonic()))
        except queue.Empty: out(error="no answer to "+method+" in time"+(": "+err[-1] if err else ""))
        if l is None: time.sleep(.2);out(error="it ended before it answered "+method+(": "+err[-1] if err else ""))
        try: m=json.loads(l)
        except ValueError: out(error="it prints something that is no message: "+l.decode("utf-8","replace")[:200])
        if isinstance(m,dict) and m.get("id")==n and "method" not in m:
            if "error" in m: return None,str(m["error"].get("message"))
            return m.get("result") or {},None
i,e=ask("initialize",{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"landfall","version":"0"}})
if e: out(error="initialize: "+e)
say({"jsonrpc":"2.0","method":"notifications/initialized"})
t,e=ask("tools/list",{})
if e: out(error="tools/list: "+e)
calls=[]
for name,arguments in a["calls"]:
    b=time.monotonic();r,e=ask("tools/call",{"name":name,"arguments":arguments})
    r=r or {};text=e or " ".join(c.get("text","") for c in r.get("content",[]) if isinstance(c,dict))
    calls.append(dict(is_error=bool(e or r.get("isError")),text=text[:2000],structured=r.get("structuredContent"),ms=int((time.monotonic()-b)*1000)))
s=i.get("serverInfo",{})
out(name=s.get("name",""),version=s.get("version",""),protocol=i.get("protocolVersion",""),calls=calls,tools=[dict(name=x.get("name",""),read_only=bool((x.get("annotations") or {}).get("readOnlyHint")),input_schema=x.get("inputSchema") or {},output_schema=x.get("outputSchema")) for x in t.get("tools",[])])
"#;

const NODE: &str = r#"
const a=JSON.parse(process.argv[1]);let n=0,buf="",err="";const wait=new Map();
const p=require("child_process").spawn(process.execPath,a.arguments,{stdio:["pipe","pipe","pipe"]});
const out=o=>{try{p.kill("SIGKILL")}catch{}process.stdout.write(JSON.stringify(o)+"\n",()=>process.exit(0))};
const last=()=>{const l=err.trim().split("\n").pop();return l?": "+l.slice(0,300):""};
setTimeout(()=>out({error:"no answer in time"+last()}),a.timeout*1000);
p.on("error",e=>out({error:String(e.message)}));p.stderr.on("data",d=>{err=(err+d).slice(-4000)});p.stdin.on("error",()=>{});
p.on("exit",()=>setTimeout(()=>out({error:"it ended before it answered"+last()}),200));
p.stdout.on("data",d=>{buf+=d;let k;while((k=buf.indexOf("\n"))>=0){const l=buf.slice(0,k);buf=buf.slice(k+1);if(!l.trim())continue;
  let m;try{m=JSON.parse(l)}catch{return out({error:"it prints something that is no message: "+l.slice(0,200)})}
  if(m&&!m.method&&wait.has(m.id)){wait.get(m.id)(m);wait.delete(m.id)}}});
const say=m=>p.stdin.write(JSON.stringify(m)+"\n");
const ask=(method,params)=>new Promise(r=>{const id=++n;wait.set(id,r);say({jsonrpc:"2.0",id,method,params})});
(async()=>{
  const i=await ask("initialize",{protocolVersion:"2025-06-18",capabilities:{},clientInfo:{name:"landfall",version:"0"}});
  if(i.error)return out({error:"initialize: "+i.error.message});
  say({jsonrpc:"2.0",method:"notifications/initialized"});
  const t=await ask("tools/list",{});if(t.error)return out({error:"tools/list: "+t.error.message});
  const calls=[];for(const [name,arguments_] of a.calls){const b=Date.now(),r=await ask("tools/call",{name,arguments:arguments_}),v=r.result||{};
    calls.push({is_error:!!(r.error||v.isError),text:(r.error?String(r.error.message):(v.content||[]).map(c=>c.text||"").join(" ")).slice(0,2000),structured:v.structuredContent,ms:Date.now()-b})}
  const s=i.result.serverInfo||{};
  out({name:s.name||"",version:s.version||"",protocol:i.result.protocolVersion||"",calls,tools:(t.result.tools||[]).map(x=>({name:x.name||"",read_only:!!(x.annotations||{}).readOnlyHint,input_schema:x.inputSchema||{},output_schema:x.outputSchema}))});
})();
"#;

/// Speaks to the server that the interpreter starts with these arguments, in the caller's container. The calls are made in their order.
pub async fn stdio_inside(
    cluster: &dyn Cluster,
    at: &Proof,
    namespace: &Namespace,
    from: Caller<'_>,
    arguments: &[String],
    calls: &[(String, Map<String, Value>)],
    deadline: Duration,
) -> Result<Stdio, Failure> {
    let Some(interpreters) = interpreters(from.language, PYTHON, NODE) else {
        return Ok(Stdio::NotRun { reason: format!("the image of {} ({}) has no interpreter that is known to be there", from.container, from.language) });
    };
    let asked = asked(arguments, calls, deadline);
    if crate::secret::looks_secret(&asked) {
        return Ok(Stdio::NotRun { reason: "a call holds something of a credential's shape, and arguments of a process can be read by others".to_owned() });
    }
    for (program, flag, script) in interpreters {
        let command = [program, flag, script, asked.as_str()].map(str::to_owned);
        match cluster.exec(at, namespace, from.pod, from.container, &command, deadline + Duration::from_secs(4)).await {
            Ok(executed) if matches!(executed.exit_code, 126 | 127) => {}
            Ok(executed) => return Ok(read(&executed, program)),
            Err(failure) if failure.code == Code::Deadline => return Ok(Stdio::Mute { why: format!("no answer within {} s", deadline.as_secs()) }),
            Err(failure) => return Err(failure),
        }
    }
    Ok(Stdio::NotRun { reason: format!("the image of {} has no interpreter for {}", from.container, from.language) })
}

fn asked(arguments: &[String], calls: &[(String, Map<String, Value>)], deadline: Duration) -> String {
    serde_json::json!({ "arguments": arguments, "calls": calls, "timeout": deadline.as_secs_f64() }).to_string()
}

fn read(executed: &Executed, program: &str) -> Stdio {
    if let Some(spoken) = printed::<Spoken>(executed) {
        return Stdio::Spoke(spoken);
    }
    let error = printed::<Value>(executed).and_then(|line| line.get("error")?.as_str().map(str::to_owned));
    match error {
        Some(error) => Stdio::Mute { why: crate::secret::plain(&error, 300) },
        None => Stdio::NotRun { reason: wordless(executed, program) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    /// A server over stdio; `{fault}` is put where it can go wrong.
    const SERVER: &str = r#"
import json,sys
FAULT
for line in sys.stdin:
    m=json.loads(line)
    if m["method"]=="initialize": r={"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"tasks","version":"1.2"}}
    elif m["method"]=="tools/list": r={"tools":[{"name":"list_tasks","inputSchema":{"type":"object"},"outputSchema":{"type":"object"},"annotations":{"readOnlyHint":True}},{"name":"add_task","inputSchema":{"type":"object"}}]}
    elif m["method"]=="tools/call": r={"content":[{"type":"text","text":m["params"]["name"]+" done"}],"structuredContent":{"rows":[]},"isError":m["params"]["name"]!="list_tasks"}
    else: continue
    print(json.dumps({"jsonrpc":"2.0","id":m["id"],"result":r}),flush=True)
"#;

    /// Runs a script as a container would, where this machine has the interpreter; none where it has not.
    async fn run(language: &str, arguments: &[&str], timeout: Duration) -> Option<Stdio> {
        let (program, flag, script) = interpreters(language, PYTHON, NODE).unwrap()[0];
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let calls = [("list_tasks".to_owned(), Map::new()), ("add_task".to_owned(), Map::new())];
        let asked = asked(&arguments, &calls, timeout);
        let output = tokio::process::Command::new(program).args([flag, script, &asked]).output().await.ok()?;
        Some(read(
            &Executed {
                exit_code: output.status.code().unwrap_or(-1),
                stdout: Secret::new(String::from_utf8_lossy(&output.stdout)),
                stderr: String::from_utf8_lossy(&output.stderr).into(),
            },
            program,
        ))
    }

    fn expected(spoken: &Spoken) {
        assert_eq!((spoken.name.as_str(), spoken.version.as_str(), spoken.protocol.as_str()), ("tasks", "1.2", "2025-06-18"));
        let tools: Vec<_> = spoken.tools.iter().map(|tool| (tool.name.as_str(), tool.read_only)).collect();
        assert_eq!(tools, [("list_tasks", true), ("add_task", false)]);
        assert_eq!(spoken.tools.iter().map(|tool| tool.output_schema.is_some()).collect::<Vec<_>>(), [true, false]);
        let calls: Vec<_> = spoken.calls.iter().map(|call| (call.is_error, call.text.as_str())).collect();
        assert_eq!(calls, [(false, "list_tasks done"), (true, "add_task done")]);
        assert!(spoken.calls.iter().all(|call| call.structured == Some(serde_json::json!({ "rows": [] }))));
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_script_for_python_shakes_hands_lists_and_calls() {
        let Some(spoke) = run("python", &["-c", &SERVER.replace("FAULT", "print('started',file=sys.stderr)")], LONG).await else { return };
        let Stdio::Spoke(spoken) = spoke else { panic!("{spoke:?}") };
        expected(&spoken);
    }

    #[tokio::test]
    async fn what_does_not_speak_the_protocol_says_why() {
        let check = async |fault: &str, timeout: Duration, expect: &str| {
            let Some(seen) = run("python", &["-c", &SERVER.replace("FAULT", fault)], timeout).await else { return };
            let Stdio::Mute { why } = &seen else { panic!("{fault}: {seen:?}") };
            assert!(why.contains(expect), "{fault}: {why}");
        };
        check("raise SystemExit('no database')", LONG, "no database").await;
        check("print('Server started')", LONG, "no message: Server started").await;
        check("import time;time.sleep(60)", Duration::from_secs(1), "in time").await;
        let Some(seen) = run("python", &["-m", "no_such_module_here"], LONG).await else { return };
        assert!(matches!(&seen, Stdio::Mute { why } if why.contains("no_such_module_here")), "{seen:?}");
    }

    #[tokio::test]
    async fn the_script_for_node_shakes_hands_lists_and_calls() {
        let server = r#"
require("readline").createInterface({input:process.stdin}).on("line",l=>{const m=JSON.parse(l);let r;
 if(m.method==="initialize")r={protocolVersion:"2025-06-18",capabilities:{},serverInfo:{name:"tasks",version:"1.2"}};
 else if(m.method==="tools/list")r={tools:[{name:"list_tasks",inputSchema:{},outputSchema:{type:"object"},annotations:{readOnlyHint:true}},{name:"add_task",inputSchema:{}}]};
 else if(m.method==="tools/call")r={content:[{type:"text",text:m.params.name+" done"}],structuredContent:{rows:[]},isError:m.params.name!=="list_tasks"};
 else return;console.log(JSON.stringify({jsonrpc:"2.0",id:m.id,result:r}))});"#;
        let Some(spoke) = run("node", &["-e", server], LONG).await else { return };
        let Stdio::Spoke(spoken) = spoke else { panic!("{spoke:?}") };
        expected(&spoken);
        let Some(seen) = run("node", &["-e", "console.log('Server started')"], LONG).await else { return };
        assert!(matches!(&seen, Stdio::Mute { why } if why.contains("Server started")), "{seen:?}");
    }

    #[test]
    fn what_a_script_cannot_say_is_not_run() {
        let executed = Executed { exit_code: 1, stdout: Secret::new(""), stderr: "Traceback\nMemoryError".into() };
        assert!(matches!(read(&executed, "python3"), Stdio::NotRun { reason } if reason.contains("MemoryError")));
    }
}
