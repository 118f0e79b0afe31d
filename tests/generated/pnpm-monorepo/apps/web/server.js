const express = require("express");

const app = express();
const api = process.env.API_URL;
if (!api) throw new Error("API_URL is not set");
app.get("/health", (request, response) => response.json({ status: "ok" }));
app.get("/", async (request, response) => response.send(await (await fetch(`${api}/`)).text()));
app.listen(Number(process.env.PORT || 8080), "0.0.0.0");
