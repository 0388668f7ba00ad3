import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { SseError, createHub, isSseError } from "@tidewire/core";
import type { ChannelMap, Session } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import { redisLog } from "@tidewire/redis";
import express from "express";
import { fastify } from "fastify";

// One program for every way to load the packages: a channel through Express, Fastify and plain node:http. It is run
// directly, compiled to either module format, bundled, and as a Jest test.
declare const test: ((name: string, body: () => Promise<void>) => void) | undefined;

async function checkStreams(): Promise<void> {
  const hub = createHub<ChannelMap, unknown>();
  const subscribe = (session: Session): void => {
    void session.subscribe("news", { latest: 1 });
  };

  const app = express();
  app.use(sse({ hub }));
  app.get("/news", (_request, response) => {
    subscribe(response.sse);
  });
  const expressServer = app.listen(0);

  const instance = fastify();
  await instance.register(ssePlugin, { hub });
  instance.get("/news", (_request, reply) => {
    subscribe(reply.sse);
    return reply;
  });
  await instance.listen({ port: 0 });

  const plainServer = http.createServer((request, response) => {
    subscribe(hub.createSession({ request, response }));
  });
  plainServer.listen(0);

  for (const server of [expressServer, instance.server, plainServer]) {
    const { port } = server.address() as AddressInfo;
    await hub.publish("news", { event: "headline", data: { number: 1 } });
    await readHeadlines(`http://localhost:${port}/news`, () =>
      hub.publish("news", { event: "headline", data: { number: 2 } }),
    );
  }

  let refused: unknown;
  try {
    createHub({ heartbeatMs: -1 });
  } catch (error) {
    refused = error;
  }
  if (!isSseError(refused) || !(refused instanceof SseError)) throw refused;

  await redisLog({ url: "redis://127.0.0.1:1" }).close();
  await hub.close();
  await instance.close();
  await new Promise((resolve) => expressServer.close(resolve));
  await new Promise((resolve) => plainServer.close(resolve));
}

/** The first event is available at once, the second follows once the stream is open. */
async function readHeadlines(url: string, publishSecond: () => Promise<unknown>): Promise<void> {
  const request = http.get(url, { agent: false });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response) {
    const isFirst = text === "";
    text += chunk as string;
    if (isFirst) await publishSecond();
    if (text.includes('data: {"number":2}\n\n')) break;
  }
  if (!text.includes('data: {"number":1}\n\n')) throw new Error(`Unexpected stream: ${text}`);
}

if (typeof test === "undefined") void checkStreams();
else test("streams of the packed packages", checkStreams);
