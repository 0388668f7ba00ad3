import http from "node:http";
import { createHub, createPublisher, createReader } from "@tidewire/core";
import type { AuthorizedSession, Hub, Log, Publisher, Session } from "@tidewire/core";
import * as tidewireExpress from "@tidewire/express";
import { sse, sseHandler } from "@tidewire/express";
import * as tidewireFastify from "@tidewire/fastify";
import { ssePlugin } from "@tidewire/fastify";
import * as tidewireRedis from "@tidewire/redis";
import express from "express";
import type { Request } from "express";
import Fastify from "fastify";
import type { FastifyRequest } from "fastify";
import type { Channels } from "./register.js";

/** Calls that must compile with a session of a registered map, whatever the framework, and calls that must not. */
function follow(session: Session, id: string, names: readonly (keyof Channels)[]): void {
  void session.subscribe("news");
  void session.subscribe(["news", "prices", `user:${id}`], { latest: 5 });
  void session.subscribe(names);
  void session.subscribe("news", {
    snapshot: () => [
      { event: "headline", data: { title: "a" } },
      { event: "correction", data: "b", retry: 5 },
    ],
  });
  void session.subscribe(["chat", `user:${id}`], {
    snapshot: async () => new Set(["text", { event: "mail" as const, data: { from: "a" } }]),
  });
  void session.subscribe("chat", {
    *snapshot() {
      yield "text";
      yield { data: "text" };
    },
  });
  session.unsubscribe(["news", `user:${id}`]);
  void session.hub.publish("news", { event: "headline", data: { title: "a" } });
  void session.hub.channel(`user:${id}`).publish({ event: "mail", data: { from: "a" } });
  // `send` concerns only this stream, not channels.
  void session.send({ event: "anything", data: [1] });

  // @ts-expect-error -- There is no such channel.
  void session.subscribe("sport");
  // @ts-expect-error -- One of them does not exist.
  void session.subscribe(["news", "sport"]);
  // @ts-expect-error -- A name that is not known to the compiler may be that of no channel.
  void session.subscribe(id);
  // @ts-expect-error -- There is no such channel.
  session.unsubscribe("sport");
  // @ts-expect-error -- That is an event of another channel.
  void session.subscribe("news", { snapshot: () => [{ event: "mail", data: { from: "a" } }] });
  // @ts-expect-error -- The same, later.
  void session.subscribe("news", { snapshot: async () => [{ event: "mail", data: { from: "" } }] });
  // @ts-expect-error -- Data of another type.
  void session.subscribe("news", { snapshot: () => [{ event: "headline", data: { title: 5 } }] });
  // @ts-expect-error -- A string is a message, which this channel has not.
  void session.subscribe("news", { snapshot: () => ["text"] });
  // @ts-expect-error -- There is no such channel.
  void session.hub.publish("sport", { event: "headline", data: { title: "a" } });
  // @ts-expect-error -- There is no such event.
  void session.hub.publish("news", { event: "mail", data: { from: "a" } });
}

/** Reading in server code, with a hub of any framework or in a process without sessions. */
async function read(hub: Hub, log: Log, id: string): Promise<void> {
  for await (const item of hub.read(["news", `user:${id}`])) {
    if (item.type === "reset") continue;
    if (item.channel === "news" && item.event === "headline") void item.data.title;
    else if (item.event === "mail") void item.data.from;
  }
  const reader = createReader({ log });
  for await (const item of reader.read("prices", { latest: 1 })) {
    if (item.type === "event") void item.data.cents;
  }
  // A log with its own channels.
  const lines = createReader<{ logs: { line: string } }>({ log }).read("logs");
  for await (const item of lines) if (item.type === "event") void item.data.length;

  // @ts-expect-error -- There is no such channel.
  void hub.read("sport");
  // @ts-expect-error -- One of them does not exist.
  void reader.read(["news", "sport"]);
  // @ts-expect-error -- A name that is not known to the compiler may be that of no channel.
  void reader.read(id);
}
void read;

