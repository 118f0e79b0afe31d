import fastify from "fastify";
// eslint-disable-next-line @typescript-eslint/no-require-imports
const words = require("@shop/words") as { hello(name: string): string };

const server = fastify();
server.get("/health", async () => ({ status: "ok" }));
server.get("/", async () => ({ text: words.hello("shop") }));
server.listen({ port: Number(process.env.PORT ?? 3000), host: "0.0.0.0" });
