import Koa from "koa";
import Redis from "ioredis";

const redis = new Redis(process.env.REDIS_URL ?? "redis://localhost:6379");
const app = new Koa();
app.use(async (context) => {
  context.body = await redis.get("stock");
});
app.listen(Number(process.env.PORT ?? 3400));