/** On Express. */
function useExpress(): void {
  const app = express();
  const events = sse({
    authorize: (channel, { request }) => channel === "news" || request.query["key"] === "a",
  });
  app.use(events, sse({ hub: events.hub }), sse({ hub: createHub() }));
  app.get("/", (request, response) => {
    follow(response.sse, request.path, []);
    const own: Request = response.sse.request;
    const hub: tidewireExpress.Hub = response.sse.hub;
    const session: tidewireExpress.Session = response.sse;
    void [own, hub, session];
  });
  void events.hub.publish("chat", "text");
  // @ts-expect-error -- There is no such channel.
  void events.hub.publish("sport", "text");
  sse({
    identify: (request) => request.get("x-user"),
    revalidate: { everyMs: 1_000, check: ({ request }) => request.query["key"] === "a" },
  });
  for (const session of events.hub.sessions({ identity: "ada", channel: "news" })) {
    const own: Request = session.request;
    void own;
  }
  void events.hub.disconnect({ identity: "ada", channel: "news", final: true });
  // @ts-expect-error -- There is no such channel.
  void events.hub.disconnect({ identity: "ada", channel: "sport" });
  // @ts-expect-error -- No request of Express has that.
  sse({ identify: (request) => request.routeOptions.url });
  // @ts-expect-error -- No request of Express has that.
  sse({ authorize: (_channel, { request }) => request.routeOptions.url === "/" });
  // @ts-expect-error -- Whoever asks for a channel that does not exist has misspelt one.
  sse({ authorize: (channel) => channel === "sport" });
  // A hub with its own channels.
  const other = sse<{ logs: { line: string } }>().hub;
  void other.publish("logs", { event: "line", data: "text" });
  // @ts-expect-error -- It has no others.
  void other.publish("news", { event: "headline", data: { title: "a" } });
  const given = sse({ hub: other }).hub;
  void given.publish("logs", { event: "line", data: "text" });
  // @ts-expect-error -- Its sessions would have requests of Fastify.
  sse({ hub: tidewireFastify.createHub() });
}

/** Routes of Express in one line. */
function routeOnExpress(id: string): void {
  const app = express();
  app.use(sse());
  app.get("/news", sseHandler("news"));
  app.get("/many", express.json(), sseHandler(["news", "prices", `user:${id}`], { latest: 20 }));
  app.get(
    "/users/:id",
    sseHandler((request) => `user:${String(request.params["id"])}`),
  );
  app.get(
    "/typed/:id",
    sseHandler((request: Request<{ id: string }>) => [`user:${request.params.id}`]),
  );
  app.get(
    "/later",
    sseHandler(
      async ({ path }) => (path === "/later" ? "news" : "prices"),
      async ({ query }) => ({ latest: Number(query["latest"]) }),
    ),
  );
  app.get(
    "/state",
    sseHandler("news", { snapshot: () => [{ event: "headline", data: { title: "a" } }] }),
  );
  app.get(
    "/maybe",
    sseHandler("chat", ({ path }) => (path === "/" ? undefined : { snapshot: () => ["text"] })),
  );
  app.get(
    "/both",
    sseHandler(
      ({ path }) => ["news", `user:${path}`],
      async () => ({ snapshot: async () => [{ event: "headline", data: { title: "a" } }] }),
    ),
  );
  express.Router().get("/elsewhere", sseHandler("news", {}, { property: "events" }));
  // A hub with its own channels.
  app.get("/logs", sseHandler<{ logs: { line: string } }>("logs", { latest: 1 }));

  // @ts-expect-error -- There is no such channel.
  sseHandler("sport");
  // @ts-expect-error -- One of them does not exist.
  sseHandler(["news", "sport"]);
  // @ts-expect-error -- A name that is not known to the compiler may be that of no channel.
  sseHandler(id);
  // @ts-expect-error -- There is no such channel.
  sseHandler(() => "sport");
  // @ts-expect-error -- The same, later.
  sseHandler(async () => ["news", "sport"]);
  // @ts-expect-error -- There is no such option.
  sseHandler("news", { last: 5 });
  // @ts-expect-error -- That is an event of another channel.
  sseHandler("news", { snapshot: () => [{ event: "mail", data: { from: "a" } }] });
  // @ts-expect-error -- Data of another type.
  sseHandler("news", { snapshot: () => [{ event: "headline", data: { title: 5 } }] });
  // @ts-expect-error -- No request of Express has that.
  sseHandler(({ routeOptions }) => (routeOptions === undefined ? "news" : "chat"));
  // @ts-expect-error -- That hub has no such channel.
  sseHandler<{ logs: { line: string } }>("news");
}

