// The server of one library in a separate process, with the defaults that its documentation shows.

import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { setImmediate as nextTurn, setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { fastifySSE } from "@fastify/sse";
import type { FastifySseStream } from "@fastify/sse";
import { getRequestListener } from "@hono/node-server";
import { sse } from "@tidewire/express";
import { createChannel, createSession } from "better-sse";
import express from "express";
import ExpressSse from "express-sse";
import Fastify from "fastify";
import { FastifySSEPlugin } from "fastify-sse-v2";
import type { FastifySseV2Reply } from "fastify-sse-v2";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import type { SSEStreamingApi } from "hono/streaming";
import SseChannel from "sse-channel";
import type { BehaviourEvent, BehaviourServer, Library } from "./behaviour-protocol.js";
import { listen } from "./listen.js";
import { serve } from "./remote.js";

interface Running {
  readonly server: Server;
  /** Sends an event to every client. */
  publish(event: BehaviourEvent): unknown;
}

const START: { readonly [Name in Library]: () => Running | Promise<Running> } = {
  "@tidewire/express"() {
    const app = express();
    const events = sse();
    app.use(events);
    app.get("/events", (_request, response) => void response.sse.subscribe("all"));
    return {
      server: createServer(app),
      publish: ({ event, data }) => events.hub.publish("all", { event, data }),
    };
  },

  "better-sse"() {
    const channel = createChannel();
    const server = createServer((request, response) => {
      void createSession(request, response).then((session) => channel.register(session));
    });
    return {
      server,
      publish: ({ id, event, data }) => channel.broadcast(data, event, { eventId: id }),
    };
  },

  "sse-channel"() {
    const channel = new SseChannel();
    const server = createServer((request, response) => channel.addClient(request, response));
    return { server, publish: (event) => channel.send(event) };
  },

  "express-sse"() {
    const events = new ExpressSse();
    const app = express();
    app.get("/events", events.init);
    return {
      server: createServer(app),
      publish: ({ id, event, data }) => events.send(data, event, id),
    };
  },

  async "@fastify/sse"() {
    const streams = new Set<FastifySseStream>();
    const fastify = Fastify();
    await fastify.register(fastifySSE);
    fastify.get("/events", { sse: "only" }, async (_request, reply) => {
      const stream = reply.sse as unknown as FastifySseStream;
      stream.keepAlive();
      stream.onClose(() => streams.delete(stream));
      await stream.send({ id: "0", data: "open" });
      streams.add(stream);
    });
    await fastify.ready();
    return {
      server: fastify.server,
      publish: (event) => Promise.all(Array.from(streams, (stream) => stream.send(event))),
    };
  },

  async "fastify-sse-v2"() {
    const replies = new Set<FastifySseV2Reply>();
    const fastify = Fastify();
    await fastify.register(FastifySSEPlugin);
    fastify.get("/events", (request, fastifyReply) => {
      const reply = fastifyReply as unknown as FastifySseV2Reply;
      reply.sse({ comment: "open" });
      replies.add(reply);
      request.socket.on("close", () => replies.delete(reply));
    });
    await fastify.ready();
    return {
      server: fastify.server,
      publish(event) {
        for (const reply of replies) reply.sse(event);
      },
    };
  },

  hono() {
    const streams = new Set<SSEStreamingApi>();
    const app = new Hono();
    app.get("/events", (context) =>
      streamSSE(context, async (stream) => {
        streams.add(stream);
        await new Promise<void>((resolve) => stream.onAbort(resolve));
        streams.delete(stream);
      }),
    );
    const listener = getRequestListener(app.fetch);
    return {
      server: createServer((request, response) => void listener(request, response)),
      publish: (event) => Promise.all(Array.from(streams, (stream) => stream.writeSSE(event))),
    };
  },
};

let running: Running | undefined;

function publish(event: BehaviourEvent): unknown {
  if (running === undefined) throw new Error("No library has been started");
  return running.publish(event);
}

serve<BehaviourServer>({
  async start(library) {
    running = await START[library]();
    return { port: await listen(running.server) };
  },

  async publish(event) {
    try {
      await publish(event);
      return undefined;
    } catch (error) {
      return String(error);
    }
  },

  async publishMany({ first, count, bytes }) {
    for (let index = 0; index < count; index++) {
      // Each its own text: a queue of the same one would look as if it cost nothing.
      const data = randomBytes(bytes / 2).toString("hex");
      // Not awaited: a library that waits for its slowest client would wait for one that has stopped for good.
      void publish({ id: String(first + index), event: "price", data });
      await nextTurn();
    }
  },

  async memory() {
    if (globalThis.gc === undefined) throw new Error("The process needs --expose-gc");
    for (let times = 0; times < 2; times++) {
      await wait(100);
      globalThis.gc();
    }
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  },

  connections() {
    if (running === undefined) throw new Error("No library has been started");
    return promisify(running.server.getConnections.bind(running.server))();
  },
});
