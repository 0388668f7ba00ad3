// A node of a cluster in a separate process: an HTTP server with a hub whose log is on Redis.
import http from "node:http";
import { createHub } from "@tidewire/core";
import { redisLog } from "@tidewire/redis";
import { createFollower } from "../delivery/follow.mjs";
import { makeClient } from "./clients.mjs";

const { log, client, hub: given } = JSON.parse(process.argv[2]);
const { revalidateMs, checkMs = 0, ...hubOptions } = given;
const errors = [];
const health = [];
/** Users whose sessions fail when they are checked again. */
const blocked = new Set();
/** How checks have gone: their number, the most at the same time, and the longest time without one for a session. */
const checks = { count: 0, most: 0, longestGapMs: 0 };
let pendingChecks = 0;
/** When each session was checked last. */
const checkedAt = new WeakMap();

/** Checks a session, as a query of a few milliseconds would. */
async function check(session) {
  const now = Date.now();
  const gapMs = now - (checkedAt.get(session) ?? session.openedAt);
  checkedAt.set(session, now);
  checks.count += 1;
  checks.most = Math.max(checks.most, ++pendingChecks);
  checks.longestGapMs = Math.max(checks.longestGapMs, gapMs);
  if (checkMs > 0) await new Promise((resolve) => setTimeout(resolve, checkMs));
  pendingChecks -= 1;
  return !blocked.has(session.identity);
}

const hub = createHub({
  ...hubOptions,
  identify: ({ url }) => new URL(url, "http://node").searchParams.get("user") ?? undefined,
  revalidate: revalidateMs && {
    everyMs: revalidateMs,
    check,
  },
  log: redisLog({
    ...log,
    ...(client && { client: makeClient(client.library, client.place) }),
    onHealth: ({ state }) => health.push(state),
  }),
  onError: (error, { stage }) => {
    // The outcome of a publish is returned to the test that requested it.
    if (stage !== "publish") errors.push(`${stage}: ${String(error)}`);
  },
});

const follower = createFollower(hub, hubOptions.heartbeatMs);
const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://node");
  follower.follow(request, response, url.searchParams.getAll("channel"), {
    latest: Number(url.searchParams.get("latest") ?? 0),
  });
});
// Thousands of clients connect at once. One that finds the queue full would retry only after seconds.
server.listen({ port: 0, host: "127.0.0.1", backlog: 8_192 }, () =>
  process.send({ port: server.address().port }),
);

/** Publishes numbers, a fixed amount every ten milliseconds, and reports each outcome. */
async function publish({ channels, from, count, perSecond, prefix, dedupe = false }) {
  const outcomes = [];
  const start = performance.now();
  for (let sent = 0; sent < count;) {
    const due = Math.min(count, Math.ceil(((performance.now() - start) / 1_000) * perSecond));
    for (; sent < due; sent++) {
      const number = from + sent;
      const channel = channels[number % channels.length];
      const data = `${prefix}${number}`;
      const sentAt = performance.now();
      const ms = () => performance.now() - sentAt;
      outcomes.push(
        hub.publish(channel, { data }, dedupe ? { dedupeKey: data } : undefined).then(
          ({ id }) => ({ channel, data, id, ms: ms() }),
          (/** @type {unknown} */ error) => ({ channel, data, code: error.code, ms: ms() }),
        ),
      );
    }
    if (sent < count) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return Promise.all(outcomes);
}

const commands = {
  publish,
  presence: (channel) => hub.presence(channel),
  checks: async () => ({ ...checks }),
  block: async (user) => void blocked.add(user),
  disconnect: async (filter) => {
    const code = await hub.disconnect(filter).then(
      () => undefined,
      (/** @type {unknown} */ error) => error.code,
    );
    return { code, at: performance.timeOrigin + performance.now() };
  },
  stats: async () => ({
    ...follower.stats(),
    at: performance.timeOrigin + performance.now(),
    errors: errors.slice(),
    health: health.slice(),
    cpu: process.cpuUsage(),
    rss: process.memoryUsage().rss,
  }),
  close: async () => {
    await hub.close();
    server.close();
    server.closeAllConnections();
    process.disconnect();
  },
};

process.on("message", async ({ id, command, argument }) => {
  const result = await commands[command](argument);
  if (process.connected) process.send({ id, result });
});