/** On Fastify. */
async function useFastify(): Promise<void> {
  const app = Fastify();
  await app.register(ssePlugin, {
    authorize: (channel, { request }) => channel === "news" || request.routeOptions.url === "/",
  });
  app.get<{ Querystring: { id: string } }>("/", (request, reply) => {
    follow(reply.sse, request.query.id, []);
    const own: FastifyRequest = reply.sse.request;
    const hub: tidewireFastify.Hub = app.sse;
    const session: tidewireFastify.Session = reply.sse;
    void [own, hub, session];
    return reply;
  });
  void app.sse.publish("chat", "text");
  // @ts-expect-error -- There is no such channel.
  void app.sse.publish("sport", "text");
  const hub = tidewireFastify.createHub({
    authorize: (channel, { request }) => channel === "news" || request.routeOptions.url === "/",
  });
  await app.register(ssePlugin, { hub });
  tidewireFastify.createHub({ identify: (request) => request.routeOptions.url });
  // @ts-expect-error -- No request of Fastify has that.
  tidewireFastify.createHub({ identify: (request) => request.get("x-user") });
  const ofExpress = tidewireExpress.createHub();
  // @ts-expect-error -- Its sessions would have requests of Express.
  await app.register(ssePlugin, { hub: ofExpress });
  const plain = createHub();
  // @ts-expect-error -- Its sessions would have requests of Node.
  await app.register(ssePlugin, { hub: plain });
  const shared = createHub<Channels, Request | FastifyRequest>();
  await app.register(ssePlugin, { hub: shared });
  sse({ hub: shared });
}

/** On `node:http`, and without streams. */
function useNode(log: Log): void {
  const hub = createHub({
    authorize: (channel, { request }) => channel === "news" || request.headers.cookie === "a",
  });
  http.createServer((request, response) => {
    const session = hub.createSession({ request, response });
    follow(session, session.request.url ?? "", []);
  });
  const anyHub: Hub = hub;
  void anyHub.publish("chat", "text");
  const http1 = createHub<Channels, http.IncomingMessage>({
    authorize: (_channel, { request }) => request.httpVersion === "1.1",
  });
  http.createServer((request, response) => void http1.createSession({ request, response }));
  const ofExpress = createHub<Channels, Request>();
  http.createServer((request, response) => {
    // @ts-expect-error -- The request is not an Express request.
    ofExpress.createSession({ request, response });
    ofExpress.createSession({ request, response, context: {} as Request });
  });
  const publishers: Publisher[] = [
    createPublisher({ log }),
    tidewireRedis.createRedisPublisher({ url: "redis://localhost" }),
  ];
  for (const publisher of publishers) {
    void publisher.publish("chat", "text");
    // @ts-expect-error -- There is no such channel.
    void publisher.publish("sport", "text");
  }
  const isAllowed = ({ request }: AuthorizedSession<Request>): boolean => request.path === "/";
  void isAllowed;
}

/** Where Redis is: exactly one of two. */
function useRedis(client: tidewireRedis.RedisClient): void {
  const { createRedisPublisher, redisLog } = tidewireRedis;
  const url = "redis://localhost";
  redisLog({ url });
  redisLog({ client, key: "a", retention: { maxEvents: 5 } });
  redisLog({ client: () => client, url: undefined });
  redisLog({ url, client: undefined, onHealth: ({ state }) => void state });
  createRedisPublisher({ url, key: "a", maxEventBytes: 5 });
  createRedisPublisher({ client: async () => client });
  const options: tidewireRedis.RedisLogOptions = { url };
  redisLog({ ...options, key: "a" });

  // @ts-expect-error -- Neither.
  redisLog({});
  // @ts-expect-error -- The same.
  redisLog({ key: "a" });
  // @ts-expect-error -- Both.
  redisLog({ url, client });
  // @ts-expect-error -- A variable of the environment may not be set.
  redisLog({ url: process.env["REDIS_URL"] });
  // @ts-expect-error -- There is no such option.
  redisLog({ url, maxEvents: 5 });
  // @ts-expect-error -- Neither.
  createRedisPublisher({});
  // @ts-expect-error -- Both.
  createRedisPublisher({ url, client });
  // @ts-expect-error -- A publisher has no `onHealth`.
  createRedisPublisher({ url, onHealth: () => {} });
}
void [useExpress, routeOnExpress, useFastify, useNode, useRedis];
