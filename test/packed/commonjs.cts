import { createHub } from "@tidewire/core";
import type { ChannelMap } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import { redisLog } from "@tidewire/redis";
import { createRuns } from "@tidewire/runs";
import express = require("express");
import fastify = require("fastify");

// A CommonJS module: `require()` of the packages, with their types.
async function main(): Promise<void> {
  const hub = createHub<ChannelMap, unknown>();
  const app = express();
  app.use(sse({ hub }));
  app.get("/", (_request, response) => {
    void response.sse.send("hello");
  });
  const instance = fastify({ return503OnClosing: false });
  await instance.register(ssePlugin, { hub });
  instance.get("/", (_request, reply) => {
    void reply.sse.send("hello");
    return reply;
  });
  await instance.ready();
  await instance.close();
  await redisLog({ url: "redis://127.0.0.1:1" }).close();
  await createRuns().close();
}

void main();
