// Landfall from TypeScript, with the official SDK: lists the tools, surveys and plans an application, and asks before it changes anything.
//
//   npm install @modelcontextprotocol/client
//   node client.ts ~/code/todo landfall                     (Node 22.18 or newer; starts landfall itself)
//   LANDFALL_TOKEN=... node client.ts ~/code/todo http://127.0.0.1:7878/mcp

import { createInterface } from "node:readline/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

type Reply = { status: string; summary: string; plan?: { digest: string; stages: { stage: string; needed: boolean; why: string }[] } };

// Both generations of the SDK work; the names of its parts are the same, their places are not.
const sdk = process.env.LANDFALL_SDK ?? "@modelcontextprotocol/client";
const installed = createRequire(pathToFileURL(`${process.env.LANDFALL_CLIENTS ?? process.cwd()}/package.json`));
const load = (path: string) => import(pathToFileURL(installed.resolve(path)).href);
const older = sdk.endsWith("/sdk");
const { Client } = await load(older ? `${sdk}/client/index.js` : sdk);
const { StdioClientTransport } = await load(older ? `${sdk}/client/stdio.js` : `${sdk}/stdio`);
const { StreamableHTTPClientTransport } = await load(older ? `${sdk}/client/streamableHttp.js` : sdk);

const [workspace, target = "landfall"] = process.argv.slice(2);
if (!workspace) throw new Error("usage: client.ts WORKSPACE [landfall | http://127.0.0.1:7878/mcp]");

const client = new Client({ name: "landfall-example", version: "1.0.0" }, { capabilities: { elicitation: {} } });
const asked = older ? (await load(`${sdk}/types.js`)).ElicitRequestSchema : "elicitation/create";
client.setRequestHandler(asked, async (request: { params: { message: string } }) => {
  // The person decides, and without a person nothing is agreed to.
  if (!process.stdin.isTTY) return { action: "decline" };
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await lines.question(`${request.params.message}\nAgreed? [y/N] `);
  lines.close();
  return answer.trim().toLowerCase().startsWith("y") ? { action: "accept", content: { approve: true } } : { action: "decline" };
});

const transport = target.startsWith("http")
  ? new StreamableHTTPClientTransport(new URL(target), { requestInit: { headers: { Authorization: `Bearer ${process.env.LANDFALL_TOKEN}` } } })
  : new StdioClientTransport({ command: target, args: ["serve", "--root", workspace], env: process.env as Record<string, string>, stderr: "inherit" });
await client.connect(transport);

const call = async (name: string, more: object = {}): Promise<Reply> => {
  const result = await client.callTool({ name, arguments: { workspace, ...more } });
  if (result.isError) throw new Error(result.content.map((block: { text?: string }) => block.text).join("\n"));
  return result.structuredContent as Reply;
};

const { tools } = await client.listTools();
console.log(`${tools.length} tools`);
console.log((await call("analyze_project")).summary);
const planned = await call("plan_deployment");
console.log(`plan ${planned.plan?.digest.slice(0, 12)}: ${planned.summary}`);
for (const stage of planned.plan?.stages ?? []) console.log(`  ${stage.needed ? "needed" : "done  "} ${stage.stage}: ${stage.why}`);
await client.close();
