// Official clients against Landfall: node run.mjs conformance | inspector | typescript | browser
// Starts the programs, speaks to them as those clients do, and counts what holds. Every count ends in a "test result:" line, which test.sh adds up.

import { spawn } from "node:child_process";
import { createServer, request } from "node:http";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const installed = process.env.LANDFALL_CLIENTS; // the cache folder, which holds node_modules
const target = process.env.LANDFALL_TARGET ?? join(here, "../../target/debug");
const product = join(target, "landfall");
const fixtures = join(target, "examples/conformance");
const bin = (...parts) => join(installed, "node_modules", ...parts);

let passed = 0;
const failures = [];
const rows = [];

function holds(name, truth, why = "") {
  if (truth) passed += 1;
  else failures.push(why ? `${name}: ${why}` : name);
  return truth;
}

/** A folder for home and state, so that nothing of this machine is seen. */
function machine() {
  const home = mkdtempSync(join(tmpdir(), "landfall-clients-"));
  const env = { PATH: process.env.PATH, HOME: home, LANDFALL_STATE: join(home, "state"), MINIKUBE_HOME: join(home, "minikube") };
  return { home, env, end: () => rmSync(home, { recursive: true, force: true }) };
}

/** Runs a program to its end, within a time. */
function run(command, args, { env = process.env, cwd, seconds = 120 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env, cwd, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.on("data", (text) => (out += text));
    child.stderr.on("data", (text) => (err += text));
    const clock = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
    child.on("error", (error) => resolve({ code: -1, out, err: String(error) }));
    child.on("close", (code) => {
      clearTimeout(clock);
      resolve({ code, out, err });
    });
  });
}

/** A server over HTTP, and a way to it that brings the bearer token, which the suite has no option for. */
async function served(program, args) {
  const place = machine();
  const child = spawn(program, args, { env: place.env, stdio: ["ignore", "ignore", "pipe"] });
  const { port, token } = await new Promise((resolve, reject) => {
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
      const port = said.match(/serves http:\/\/127\.0\.0\.1:(\d+)\//);
      const path = said.match(/bearer token: (.+)\n/);
      if (port && path) resolve({ port: Number(port[1]), token: readFileSync(path[1], "utf8").trim() });
    });
    child.on("error", reject);
    child.on("close", (code) => reject(new Error(`${program} ended with ${code}: ${said}`)));
  });
  const door = createServer((asked, answered) => {
    // What names the door names the server behind it; other names stay as they are and are refused there.
    const headers = Object.fromEntries(Object.entries(asked.headers).map(([name, value]) => [name, String(value).replaceAll(`:${door.address().port}`, `:${port}`)]));
    const onward = request({ host: "127.0.0.1", port, method: asked.method, path: asked.url, headers: { ...headers, authorization: `Bearer ${token}` } }, (reply) => {
      answered.writeHead(reply.statusCode, reply.headers);
      answered.flushHeaders();
      reply.pipe(answered);
    });
    onward.on("error", () => answered.destroy());
    answered.on("close", () => onward.destroy());
    asked.pipe(onward);
  });
  await new Promise((resolve) => door.listen(0, "127.0.0.1", resolve));
  const end = () => {
    child.kill("SIGTERM");
    door.closeAllConnections();
    door.close();
    place.end();
  };
  return { url: `http://127.0.0.1:${door.address().port}/mcp`, direct: { url: `http://127.0.0.1:${port}/mcp`, token }, child, end };
}

/** Every check of a run, by scenario. */
function checksOf(folder) {
  const scenarios = new Map();
  for (const name of readdirSync(folder)) {
    const checks = JSON.parse(readFileSync(join(folder, name, "checks.json"), "utf8"));
    const scenario = name.replace(/^server-/, "").replace(/-\d{4}-\d{2}-\d{2}T.*$/, "");
    scenarios.set(scenario, checks);
  }
  return scenarios;
}

