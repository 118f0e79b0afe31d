import { Hono } from "hono";

const app = new Hono();
app.get("/health", (context) => context.text("ok"));
Bun.serve({ port: Number(process.env.PORT ?? 3000), fetch: app.fetch });
