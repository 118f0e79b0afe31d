import { Router } from "express";
export const routes = Router();
routes.get("/sessions", (req, res) => res.json([]));