/** Scenarios that call one of the suite's fixtures by name: the product alone does not have them. */
const needsFixtures = (scenario) =>
  /^(server-)?(completion-complete|tools-call-|resources-read-|resources-templates-read|resources-(un)?subscribe|prompts-get-|elicitation-|json-schema|sse-polling|http-custom-header|stateless|http-header-validation)/.test(scenario) ||
  /^input-required-result-(?!unsupported-methods|validate-input)/.test(scenario);

async function conformance() {
  const suites = [
    ["conformance-stable", [], "2025-06-18 and 2025-11-25"],
    ["conformance-next", ["--spec-version", "2025-06-18"], "2025-06-18"],
    ["conformance-next", ["--spec-version", "2025-11-25"], "2025-11-25"],
    ["conformance-next", ["--spec-version", "2026-07-28"], "2026-07-28"],
  ];
  for (const [program, args, subject] of [
    [fixtures, [], "with fixtures"],
    [product, ["serve", "--http", "127.0.0.1:0", "--plan-only"], "the program"],
  ]) {
    const server = await served(program, args);
    for (const [suite, options, revision] of suites) {
      const folder = mkdtempSync(join(tmpdir(), "landfall-conformance-"));
      const main = bin(suite, "dist/index.js");
      const done = await run(process.execPath, [main, "server", "--url", server.url, "--suite", "all", "-o", folder, ...options], { seconds: 300 });
      const scenarios = checksOf(folder);
      let checks = 0;
      let wrong = 0;
      let aside = 0;
      for (const [scenario, found] of scenarios) {
        if (program === product && needsFixtures(scenario)) {
          aside += 1;
          continue;
        }
        for (const check of found) {
          if (check.status === "INFO" || check.status === "SKIPPED") continue;
          checks += 1;
          const name = `${subject}, ${suite} ${revision}, ${scenario}: ${check.id}`;
          if (!holds(name, check.status === "SUCCESS", `${check.status} ${check.errorMessage ?? ""}`)) wrong += 1;
        }
      }
      const least = program === product ? 6 : 25;
      holds(`${subject}, ${suite} ${revision} ran`, scenarios.size - aside >= least, `${scenarios.size} scenarios; exit ${done.code}; ${done.err.slice(-400)}`);
      rows.push([subject, suite.replace("conformance-", ""), revision, scenarios.size - aside, checks, wrong]);
      rmSync(folder, { recursive: true, force: true });
    }
    server.end();
  }
  console.log("\n%s", ["server", "suite", "revisions", "scenarios", "checks", "failed"].join(" | "));
  for (const row of rows) console.log(row.join(" | "));
}

async function inspector() {
  const place = machine();
  const shop = sample(join(place.home, "shop"));
  const entry = JSON.parse(readFileSync(bin("@modelcontextprotocol/inspector", "package.json"), "utf8"));
  const program = bin("@modelcontextprotocol/inspector", Object.values(entry.bin)[0]);
  const ask = (...more) => run(process.execPath, [program, "--cli", product, "serve", "--root", shop, ...more], { env: place.env, cwd: place.home });
  for (const era of ["legacy", "auto", "modern"]) {
    for (const method of ["tools/list", "resources/list", "resources/templates/list", "prompts/list"]) {
      const strict = method === "tools/list" ? ["--strict"] : [];
      const done = await ask("--method", method, "--protocol-era", era, "--format", "json", ...strict);
      holds(`inspector ${method}, ${era}`, done.code === 0 && done.out.includes("result"), `exit ${done.code}: ${done.err.slice(-600)}`);
    }
    const done = await ask("--method", "tools/call", "--tool-name", "analyze_project", "--protocol-era", era, "--format", "json");
    holds(`inspector tools/call, ${era}`, done.code === 0 && done.out.includes("structuredContent"), `exit ${done.code}: ${(done.err + done.out).slice(-600)}`);
    const read = await ask("--method", "resources/read", "--uri", "landfall://schema/deploy", "--protocol-era", era, "--format", "json");
    holds(`inspector resources/read, ${era}`, read.code === 0 && read.out.includes("landfall://schema/deploy"), `exit ${read.code}: ${(read.err + read.out).slice(-600)}`);
  }
  const refused = await ask("--method", "tools/call", "--tool-name", "deploy", "--tool-arg", "nonsense=1", "--format", "json");
  holds("inspector: an error is an error", refused.code === 5, `exit ${refused.code}: ${refused.out.slice(-300)}`);
  place.end();
}

