// The server of a fault test, in a separate process, so that its memory and its exit can be observed. Run with
// --expose-gc. The first argument names the framework.
import http from "node:http";
import { createHub } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import express from "express";
import Fastify from "fastify";

const FLOOD_BYTES = 100 * 1024 * 1024;
const BLOCK = "x".repeat(64 * 1024);

const seen = { reasons: {}, peakRss: 0, taken: 0, sourceEnds: 0, bufferedAtClose: 0 };

const routes = {
  /** Stays open without any messages. */
  "/open": (session) => void session.open(),
  /** 100 MB in one tick, without awaiting. */
  "/flood": (session) => {
    for (let sent = 0; sent < FLOOD_BYTES; sent += BLOCK.length) {
      void session.send(BLOCK);
      if (session.state !== "closed") seen.bufferedAtClose = session.bufferedBytes;
      watchMemory();
    }
  },
  /** 100 MB over many ticks, without awaiting. */
  "/drip": (session) => {
    let sent = 0;
    const timer = setInterval(() => {
      for (let i = 0; i < 16; i++) void session.send(BLOCK);
      if (session.state !== "closed") seen.bufferedAtClose = session.bufferedBytes;
      watchMemory();
      sent += 16 * BLOCK.length;
      if (sent >= FLOOD_BYTES) clearInterval(timer);
    }, 1);
  },
  /** 100 MB from a source that is read only when there is room. */
  "/offer": (session) => {
    async function* source() {
      try {
        for (let sent = 0; sent < FLOOD_BYTES; sent += BLOCK.length) {
          seen.taken += BLOCK.length;
          watchMemory();
          yield BLOCK;
        }
      } finally {
        seen.sourceEnds += 1;
      }
    }
    void session.stream(source());
  },
};

function handle(session, url) {
  session.onClose((reason) => {
    seen.reasons[reason] = (seen.reasons[reason] ?? 0) + 1;
  });
  routes[url](session);
}

const running = await start(process.argv[2]);

async function start(framework) {
  if (framework === "fastify") {
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin, { stallTimeoutMs: 2_000 });
    app.get("/*", (request, reply) => {
      handle(reply.sse, request.url);
      return reply;
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    return { hub: app.sse, server: app.server, close: () => app.close() };
  }
  const hub = createHub({ stallTimeoutMs: 2_000 });
  let listener;
  if (framework === "express") {
    const app = express();
    app.use(sse({ hub }));
    app.get("/{*path}", (request, response) => handle(response.sse, request.url));
    listener = app;
  } else {
    listener = (request, response) => handle(hub.createSession({ request, response }), request.url);
  }
  const server = http.createServer(listener);
  await new Promise((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    hub,
    server,
    close: async () => {
      await hub.close();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

function watchMemory() {
  seen.peakRss = Math.max(seen.peakRss, process.memoryUsage.rss());
}

async function report() {
  globalThis.gc();
  const connections = await new Promise((resolve) => {
    running.server.getConnections((_error, count) => resolve(count));
  });
  const resources = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  watchMemory();
  return {
    ...seen,
    sessions: running.hub.sessionCount,
    connections,
    resources,
    listeners: running.server
      .eventNames()
      .reduce((sum, name) => sum + running.server.listenerCount(name), 0),
    heapUsed: process.memoryUsage().heapUsed,
    rss: process.memoryUsage.rss(),
  };
}

process.on("message", async (message) => {
  if (message === "report") process.send(await report());
  if (message === "close") {
    await running.close();
    // Only the channel to the parent is left: without it the process has to exit by itself.
    process.send({ closed: true });
    process.disconnect();
  }
});

process.send({ port: running.server.address().port });
