import { once } from "node:events";
import { randomBytes } from "node:crypto";
import http from "node:http";
import type { RequestListener } from "node:http";
import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { createGunzip, createGzip } from "node:zlib";
import fastifyCompress from "@fastify/compress";
import fastifyCookie from "@fastify/cookie";
import fastifyRateLimit from "@fastify/rate-limit";
import fastifySession from "@fastify/session";
import type { CloseReason } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import compression from "compression";
import cors from "cors";
import express5 from "express";
import express4 from "express4";
import { rateLimit } from "express-rate-limit";
import session from "express-session";
import Fastify from "fastify";
import type { FastifyInstance, FastifyReply } from "fastify";
import helmet from "helmet";
import supertest from "supertest";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request, within } from "../client.js";
import type { StreamClient, Target } from "../client.js";

const closers: (() => Promise<unknown>)[] = [];
const clients: StreamClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.cut();
  for (const close of closers.splice(0)) await close();
});

/** Headers that browsers send and that activate compressors. */
const BROWSER = { accept: "text/event-stream", "accept-encoding": "gzip, deflate, br" };

/**
 * Sends "0", and each further number only when the test asks for it. A stream that holds an event back until the next
 * one would then hold it back forever.
 */
class Counter {
  #stream: { send(data: string): Promise<boolean> } | undefined;
  #count = 0;

  startOn(stream: { send(data: string): Promise<boolean> }): void {
    this.#stream = stream;
    this.next();
  }

  next(): void {
    void this.#stream?.send(String(this.#count++));
  }
}

/** Opens a stream on which a counter starts, and checks that its events are not held back. */
async function expectPrompt(target: Target, path: string, counter: Counter): Promise<StreamClient> {
  const client = await request(target, path, { headers: BROWSER });
  clients.push(client);
  for (let i = 0; i <= 3; i++) {
    await client.until(`data: ${i}\n\n`);
    counter.next();
  }
  return client;
}

