import { once } from "node:events";
import { createServer } from "node:http";
import { sse } from "@tidewire/express";
import express from "express";
import { Audience } from "./audience.js";
import { corsFor } from "./demo-server.js";
import type { DemoServer, Setting } from "./demo-server.js";
import { PAGE_DIRECTORY, makeVisitorCookie, readVisitor } from "./page.js";
import { readPrompt, writeText } from "./text.js";

/** The showcase on Express. */
export function createExpressServer(setting: Setting): DemoServer {
  const audience = new Audience(setting);
  const events = sse({ cors: corsFor(setting) });
  const app = express();
  app.disable("x-powered-by");
  app.use(events);

  app.get("/events", (req, res) => {
    audience.add(res.sse, clientOf(req), readVisitor(req.headers.cookie));
  });

  app.post("/cut", (req, res) => {
    audience.cut(clientOf(req));
    res.sendStatus(204);
  });

  app.post("/finish", (req, res) => {
    audience.finish(clientOf(req));
    res.sendStatus(204);
  });

  app.post("/text", express.json(), async (req, res) => {
    const prompt = readPrompt(req.body);
    if (prompt === undefined) return void res.status(400).json({ error: "Expected a prompt" });
    const tokens = writeText(prompt, { signal: res.sse.signal });
    await res.sse.stream(tokens, (token) => ({ event: "token", data: token }));
    res.sse.complete();
  });

  app.get("/", (req, res, next) => {
    if (readVisitor(req.headers.cookie) === undefined) {
      res.setHeader("Set-Cookie", makeVisitorCookie());
    }
    next();
  });
  app.use(express.static(PAGE_DIRECTORY));

  const server = createServer(app);
  return {
    async start() {
      await once(server.listen(setting.self.port), "listening");
    },
    async stop() {
      await events.hub.close();
      // Browsers open connections ahead of need; close() alone would wait for those.
      server.close().closeAllConnections();
    },
  };
}

function clientOf(request: express.Request): string {
  const { client } = request.query;
  return typeof client === "string" ? client : "";
}
