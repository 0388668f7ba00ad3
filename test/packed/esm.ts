import http from "node:http";
import type { AddressInfo } from "node:net";
import { createHub, isSseError } from "@tidewire/core";
import type { ChannelMap, Session } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import { createRedisPublisher, redisLog, redisTapes } from "@tidewire/redis";
import { createRuns } from "@tidewire/runs";
import type { RunEvent } from "@tidewire/runs";
import { Tape } from "@tidewire/runs/tapes";
import express from "express";
import fastify from "fastify";
import { createClient } from "redis";

// Installed from the tarballs, compiled there and run: one hub behind both frameworks and plain node:http.
const hub = createHub<ChannelMap, unknown>({
  heartbeatMs: 15_000,
  onError: (error) => console.error(error),
});

async function tell(session: Session): Promise<void> {
  const isThere: boolean = await session.send({ event: "time", data: { now: Date.now() } });
  if (isThere) void session.complete();
}

const app = express();
app.use(sse({ hub }));
app.get("/time", async (_request, response) => {
  await tell(response.sse);
});
const expressServer = app.listen(0);

const instance = fastify({ return503OnClosing: false });
await instance.register(ssePlugin, { hub });
instance.get("/time", async (_request, reply) => {
  await tell(reply.sse);
});
await instance.listen({ port: 0 });

const plainServer = http.createServer((request, response) => {
  void tell(hub.createSession({ request, response }));
});
plainServer.listen(0);

for (const server of [expressServer, instance.server, plainServer]) {
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://localhost:${port}/time`);
  const text = await response.text();
  if (!/event: time\nretry: \d+\ndata: \{/.test(text))
    throw new Error(`Unexpected stream: ${text}`);
}

// An address without a server: a log that was not started does not connect.
const client = createClient({ url: "redis://127.0.0.1:1" });
for (const log of [redisLog({ client }), redisLog({ client: async () => client })]) {
  await log.close();
}
const publisher = createRedisPublisher<{ news: { headline: string } }>({
  url: "redis://127.0.0.1:1",
});
const refused: unknown = await publisher
  .publish("news", { event: "headline", data: "x" })
  .catch((error: unknown) => error);
if (!isSseError(refused) || refused.code !== "ERR_SSE_LOG_REJECTED") throw refused;
await publisher.close();

const runs = createRuns({ keepMs: 1_000 });
await runs.start(
  "a",
  () => ["one", "two"],
  (word) => ({ event: "word", data: word }),
);
const read: RunEvent[] = [];
for await (const event of runs.read("a")) read.push(event);
if (read.length !== 3 || new Tape().length !== 0) throw new Error(JSON.stringify(read));
await runs.close();

const elsewhere = createRuns({ tapes: redisTapes({ client, onError: () => {} }) });
const unreachable: unknown = await elsewhere.state("a").catch((error: unknown) => error);
if (!isSseError(unreachable) || unreachable.code !== "ERR_SSE_TAPES_UNAVAILABLE") throw unreachable;
await elsewhere.close();

if (isSseError(undefined)) throw new Error("isSseError(undefined) is true");

await instance.close();
expressServer.close();
plainServer.close();
