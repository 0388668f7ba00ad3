import { sse } from "@tidewire/express";
import type { SseMiddleware } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import express from "express";
import fastify from "fastify";

// Compiled without @types/express and @types/node in the project: the packages bring what they need.
const app = express();
const events: SseMiddleware = sse({ heartbeatMs: 15_000 });
app.use(events);
await events.hub.close({ drainMs: 0 });

const instance = fastify({ return503OnClosing: false });
await instance.register(ssePlugin, { heartbeatMs: 15_000 });
instance.get("/", (_request, reply) => {
  void reply.sse.send("hello");
  return reply;
});
await instance.ready();
await instance.close();
