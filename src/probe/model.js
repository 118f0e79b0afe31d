// The language model of model.py, for images with Node: it calls one of the tools that it is offered, with the text of the user's message, then answers.
// It speaks OpenAI's chat completions and responses. What it was offered, what it called and what came back is printed, a line of JSON each.
const http = require("http");
const ADDS = /(^|[_.-])(add|create|new|insert|save|make)([_.-]|[A-Z]|$)/;
const THIS_RUN = /landfall-[0-9a-f]{12}/;
const USER = /user[_ ]?id\s*(?:is|=|:)\s*["'`]?([\w-]+)/gi;

const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const text = (content) => {
  if (Array.isArray(content)) return content.map((part) => text((part || {}).text || "")).join(" ");
  return typeof content === "string" ? content : "";
};

// A request of either interface, in the same terms.
function conversation(path, request) {
  const talk = { responses: path.endsWith("/responses"), request, tools: new Map(), result: null };
  for (const tool of request.tools || []) {
    const named = tool.function || tool;
    if (named.name) talk.tools.set(named.name, named.parameters || {});
  }
  let messages = request.messages || [];
  if (talk.responses) {
    const asked = request.input || [];
    messages = [{ role: "system", content: request.instructions || "" }].concat(typeof asked === "string" ? [{ role: "user", content: asked }] : asked);
  }
  const last = messages[messages.length - 1] || {};
  if (talk.responses) {
    if (last.type === "function_call_output") talk.result = text(last.output) || "nothing";
  } else if (last.role === "tool" || last.role === "function") {
    talk.result = text(last.content) || "nothing";
  }
  const said = messages.filter((message) => message.role === "user").map((message) => text(message.content));
  talk.said = said[said.length - 1] || "";
  talk.everything = messages.map((message) => text(message.content)).join(" ");
  return talk;
}

function value(talk, key, about, word) {
  const kinds = [about.type, ...(about.anyOf || []).map((one) => one.type)].flat();
  const users = [...talk.everything.matchAll(USER)].map((found) => found[1]);
  if (/user_?id$/i.test(key) && users.length) {
    const user = users[users.length - 1];
    return kinds.includes("integer") && /^\d+$/.test(user) ? Number(user) : user;
  }
  if (kinds.includes("null")) return null;
  if (about.enum && about.enum.length) return about.enum[0];
  const plain = { integer: about.minimum === undefined ? 1 : about.minimum, number: 1, boolean: false, array: [], object: {} };
  const kind = kinds.find((one) => one in plain);
  return kind === undefined ? word : plain[kind];
}

function filled(talk, name) {
  const schema = talk.tools.get(name);
  const found = THIS_RUN.exec(talk.said);
  const word = found ? found[0] : talk.said.slice(0, 80);
  return Object.fromEntries((schema.required || []).map((key) => [key, value(talk, key, (schema.properties || {})[key] || {}, word)]));
}

function answer(talk) {
  if (talk.result !== null) {
    tell({ result: talk.result.slice(0, 400) });
    return { say: "It is done: " + talk.result.slice(0, 200) };
  }
  const name = [...talk.tools.keys()].find((name) => ADDS.test(name)) || null;
  tell({ offered: [...talk.tools.keys()].sort(), called: name, arguments: name && filled(talk, name) });
  return name ? { call: { name, arguments: JSON.stringify(filled(talk, name)) } } : { say: "I was offered no tool that adds something." };
}

function completed(request, { call, say }) {
  const mark = { id: "chatcmpl-scripted", created: Math.floor(Date.now() / 1000), model: request.model || "scripted" };
  const calls = call ? [{ id: "call_scripted", type: "function", function: call }] : null;
  const message = { role: "assistant", content: say || null, ...(calls ? { tool_calls: calls } : {}) };
  const end = calls ? "tool_calls" : "stop";
  const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  if (!request.stream) {
    return JSON.stringify({ ...mark, object: "chat.completion", choices: [{ index: 0, message, finish_reason: end }], usage });
  }
  (calls || []).forEach((one, place) => (one.index = place));
  const chunk = { ...mark, object: "chat.completion.chunk" };
  const chunks = [{ index: 0, delta: message, finish_reason: null }, { index: 0, delta: {}, finish_reason: end }];
  return chunks.map((one) => JSON.stringify({ ...chunk, choices: [one] })).concat("[DONE]").map((line) => "data: " + line + "\n\n").join("");
}

function responded(request, { call, say }) {
  const part = { type: "output_text", text: say, annotations: [] };
  const item = call
    ? { type: "function_call", id: "fc_scripted", call_id: "call_scripted", status: "completed", ...call }
    : { type: "message", id: "msg_scripted", role: "assistant", status: "completed", content: [part] };
  const details = { input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } };
  const whole = {
    id: "resp_scripted", object: "response", created_at: Math.floor(Date.now() / 1000), status: "completed",
    model: request.model || "scripted", output: [item], usage: { input_tokens: 0, output_tokens: 0, total_tokens: 0, ...details }, error: null,
    incomplete_details: null, instructions: null, metadata: {}, parallel_tool_calls: true,
    temperature: 0, top_p: 1, tool_choice: "auto", tools: request.tools || [],
  };
  if (!request.stream) return JSON.stringify(whole);
  const events = [
    { type: "response.created", response: { ...whole, status: "in_progress", output: [] } },
    { type: "response.output_item.added", output_index: 0, item },
    // What is said arrives in pieces: some libraries read those, and others the whole.
    ...(say ? [
      { type: "response.output_text.delta", item_id: item.id, output_index: 0, content_index: 0, delta: say },
      { type: "response.output_text.done", item_id: item.id, output_index: 0, content_index: 0, text: say },
    ] : []),
    { type: "response.output_item.done", output_index: 0, item },
    { type: "response.completed", response: whole },
  ];
  return events.map((event, place) => "event: " + event.type + "\ndata: " + JSON.stringify({ ...event, sequence_number: place }) + "\n\n").join("");
}

http.createServer((asked, reply) => {
  const send = (status, kind, body) => {
    reply.writeHead(status, { "Content-Type": kind, "Content-Length": Buffer.byteLength(body) });
    reply.end(body);
  };
  const wrong = (status, message) => send(status, "application/json", JSON.stringify({ error: { message } }));
  if (asked.method === "GET") {
    return send(200, "application/json", JSON.stringify({ object: "list", data: [{ id: "scripted", object: "model" }] }));
  }
  const parts = [];
  asked.on("data", (part) => parts.push(part));
  asked.on("end", () => {
    if (!/\/(chat\/completions|responses)$/.test(asked.url)) {
      tell({ unknown: asked.url });
      return wrong(404, "no such path: " + asked.url);
    }
    try {
      const talk = conversation(asked.url, JSON.parse(Buffer.concat(parts).toString()));
      const said = answer(talk);
      const body = (talk.responses ? responded : completed)(talk.request, said);
      send(200, talk.request.stream ? "text/event-stream" : "application/json", body);
    } catch (error) {
      tell({ error: String(error.message) });
      wrong(400, String(error.message));
    }
  });
}).listen(Number(process.argv[1]), "127.0.0.1");
