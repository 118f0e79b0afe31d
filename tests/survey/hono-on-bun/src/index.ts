import { Hono } from 'hono';
const app = new Hono();
app.get('/health', (c) => c.json({ ok: true }));
Bun.serve({ port: 4100, fetch: app.fetch });
