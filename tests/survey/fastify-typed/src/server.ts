import Fastify from "fastify";
import { z } from "zod";

const env = z.object({ QUOTES_API_KEY: z.string().min(1), QUOTES_PORT: z.coerce.number().default(5100) }).parse(process.env);

const app = Fastify();
app.get("/healthz", async () => ({ ok: true }));
await app.listen({ port: env.QUOTES_PORT, host: "0.0.0.0" });