describe.each([
  ["Express 4", express4],
  ["Express 5", express5],
])("%s", (_name, express) => {
  async function listen(app: ReturnType<typeof express5>): Promise<Target> {
    const server = http.createServer(app as unknown as RequestListener).listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(
      () =>
        new Promise((resolve) => {
          server.close(resolve);
        }),
    );
    return { port: (server.address() as { port: number }).port, protocol: "http1" };
  }

  it("streams at once behind helmet, cors, compression, a session and a rate limit", async () => {
    const counter = new Counter();
    const app = express();
    const events = sse();
    closers.push(() => events.hub.close());
    app.use(helmet());
    app.use(cors({ origin: "https://app.example", credentials: true }));
    app.use(compression({ threshold: 0 }));
    app.use(session({ secret: "tide", resave: false, saveUninitialized: true }));
    app.use(rateLimit({ limit: 5, standardHeaders: true }));
    app.use(events);
    app.get("/json", (_request, response) => void response.json({ text: "x".repeat(2_000) }));
    app.get("/time", (_request, { sse: stream }) => counter.startOn(stream));

    const target = await listen(app);
    const { headers } = await expectPrompt(target, "/time", counter);
    expect(headers).toMatchObject({
      "content-type": "text/event-stream",
      "x-content-type-options": "nosniff",
      "access-control-allow-origin": "https://app.example",
      "access-control-allow-credentials": "true",
      "ratelimit-limit": "5",
    });
    expect(headers["set-cookie"]).toEqual([expect.stringContaining("connect.sid=")]);
    expect(headers).not.toHaveProperty("content-encoding");

    // The other routes are still compressed.
    const json = await supertest(`http://127.0.0.1:${target.port}`).get("/json");
    expect(json.headers["content-encoding"]).toMatch(/gzip|br|deflate/);
  });

  it("flushes each event through a compressor that compresses event streams anyway", async () => {
    const counter = new Counter();
    const app = express();
    const events = sse();
    closers.push(() => events.hub.close());
    app.use(compression({ threshold: 0, filter: () => true }));
    // Removes `no-transform` without our knowledge, which is what keeps `compression` off.
    app.use((_request, response, next) => {
      const { writeHead } = response;
      response.writeHead = function patched(this: typeof response, status: number) {
        this.setHeader("Cache-Control", "no-cache");
        return writeHead.call(this, status);
      } as typeof writeHead;
      next();
    });
    app.use(events);
    app.get("/time", (_request, { sse: stream }) => counter.startOn(stream));
    const { port } = await listen(app);
    const seen = await firstUncompressed(port, "/time");
    expect(seen.encoding).toMatch(/gzip|br|deflate/);
    expect(seen.text).toContain("data: 0\n\n");
  });

  it("passes 406 to the application's own error handler, also from a router", async () => {
    const app = express();
    const events = sse();
    app.use(events);
    const router = express.Router();
    router.get("/stream", async (_request, response) => {
      await Promise.resolve();
      await response.sse.send("x");
    });
    app.use("/deep", router);
    app.use(
      (
        error: { code: string; statusCode: number },
        _request: unknown,
        response: { status(code: number): { json(body: unknown): void } },
        _next: unknown,
      ) => response.status(error.statusCode).json({ code: error.code }),
    );
    const response = await supertest(app).get("/deep/stream").set("Accept", "image/png");
    expect(response.status).toBe(406);
    expect(response.body).toEqual({ code: "ERR_SSE_NOT_ACCEPTABLE" });
  });

  it("passes 406 to the error handler of the router that handles the request", async () => {
    const app = express();
    app.use(sse());
    const router = express.Router();
    router.get("/stream", (_request, response) => void response.sse.open());
    const answerWith =
      (status: number) =>
      (
        _error: unknown,
        _request: unknown,
        response: { status(code: number): { end(): void } },
        _next: unknown,
      ): void =>
        response.status(status).end();
    router.use(answerWith(418));
    app.use("/deep", router);
    app.use(answerWith(500));
    const response = await supertest(app).get("/deep/stream").set("Accept", "image/png");
    expect(response.status).toBe(418);
  });

  it("settles a large send through a compressor, and counts the bytes that it holds", async () => {
    const app = express();
    const events = sse();
    closers.push(() => events.hub.close());
    const results: unknown[] = [];
    app.use(compression());
    app.use(events);
    app.get("/read", async (_request, { sse: stream }) => {
      // Removes `no-transform`, which is what keeps `compression` off.
      stream.open({ headers: { "Cache-Control": "no-cache" } });
      results.push(await stream.send("x".repeat(40_000)));
    });
    app.get("/stalled", (_request, { sse: stream }) => {
      stream.open({ headers: { "Cache-Control": "no-cache" } });
      stream.onClose((reason) => results.push(reason));
      // After the head has been sent: a session that is cut before gives the client no response at all.
      void delay(100).then(async () => {
        while (stream.state === "open") {
          void stream.send(randomText(256 * 1024));
          await delay(1);
        }
      });
    });
    const target = await listen(app);
    const reader = await request(target, "/read", { headers: BROWSER });
    clients.push(reader);
    expect(reader.headers["content-encoding"]).toBeDefined();
    await eventually("the send to settle", () => results.length === 1);
    clients.push(await request(target, "/stalled", { headers: BROWSER, paused: true }));
    await eventually("the session to close", () => results.length === 2);
    expect(results).toEqual([true, "slow"]);
  });

  it("gives routes of a mounted application and a router their stream", async () => {
    const app = express();
    const events = sse();
    const inner = express();
    inner.get("/stream", (_request, response) => {
      void response.sse.send("inner");
      response.sse.close();
    });
    app.use(events);
    app.use("/app", inner);
    const response = await supertest(app).get("/app/stream");
    expect(response.text).toContain("data: inner\n\n");
  });

  it("gives two responses of one application two sessions, and one response one", async () => {
    const app = express();
    const events = sse();
    const sessions = new Set<unknown>();
    app.use(events);
    app.get("/", (_request, response) => {
      sessions.add(response.sse).add(response.sse);
      response.end();
    });
    await supertest(app).get("/");
    await supertest(app).get("/");
    expect(sessions.size).toBe(2);
  });

  it("mounts on a single route", async () => {
    const app = express();
    const events = sse();
    app.get("/one", events, (_request, response) => void response.sse.complete("done"));
    app.get("/two", (_request, response) => void response.json({ sse: typeof response.sse }));
    expect((await supertest(app).get("/one")).text).toContain("data: done\n\n");
    expect((await supertest(app).get("/two")).body).toEqual({ sse: "undefined" });
  });

  it("refuses other options together with a hub", () => {
    const { hub } = sse();
    expect(() => sse({ hub, heartbeatMs: 1_000 } as never)).toThrow(/beside `hub`/);
    expect(sse({ hub }).hub).toBe(hub);
    for (const wrong of [hub, { hub: {} }, { hub: null }, [], new Map()]) {
      expect(() => sse(wrong as never)).toThrow(
        expect.objectContaining({ code: "ERR_SSE_INVALID_OPTION" }),
      );
    }
  });
});

