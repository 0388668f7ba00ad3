// The server of a test about channels, in a separate process, so that its memory and event loop can be observed.
// Run with --expose-gc. The first argument is JSON: the framework and the options of the hub.
import http from "node:http";
import http2 from "node:http2";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createHub } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import express from "express";
import Fastify from "fastify";
import { IS_READ, createFollower } from "../delivery/follow.mjs";

const { framework, options } = JSON.parse(process.argv[2]);
/** With more sessions than this, buffered bytes per session are not recorded. */
const MAX_WATCHED = 200;
/** The default of 511 would overflow when thousands of clients reconnect at once. */
const BACKLOG = 4_096;
const TICK_MS = 10;

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();

const sessions = new Set();
const peak = { rss: 0, buffered: 0 };
/** When each session was ended by `hub.close`. */
const shutdowns = [];
let published = 0;
let statsOf = () => running.hub.stats();

/** Joins the channels in the query. */
function follow(session, url) {
  const channels = new URL(url, "http://localhost").searchParams.get("channels").split(",");
  sessions.add(session);
  session.onClose((reason) => {
    sessions.delete(session);
    if (reason === "shutdown") shutdowns.push(performance.now());
  });
  void session.subscribe(channels);
}

const running = await start();

async function start() {
  if (framework === "fastify") {
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin, options);
    app.get("/", (request, reply) => {
      follow(reply.sse, request.url);
      return reply;
    });
    await app.listen({ port: 0, host: "127.0.0.1", backlog: BACKLOG });
    return { hub: app.sse, server: app.server, close: () => app.close() };
  }
  const hub = createHub(options);
  let listener = (request, response) =>
    follow(hub.createSession({ request, response }), request.url);
  if (framework === "express") {
    listener = express();
    listener.use(sse({ hub }));
    const follower = createFollower(hub);
    listener.get("/", (request, response) => {
      if (!IS_READ) return follow(response.sse, request.url);
      const { searchParams } = new URL(request.url, "http://localhost");
      follower.follow(request, response, searchParams.get("channels").split(","));
      statsOf = () => follower.stats();
    });
  }
  const server = framework === "http2" ? http2.createServer(listener) : http.createServer(listener);
  await new Promise((resolve) => {
    server.listen({ port: 0, host: "127.0.0.1", backlog: BACKLOG }, resolve);
  });
  return {
    hub,
    server,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
      }),
  };
}

setInterval(watch, 10).unref();

function watch() {
  peak.rss = Math.max(peak.rss, process.memoryUsage.rss());
  if (sessions.size > MAX_WATCHED) return;
  for (const { bufferedBytes } of sessions) peak.buffered = Math.max(peak.buffered, bufferedBytes);
}

async function publishOne(channel, bytes) {
  const now = performance.timeOrigin + performance.now();
  try {
    await running.hub.publish(channel, `${published++} ${now} `.padEnd(bytes, "x"));
  } catch (error) {
    // Publishing may continue for longer than the hub is open.
    if (error.code !== "ERR_SSE_CLOSED") throw error;
  }
}

const commands = {
  report() {
    watch();
    return {
      rss: process.memoryUsage.rss(),
      arrayBuffers: process.memoryUsage().arrayBuffers,
      heapUsed: process.memoryUsage().heapUsed,
      peakRss: peak.rss,
      peakBuffered: peak.buffered,
      published,
      delayP99: delay.percentile(99) / 1e6,
      delayMax: delay.max / 1e6,
      stats: statsOf(),
    };
  },
  /** Collects garbage and restarts all measurements. */
  async settle() {
    for (let i = 0; i < 3; i++) {
      globalThis.gc();
      await pause(50);
    }
    peak.rss = 0;
    peak.buffered = 0;
    delay.reset();
    return commands.report();
  },
  /** Publishes numbered events of `bytes` each, at a steady rate or as fast as possible, on the channels in turn. */
  async publish({ channels, count, perSecond, bytes }) {
    const begin = performance.now();
    for (let sent = 0; sent < count;) {
      const due =
        perSecond === undefined ? sent + 1_000 : ((performance.now() - begin) / 1_000) * perSecond;
      for (; sent < Math.min(count, due); sent++) {
        void publishOne(channels[published % channels.length], bytes);
      }
      await pause(perSecond === undefined ? 0 : TICK_MS);
    }
  },
  /** Closes the hub and then the server. */
  async close({ drainMs }) {
    delay.reset();
    const begin = performance.now();
    await running.hub.close({ drainMs });
    const hubMs = performance.now() - begin;
    await running.close();
    const serverMs = performance.now() - begin - hubMs;
    return {
      hubMs,
      serverMs,
      delayMax: delay.max / 1e6,
      shutdowns: shutdowns.map((at) => at - begin),
    };
  },
};

function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

process.on("message", async ({ id, command, details }) => {
  const result = await commands[command](details);
  if (process.connected) process.send({ id, result });
});

process.send({ port: running.server.address().port });
