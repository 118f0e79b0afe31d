const express = require("express");

const app = express();
app.get("/health", (request, response) => response.json({ status: "ok" }));
app.get("/", (request, response) => response.json({ hello: process.env.GREETING || "world" }));
app.listen(Number(process.env.PORT || 3000), "0.0.0.0");