/** A small application that needs no cluster to be planned. */
function sample(folder) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "requirements.txt"), "fastapi==0.115.0\nuvicorn==0.32.0\n");
  writeFileSync(join(folder, "main.py"), 'from fastapi import FastAPI\napp = FastAPI()\n\n@app.get("/health")\ndef health():\n    return {"ok": True}\n');
  return folder;
}

/** Both generations of the official TypeScript SDK, through the client of examples/chatbot. */
async function typescript() {
  const place = machine();
  const shop = sample(join(place.home, "shop"));
  const client = join(here, "../../examples/chatbot/client.ts");
  const server = await served(product, ["serve", "--http", "127.0.0.1:0", "--root", shop]);
  for (const sdk of ["@modelcontextprotocol/client", "@modelcontextprotocol/sdk"]) {
    for (const way of [[product], [server.direct.url]]) {
      const env = { ...place.env, LANDFALL_SDK: sdk, LANDFALL_CLIENTS: installed, LANDFALL_TOKEN: server.direct.token };
      const done = await run(process.execPath, ["--experimental-strip-types", "--no-warnings", client, shop, ...way], { env });
      holds(`${sdk} over ${way[0].startsWith("http") ? "HTTP" : "stdio"}`, done.code === 0 && done.out.includes("13 tools") && done.out.includes("plan "), `exit ${done.code}: ${(done.err + done.out).slice(-800)}`);
    }
  }
  server.end();
  place.end();
}

