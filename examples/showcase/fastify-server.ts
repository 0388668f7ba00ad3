import { ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";
import { channelOf } from "./channels.js";
import type { DemoServer, Setting } from "./demo-server.js";
import { readName, readText } from "./input.js";
import { PAGE_FILES, makeVisitorCookie, readVisitor } from "./page.js";
import { END_OF_TEXT, startText } from "./text.js";

/** The showcase on Fastify. */
export async function createFastifyServer(setting: Setting): Promise<DemoServer> {
  const { hub, runs, clients, self, other } = setting;
  // Browsers open connections in advance. Without forceCloseConnections close() would wait for them.
  const fastify = Fastify({ return503OnClosing: false, forceCloseConnections: true });
  await fastify.register(ssePlugin, { hub });

  fastify.get("/events", (request, reply) => {
    const client = readText(request.query, "client") ?? "";
    if (clients.takeRefusal(client)) return reply.code(502).send();
    const user = readName(request.query, "user") ?? "nobody";
    const visitor = readVisitor(request.headers.cookie);
    clients.join(reply.sse, { client, user, visitor }, self, other);
    return reply;
  });

  fastify.post("/news", async (request, reply) => {
    const text = readText(request.body, "text");
    if (text === undefined) return reply.code(400).send({ error: "Expected a headline" });
    const at = new Date().toISOString();
    const { id } = await hub.publish("news", {
      event: "headline",
      data: { at, text, by: self.name },
    });
    return reply.code(202).send({ id });
  });

  fastify.post("/notifications", async (request, reply) => {
    const [to, from] = [readName(request.body, "to"), readName(request.body, "from")];
    const text = readText(request.body, "text");
    if (to === undefined || from === undefined || text === undefined) {
      return reply.code(400).send({ error: "Expected two names and a text" });
    }
    const at = new Date().toISOString();
    const channel = hub.channel(channelOf(to));
    const { id } = await channel.publish({
      event: "notification",
      data: { at, text, from },
    });
    return reply.code(202).send({ id, tabs: channel.subscriptionCount });
  });

  fastify.post("/cut", (request, reply) => {
    clients.cut(readText(request.query, "client") ?? "");
    return reply.code(204).send();
  });

  fastify.post("/away", (request, reply) => {
    clients.sendAway(readText(request.query, "client") ?? "");
    return reply.code(204).send();
  });

  fastify.post("/refuse", (request, reply) => {
    clients.refuse(readText(request.query, "client") ?? "");
    return reply.code(204).send();
  });

  fastify.post("/finish", (request, reply) => {
    clients.finish(readText(request.query, "client") ?? "");
    return reply.code(204).send();
  });

  fastify.post("/restart", (_request, reply) => {
    setting.restart();
    return reply.code(202).send();
  });

  fastify.post("/text", async (request, reply) => {
    const [key, prompt] = [readText(request.body, "key"), readText(request.body, "prompt")];
    if (key === undefined || prompt === undefined) {
      return reply.code(400).send({ error: "Expected a key and a prompt" });
    }
    await startText(runs, key, prompt);
    await runs.follow(key, reply.sse, END_OF_TEXT);
    return reply;
  });

  // A page that comes back gets the rest, or all of it after a reload. 204 if there is none.
  fastify.get("/text", async (request, reply) => {
    await runs.follow(readText(request.query, "key") ?? "none", reply.sse, END_OF_TEXT);
    return reply;
  });

  fastify.delete("/text", async (request, reply) => {
    await runs.stop(readText(request.query, "key") ?? "none");
    return reply.code(204).send();
  });

  for (const { url, type, read } of PAGE_FILES) {
    fastify.get(url, async (request, reply) => {
      if (url === "/" && readVisitor(request.headers.cookie) === undefined) {
        reply.header("Set-Cookie", makeVisitorCookie());
      }
      return reply.type(type).send(await read());
    });
  }

  return {
    async start() {
      await fastify.listen({ port: self.port, host: "127.0.0.1" });
    },
    // Ends the streams of this server. showcase.ts closes the hub.
    stop: () => fastify.close(),
  };
}
