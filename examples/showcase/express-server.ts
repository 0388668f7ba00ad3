import { once } from "node:events";
import { createServer } from "node:http";
import { sse } from "@tidewire/express";
import express from "express";
import { channelOf } from "./channels.js";
import type { DemoServer, Setting } from "./demo-server.js";
import { readName, readText } from "./input.js";
import { PAGE_FILES, makeVisitorCookie, readVisitor } from "./page.js";
import { END_OF_TEXT, startText } from "./text.js";

/** The showcase on Express. */
export function createExpressServer(setting: Setting): DemoServer {
  const { hub, runs, clients, self, other } = setting;
  const app = express();
  app.disable("x-powered-by");
  app.use(sse({ hub }), express.json());

  app.get("/events", (req, res) => {
    const client = readText(req.query, "client") ?? "";
    if (clients.takeRefusal(client)) return void res.sendStatus(502);
    const user = readName(req.query, "user") ?? "nobody";
    const visitor = readVisitor(req.headers.cookie);
    clients.join(res.sse, { client, user, visitor }, self, other);
  });

  app.post("/news", async (req, res) => {
    const text = readText(req.body, "text");
    if (text === undefined) return void res.status(400).json({ error: "Expected a headline" });
    const at = new Date().toISOString();
    const { id } = await hub.publish("news", {
      event: "headline",
      data: { at, text, by: self.name },
    });
    res.status(202).json({ id });
  });

  app.post("/notifications", async (req, res) => {
    const [to, from] = [readName(req.body, "to"), readName(req.body, "from")];
    const text = readText(req.body, "text");
    if (to === undefined || from === undefined || text === undefined) {
      return void res.status(400).json({ error: "Expected two names and a text" });
    }
    const at = new Date().toISOString();
    const channel = hub.channel(channelOf(to));
    const { id } = await channel.publish({
      event: "notification",
      data: { at, text, from },
    });
    res.status(202).json({ id, tabs: channel.subscriptionCount });
  });

  app.post("/cut", (req, res) => {
    clients.cut(readText(req.query, "client") ?? "");
    res.sendStatus(204);
  });

  app.post("/away", (req, res) => {
    clients.sendAway(readText(req.query, "client") ?? "");
    res.sendStatus(204);
  });

  app.post("/refuse", (req, res) => {
    clients.refuse(readText(req.query, "client") ?? "");
    res.sendStatus(204);
  });

  app.post("/finish", (req, res) => {
    clients.finish(readText(req.query, "client") ?? "");
    res.sendStatus(204);
  });

  app.post("/restart", (_req, res) => {
    res.sendStatus(202);
    setting.restart();
  });

  app.post("/text", async (req, res) => {
    const [key, prompt] = [readText(req.body, "key"), readText(req.body, "prompt")];
    if (key === undefined || prompt === undefined) {
      return void res.status(400).json({ error: "Expected a key and a prompt" });
    }
    await startText(runs, key, prompt);
    await runs.follow(key, res.sse, END_OF_TEXT);
  });

  // A page that comes back gets the rest, or all of it after a reload. 204 if there is none.
  app.get("/text", async (req, res) => {
    await runs.follow(readText(req.query, "key") ?? "none", res.sse, END_OF_TEXT);
  });

  app.delete("/text", async (req, res) => {
    await runs.stop(readText(req.query, "key") ?? "none");
    res.sendStatus(204);
  });

  app.get("/", (req, res, next) => {
    if (readVisitor(req.headers.cookie) === undefined) {
      res.setHeader("Set-Cookie", makeVisitorCookie());
    }
    next();
  });
  for (const { url, type, read } of PAGE_FILES) {
    app.get(url, async (_req, res) => void res.type(type).send(await read()));
  }

  const server = createServer(app);
  return {
    async start() {
      await once(server.listen(self.port, "127.0.0.1"), "listening");
    },
    async stop() {
      await hub.close();
      const closed = once(server, "close");
      // Browsers open connections in advance. close() alone would wait for them.
      server.close().closeAllConnections();
      await closed;
    },
  };
}
