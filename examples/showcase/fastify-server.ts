import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";
import type { FastifyRequest } from "fastify";
import { Audience } from "./audience.js";
import { corsFor } from "./demo-server.js";
import type { DemoServer, Setting } from "./demo-server.js";
import { PAGE_DIRECTORY, PAGE_FILES, makeVisitorCookie, readVisitor } from "./page.js";
import { readPrompt, writeText } from "./text.js";

/** The showcase on Fastify. */
export async function createFastifyServer(setting: Setting): Promise<DemoServer> {
  const audience = new Audience(setting);
  // Browsers open connections ahead of need; without this close() would wait for those.
  const fastify = Fastify({ forceCloseConnections: true });
  await fastify.register(ssePlugin, { cors: corsFor(setting) });

  fastify.get("/events", (request, reply) => {
    audience.add(reply.sse, clientOf(request), readVisitor(request.headers.cookie));
    return reply;
  });

  fastify.post("/cut", (request, reply) => {
    audience.cut(clientOf(request));
    return reply.code(204).send();
  });

  fastify.post("/finish", (request, reply) => {
    audience.finish(clientOf(request));
    return reply.code(204).send();
  });

  fastify.post("/text", async (request, reply) => {
    const prompt = readPrompt(request.body);
    if (prompt === undefined) return reply.code(400).send({ error: "Expected a prompt" });
    const tokens = writeText(prompt, { signal: reply.sse.signal });
    await reply.sse.stream(tokens, (token) => ({ event: "token", data: token }));
    reply.sse.complete();
    return reply;
  });

  for (const [name, type] of PAGE_FILES) {
    fastify.get(name === "index.html" ? "/" : `/${name}`, async (request, reply) => {
      if (name === "index.html" && readVisitor(request.headers.cookie) === undefined) {
        reply.header("Set-Cookie", makeVisitorCookie());
      }
      return reply.type(type).send(await readFile(join(PAGE_DIRECTORY, name)));
    });
  }

  return {
    async start() {
      await fastify.listen({ port: setting.self.port, host: "0.0.0.0" });
    },
    stop: () => fastify.close(),
  };
}

function clientOf(request: FastifyRequest): string {
  const { client } = request.query as { client?: unknown };
  return typeof client === "string" ? client : "";
}