/** A program spoken to by lines on stdio. */
function spoken(args, env) {
  const child = spawn(product, args, { env, stdio: ["pipe", "pipe", "ignore"] });
  const waiting = new Map();
  let rest = "";
  child.stdout.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const message = JSON.parse(line);
      waiting.get(message.id)?.(message.result ?? message);
    }
  });
  let number = 0;
  const ask = (method, params = {}) =>
    new Promise((resolve) => {
      waiting.set((number += 1), resolve);
      child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id: number, method, params })}\n`);
    });
  return { ask, call: (name, more = {}) => ask("tools/call", { name, arguments: more }), end: () => child.stdin.end() };
}

/** A client that shows the dashboard: it answers as the protocol of MCP Apps says, from what the server really replied, then writes down what can be seen. */
const client = (page, theme, replies) => `<!doctype html><meta charset="utf-8"><style>body{margin:0}iframe{border:0;width:100%;height:1280px}</style><iframe id="app"></iframe><pre id="out" hidden></pre>
<script>
const replies = ${JSON.stringify(replies).replaceAll("<", "\\u003c")};
const log = [];
const app = document.getElementById("app");
addEventListener("message", ({ source, data }) => {
  if (source !== app.contentWindow) return;
  log.push(data.method ?? "result");
  const say = (message) => source.postMessage({ jsonrpc: "2.0", ...message }, "*");
  if (data.method === "ui/initialize") say({ id: data.id, result: { protocolVersion: data.params.protocolVersion, hostInfo: { name: "test", version: "1" }, hostCapabilities: { serverTools: {} }, hostContext: { theme: "${theme}" } } });
  else if (data.method === "ui/notifications/initialized") say({ method: "ui/notifications/tool-result", params: replies.shift() });
  else if (data.method === "tools/call") { log.push(data.params.name); say({ id: data.id, result: replies.length ? replies.shift() : { content: [{ type: "text", text: "no more" }], isError: true } }); }
});
app.srcdoc = ${JSON.stringify(page).replaceAll("<", "\\u003c")};
setTimeout(() => {
  const shown = app.contentDocument;
  document.getElementById("out").textContent = JSON.stringify({
    log,
    text: shown.body.innerText,
    loaded: app.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name),
    markup: shown.querySelectorAll("img, iframe, object, link, script[src]").length,
    unlabelled: [...shown.querySelectorAll("button, progress, ol, [role=status]")].filter((known) => !known.textContent.trim() && !known.getAttribute("aria-label") && !known.getAttribute("aria-labelledby")).map((known) => known.outerHTML),
    status: shown.querySelector("[role=status]")?.textContent,
    wide: shown.documentElement.scrollWidth > app.clientWidth,
  });
}, 4000);
</script>`;

/** Contrast of two colours, as WCAG counts it. */
function contrast(one, other) {
  const light = (colour) => {
    const full = colour.length === 4 ? colour.replace(/[0-9a-f]/gi, "$&$&") : colour;
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(full.slice(at, at + 2), 16) / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

async function browser() {
  const chromium = process.env.LANDFALL_BROWSER;
  const place = machine();
  const shop = sample(join(place.home, "shop"));
  const helm = join(place.home, ".local/bin");
  mkdirSync(helm, { recursive: true });
  writeFileSync(join(helm, "helm"), '#!/bin/sh\ncase "$1" in version) echo v3.16.4;; template) ;; lint) sleep 3; echo no >&2; exit 1;; *) exit 1;; esac\n', { mode: 0o755 });
  const server = spoken(["serve", "--root", shop], place.env);
  await server.ask("initialize", { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "browser", version: "1" } });
  const page = (await server.ask("resources/read", { uri: "ui://landfall/dashboard.html" })).contents[0];
  holds("the dashboard is a page for MCP Apps", page.mimeType === "text/html;profile=mcp-app" && page._meta.ui.csp.connectDomains.length === 0);
  holds("the dashboard names no other place", !/https?:\/\//.test(page.text));
  const tools = (await server.ask("tools/list")).tools;
  holds("tools name the dashboard", tools.filter((tool) => tool._meta?.ui?.resourceUri === "ui://landfall/dashboard.html").length >= 3);

  // What the server says of an operation, from its begin to its end, as a client hears it.
  const replies = [await server.call("generate_chart")];
  while (replies.at(-1).structuredContent.status === "running" && replies.length < 20) {
    const after = Math.max(0, ...replies.flatMap((reply) => (reply.structuredContent.events ?? []).map((event) => event.n)));
    replies.push(await server.call("operation_status", { operation: replies[0].structuredContent.operation.id, after }));
  }
  const operation = replies[0].structuredContent.operation.id;
  holds("an operation was followed", replies.length > 2 && replies[0].structuredContent.status === "running");
  // There is no cluster here: what one would show, in the shape that the server promises, with a text that would like to be more than text.
  const evil = "<img src=x onerror=alert(1)>";
  const health = { status: "done", schema_version: 1, summary: `1 of 2 pods ready ${evil}`, state: "degraded", counts: { deployments: { ready: 1, total: 2 }, pods: { ready: 1, total: 2 }, services: { ready: 2, total: 2 } }, objects: [{ object: "Pod/backend-1", state: `CrashLoopBackOff ${evil}` }], diagnoses: [{ code: "CRASH_LOOP", class: "application", owner: "app", confidence: "certain", subject: "backend", cause: "the process ends with exit code 1", why: [{ source: "log", at: "backend-1 log", text: `ModuleNotFoundError ${evil}` }], impact: "", options: [] }], seen_at: "2026-11-21T12:00:00Z" };
  replies.push({ content: [], structuredContent: health });

  const look = readFileSync(join(here, "../../src/report/look.css"), "utf8");
  const pairs = Object.fromEntries([...look.matchAll(/--(\w+): light-dark\((#\w+), (#\w+)\)/g)].map(([, name, light, dark]) => [name, [light, dark]]));
  for (const [index, theme] of ["light", "dark"].entries()) {
    for (const ink of ["ink", "soft", "good", "bad", "open"]) for (const paper of ["paper", "code"]) holds(`${ink} can be read on ${paper}, ${theme}`, contrast(pairs[ink][index], pairs[paper][index]) >= 4.5, contrast(pairs[ink][index], pairs[paper][index]));
    const file = join(place.home, `client-${theme}.html`);
    writeFileSync(file, client(page.text, theme, replies));
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars", "--window-size=900,1300", "--virtual-time-budget=8000", `--user-data-dir=${join(place.home, "profile")}`];
    const dumped = await run(chromium, [...flags, "--dump-dom", `file://${file}`], { seconds: 90 });
    const out = dumped.out.match(/<pre id="out"[^>]*>([\s\S]*?)<\/pre>/)?.[1] ?? "";
    const seen = out ? JSON.parse(out.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&")) : null;
    if (!holds(`the dashboard runs, ${theme}`, seen !== null, dumped.err.slice(-600))) continue;
    const says = (text) => holds(`the dashboard shows ${text}, ${theme}`, seen.text.includes(text), seen.text);
    ["Containerize", "Chart", "Deploy", "Validate", "Roll back", "✗ refused", "· not seen yet", "helm", "Gates and evidence", "1 of 2 pods ready", "CrashLoopBackOff", "the process ends with exit code 1", "Events", "ended refused"].forEach(says);
    holds(`it followed the operation to its end and then looked at the cluster, ${theme}`, seen.log.filter((name) => name === "operation_status").length === replies.length - 2 && seen.log.at(-1) !== undefined && seen.log.includes("cluster_health"), seen.log);
    holds(`what was seen stays text, ${theme}`, seen.markup === 0 && seen.text.includes(evil), `${seen.markup}`);
    holds(`nothing was loaded, ${theme}`, seen.loaded.length === 0, seen.loaded);
    holds(`everything has a name, ${theme}`, seen.unlabelled.length === 0, seen.unlabelled);
    holds(`news are announced, ${theme}`, seen.status.includes("pods ready"));
    holds(`nothing is wider than the page, ${theme}`, !seen.wide);
    writeFileSync(file, client(page.text, theme, JSON.parse(JSON.stringify(replies).replaceAll(` ${evil}`, "").replaceAll(place.home, ""))));
    const picture = join(process.env.LANDFALL_BLESS ? join(here, "../../docs") : place.home, `dashboard-${theme}.png`);
    const taken = await run(chromium, [...flags, `--screenshot=${picture}`, `file://${file}`], { seconds: 90 });
    holds(`a picture is taken, ${theme}`, readFileSync(picture).length > 10_000, taken.err.slice(-300));
  }
  const report = join(place.home, "report.html");
  const written = await run(product, ["report", shop, "--kind", "audit", "--format", "html", "--output", report], { env: place.env });
  const html = readFileSync(report, "utf8");
  holds("a report is a page of the same look", html.includes(look.trim().slice(0, 200)) && html.includes(operation), written.err);
  holds("a report names no other place and runs nothing", !/src=|<script|@import|url\(/.test(html));
  server.end();
  place.end();
}

const parts = { browser, conformance, inspector, typescript };
const part = parts[process.argv[2]];
if (!part) {
  console.error(`usage: node run.mjs ${Object.keys(parts).join(" | ")}`);
  process.exit(2);
}
try {
  await part();
} catch (error) {
  failures.push(`${process.argv[2]}: ${error.stack ?? error}`);
}
for (const failure of failures) console.log(`FAILED ${failure}`);
if (passed + failures.length === 0) failures.push("nothing was checked");
console.log(`test result: ${failures.length ? "FAILED" : "ok"}. ${passed} passed; ${failures.length} failed; 0 ignored`);
process.exit(failures.length ? 1 : 0);