describe("Fastify", () => {
  async function listen(app: FastifyInstance): Promise<Target> {
    closers.push(() => app.close());
    await app.listen({ port: 0, host: "127.0.0.1" });
    return { port: (app.server.address() as { port: number }).port, protocol: "http1" };
  }

  it("streams at once behind compression, cookies, a session and a rate limit", async () => {
    const counter = new Counter();
    const app = Fastify({ return503OnClosing: false });
    await app.register(fastifyCompress, { threshold: 0 });
    await app.register(fastifyCookie);
    await app.register(fastifySession, {
      secret: "a secret with a length of at least 32 characters",
      cookie: { secure: false },
      saveUninitialized: true,
    });
    await app.register(fastifyRateLimit, { max: 5 });
    await app.register(ssePlugin);
    app.get("/json", async () => ({ text: "x".repeat(2_000) }));
    app.get("/time", (_request, reply) => {
      reply.setCookie("seen", "yes").setCookie("theme", "dark");
      counter.startOn(reply.sse);
      return reply;
    });
    const target = await listen(app);
    const { headers } = await expectPrompt(target, "/time", counter);
    expect(headers).toMatchObject({
      "content-type": "text/event-stream",
      "x-ratelimit-limit": "5",
    });
    expect(headers["set-cookie"]).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^seen=yes/),
        expect.stringMatching(/^theme=dark/),
        expect.stringMatching(/^sessionId=/),
      ]),
    );
    expect(headers).not.toHaveProperty("content-encoding");
    const json = await supertest(`http://127.0.0.1:${target.port}`).get("/json");
    expect(json.headers["content-encoding"]).toMatch(/gzip|br|deflate/);
  });

  it("disables a compressor that is set to compress event streams, and flushes each event", async () => {
    const counter = new Counter();
    const app = Fastify({ return503OnClosing: false });
    await app.register(fastifyCompress, { threshold: 0, customTypes: /event-stream/ });
    await app.register(ssePlugin);
    app.get("/time", (_request, reply) => {
      counter.startOn(reply.sse);
      return reply;
    });
    const { headers } = await expectPrompt(await listen(app), "/time", counter);
    expect(headers).not.toHaveProperty("content-encoding");
  });

  it("writes through a stream that a hook puts before the response, and flushes each event", async () => {
    const logged: unknown[] = [];
    const counter = new Counter();
    const app = Fastify({
      return503OnClosing: false,
      logger: { level: "warn", stream: { write: (line: string) => void logged.push(line) } },
    });
    app.addHook("onSend", async (_request, reply, payload) => {
      reply.header("Content-Encoding", "gzip");
      return (payload as Readable).pipe(createGzip());
    });
    await app.register(ssePlugin);
    app.get("/time", (_request, reply) => {
      counter.startOn(reply.sse);
      return reply;
    });
    app.get("/short", (_request, reply) => {
      void reply.sse.send("only");
      void reply.sse.complete("done");
      return reply;
    });
    const { port } = await listen(app as unknown as FastifyInstance);
    const seen = await firstUncompressed(port, "/time");
    expect(seen.encoding).toBe("gzip");
    expect(seen.text).toContain("data: 0\n\n");
    const short = await supertest(`http://127.0.0.1:${port}`).get("/short");
    expect(short.text).toContain("data: only\n\ndata: done\n\n");
    expect(logged).toEqual([]);
  });

  it("runs onSend hooks before the head and onResponse hooks when the stream ends", async () => {
    const order: string[] = [];
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin);
    app.addHook("onSend", async (_request, reply, payload) => {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      reply.header("X-On-Send", "yes");
      order.push("onSend");
      return payload;
    });
    app.addHook("onResponse", async () => void order.push("onResponse"));
    app.get("/", (_request, reply) => {
      order.push(reply.sse.open() ? reply.sse.state : "closed");
      void reply.sse.send("one").then(() => {
        order.push("sent");
        void reply.sse.complete();
      });
      return reply;
    });
    const client = await request(await listen(app), "/", {
      headers: { accept: "text/event-stream" },
    });
    expect(client.headers["x-on-send"]).toBe("yes");
    expect(await client.rest()).toMatch(/^retry: \d+\ndata: one\n\nevent: sse-complete\n/);
    await eventually("the hooks", () => order.length === 4);
    expect(order).toEqual(["connecting", "onSend", "sent", "onResponse"]);
  });

  it("logs nothing at warn or above when a client leaves or a handler returns the result of send", async () => {
    const logged: string[] = [];
    const reasons: CloseReason[] = [];
    const app = Fastify({
      return503OnClosing: false,
      logger: { level: "warn", stream: { write: (line: string) => void logged.push(line) } },
    });
    await app.register(ssePlugin);
    app.get("/boolean", async (_request, reply) => reply.sse.send("one"));
    app.get("/nothing", async (_request, reply) => {
      reply.sse.onClose((reason) => reasons.push(reason));
      await reply.sse.send("one");
    });
    app.get("/reply", (_request, reply) => {
      reply.sse.onClose((reason) => reasons.push(reason));
      void reply.sse.send("one");
      return reply;
    });
    const target = await listen(app as unknown as FastifyInstance);
    for (const path of ["/nothing", "/reply"]) {
      const client = await request(target, path);
      await client.until("data: one\n\n");
      expect(client.isEnded).toBe(false);
      client.cut();
    }
    const boolean = await request(target, "/boolean");
    clients.push(boolean);
    await boolean.until("data: one\n\n");
    await eventually("the sessions to close", () => reasons.length === 2);
    expect(app.sse.sessionCount).toBe(1);
    expect(logged).toEqual([]);
  });

  it("passes an error after the head to the error handler and to onError hooks, and ends the stream", async () => {
    const seen: string[] = [];
    const logged: string[] = [];
    const app = Fastify({
      return503OnClosing: false,
      logger: { level: "warn", stream: { write: (line: string) => void logged.push(line) } },
    });
    await app.register(ssePlugin);
    app.addHook(
      "onError",
      async (_request, _reply, error) => void seen.push(`hook ${error.message}`),
    );
    app.setErrorHandler((error: Error, _request, reply) => {
      seen.push(`handler ${error.message}`);
      return reply.code(500).send({ error: error.message });
    });
    app.get("/", async (_request, reply) => {
      reply.sse.onClose((reason) => seen.push(reason));
      await reply.sse.send("one");
      throw new Error("broken");
    });
    const client = await request(await listen(app as unknown as FastifyInstance), "/");
    expect(await client.rest()).toMatch(/data: one\n\n$/);
    await eventually("the error handler", () => seen.length === 3);
    expect(seen.toSorted()).toEqual(["error", "handler broken", "hook broken"]);
    expect(logged).toEqual([]);
  });

  it("answers 500 when a hook fails before the head, and the session closes with error", async () => {
    const reasons: CloseReason[] = [];
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin);
    app.addHook("onSend", async (_request, reply) => {
      if (reply.statusCode === 200) throw new Error("hook");
    });
    app.get("/", (_request, reply) => {
      reply.sse.onClose((reason) => reasons.push(reason));
      void reply.sse.send("never");
      return reply;
    });
    const client = await request(await listen(app), "/");
    expect(client.status).toBe(500);
    expect(await client.rest()).not.toContain("never");
    expect(reasons).toEqual(["error"]);
    expect(app.sse.sessionCount).toBe(0);
  });

  it("answers 500 with only the error when the handler throws while a hook holds the head back", async () => {
    const logged: string[] = [];
    const reasons: CloseReason[] = [];
    let held = 0;
    const app = Fastify({
      return503OnClosing: false,
      logger: { level: "warn", stream: { write: (line: string) => void logged.push(line) } },
    });
    await app.register(ssePlugin);
    app.setErrorHandler((error: Error, _request, reply) =>
      reply.code(500).send({ error: error.message }),
    );
    app.addHook("onSend", async (_request, _reply, payload) => {
      held += 1;
      await delay(50);
      return payload;
    });
    app.get("/", async (_request, reply) => {
      reply.sse.onClose((reason) => reasons.push(reason));
      void reply.sse.send("never");
      await eventually("the hook", () => held === 1);
      throw new Error("handler");
    });
    const target = await listen(app as unknown as FastifyInstance);
    const response = await supertest(`http://127.0.0.1:${target.port}`).get("/");
    expect(response.status).toBe(500);
    expect(response.body).toEqual({ error: "handler" });
    expect(reasons).toEqual(["error"]);
    expect(app.sse.sessionCount).toBe(0);
    expect(logged).toEqual([]);
  });

  it("answers 406 through the error handler of the instance, and onResponse runs", async () => {
    let responses = 0;
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin);
    app.setErrorHandler((error: Error & { code: string; statusCode: number }, _request, reply) =>
      reply.code(error.statusCode).send({ code: error.code }),
    );
    app.addHook("onResponse", async () => void (responses += 1));
    app.get("/", async (_request, reply) => reply.sse.send("x"));
    const response = await supertest(`http://127.0.0.1:${(await listen(app)).port}`)
      .get("/")
      .set("Accept", "image/png");
    expect(response.status).toBe(406);
    expect(response.body).toEqual({ code: "ERR_SSE_NOT_ACCEPTABLE" });
    await eventually("onResponse", () => responses === 1);
  });

  it.each<[string, (reply: FastifyReply) => unknown]>([
    ["later, by send()", (reply) => void setTimeout(() => void reply.code(406).send(), 20)],
    [
      "after an await, by send()",
      async (reply) => {
        await new Promise((resolve) => {
          setTimeout(resolve, 20);
        });
        void reply.code(406).send();
        return reply;
      },
    ],
    ["with undefined", async (reply) => void reply.code(406)],
    ["with false", async (reply) => (reply.code(406).type("application/json"), false)],
  ])("lets an error handler answer a refused client in its own way: %s", async (_name, answer) => {
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin);
    app.setErrorHandler((_error, _request, reply) => answer(reply as unknown as FastifyReply));
    app.addHook("onSend", async (_request, _reply, payload) => {
      await Promise.resolve();
      return payload;
    });
    app.get("/", (_request, reply) => {
      reply.sse.open();
      return reply;
    });
    app.get("/throws", async (_request, reply) => {
      reply.sse.open();
      await Promise.resolve();
      throw new Error("after the refusal");
    });
    const target = await listen(app);
    for (const path of ["/", "/throws"]) {
      const client = await request(target, path, { headers: { accept: "image/png" } });
      expect(client.status).toBe(406);
      expect(await client.rest()).not.toContain("after the refusal");
    }
  });

  it("runs no handler after a hook that has started a stream", async () => {
    let isHandled = false;
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin);
    app.addHook("preHandler", async (_request, reply) => {
      await reply.sse.send("hook");
      return reply;
    });
    app.get("/", async () => {
      isHandled = true;
      return {};
    });
    const client = await request(await listen(app), "/");
    clients.push(client);
    await client.until("data: hook\n\n");
    expect(client.isEnded).toBe(false);
    expect(isHandled).toBe(false);
  });

  it("writes into a stream that a hook builds from the body", async () => {
    const app = Fastify({ return503OnClosing: false });
    app.addHook("onSend", async (_request, _reply, payload) =>
      Readable.from(copyOf(payload as Readable)),
    );
    await app.register(ssePlugin);
    app.get("/", async (_request, reply) => {
      for (let i = 0; i < 50; i++) await reply.sse.send(`${i} ${"x".repeat(10_000)}`);
      void reply.sse.complete("done");
    });
    const client = await request(await listen(app), "/");
    const text = await client.rest();
    expect(text.match(/^data: \d+/gm)).toHaveLength(50);
    expect(text).toMatch(/data: done\n\n$/);
  });

  it("logs nothing at warn or above when a handler fails because its client has left", async () => {
    const logged: string[] = [];
    let ends = 0;
    const app = Fastify({
      return503OnClosing: false,
      logger: { level: "warn", stream: { write: (line: string) => void logged.push(line) } },
    });
    await app.register(ssePlugin);
    app.get("/abort", async (_request, reply) => {
      reply.sse.open();
      try {
        await delay(60_000, undefined, { signal: reply.sse.signal });
      } finally {
        ends += 1;
      }
    });
    app.get("/reason", async (_request, reply) => {
      reply.sse.open();
      await new Promise<void>((_resolve, reject) => {
        reply.sse.signal.addEventListener("abort", () => {
          ends += 1;
          reject(reply.sse.signal.reason as Error);
        });
      });
    });
    const target = await listen(app as unknown as FastifyInstance);
    for (const path of ["/abort", "/reason"]) {
      const client = await request(target, path);
      await client.until(":\n\n");
      client.cut();
    }
    await eventually("the handlers to end", () => ends === 2);
    await delay(20);
    expect(logged).toEqual([]);
  });

  it("lets a stream outlive the handler timeout", async () => {
    const app = Fastify({ return503OnClosing: false, handlerTimeout: 100 });
    await app.register(ssePlugin);
    app.get("/", (_request, reply) => {
      void delay(300).then(() => reply.sse.send("later"));
      void reply.sse.open();
      return reply;
    });
    const client = await request(await listen(app), "/");
    clients.push(client);
    await client.until("data: later\n\n");
  });

  it("keeps the headers that its error handler and plugins set through reply.raw", async () => {
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin);
    app.get("/", (_request, reply) => {
      reply.raw.setHeader("X-Raw", "1");
      reply.raw.setHeader("Content-Type", "text/plain");
      reply.sse.close();
      return reply;
    });
    const client = await request(await listen(app), "/");
    expect(client.headers["x-raw"]).toBe("1");
    expect(client.headers["content-type"]).toBe("text/event-stream");
  });

  it("shares a hub with Express, and refuses other options together with it", async () => {
    const events = sse();
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin, { hub: events.hub, prefix: "/ignored" } as never);
    expect(app.sse).toBe(events.hub);
    await app.close();
    await expect(
      Promise.resolve(
        Fastify().register(ssePlugin, { hub: events.hub, heartbeatMs: 1_000 } as never),
      ),
    ).rejects.toThrow(/beside `hub`/);
    await expect(
      Promise.resolve(Fastify().register(ssePlugin, { heartbeatMs: 5 })),
    ).rejects.toMatchObject({ code: "ERR_SSE_INVALID_OPTION" });
  });
});

async function* copyOf(source: Readable): AsyncGenerator<Buffer> {
  for await (const part of source) yield part as Buffer;
}

/** Incompressible text. */
function randomText(length: number): string {
  return randomBytes(length).toString("base64").slice(0, length);
}

/** Reads a compressed stream up to its first complete event. */
async function firstUncompressed(
  port: number,
  path: string,
): Promise<{ encoding: string; text: string }> {
  const outgoing = http.get({
    port,
    host: "127.0.0.1",
    path,
    agent: false,
    headers: { accept: "text/event-stream", "accept-encoding": "gzip" },
  });
  const [response] = (await once(outgoing, "response")) as [http.IncomingMessage];
  let text = "";
  const plain = response.pipe(createGunzip());
  plain.on("error", () => {});
  const arrived = (async (): Promise<void> => {
    for await (const part of plain) {
      text += String(part);
      if (text.includes("data: 0\n\n")) return;
    }
  })();
  // Before the first heartbeat, which would flush it.
  await within("the first event", arrived);
  outgoing.destroy();
  return { encoding: response.headers["content-encoding"] ?? "", text };
}
