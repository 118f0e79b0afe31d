import express from "express";
import Redis from "ioredis";
import { routes } from "./routes.js";

const port = Number(process.env.PORT) || 4000;
const redis = new Redis(process.env.REDIS_URL);
if (!process.env.REDIS_URL) {
  console.error("REDIS_URL is not set");
  process.exit(1);
}
const app = express();
app.use("/v1", routes);
app.get("/healthz", (req, res) => res.send("ok"));
app.get("/readyz", async (req, res) => res.send(await redis.ping()));
app.listen(port, "0.0.0.0");
