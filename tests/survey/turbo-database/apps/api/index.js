import express from "express";
import { orders } from "@shop/database";

const app = express();
app.get("/healthz", (request, response) => response.send("ok"));
app.get("/orders", async (request, response) => response.json(await orders()));
app.listen(process.env.PORT || 4100);
