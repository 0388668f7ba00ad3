/** Connections that are not network sockets: Fastify's `inject()`, duplex streams, and objects made up by tests and hosts. */

import { once } from "node:events";
import http, { IncomingMessage, ServerResponse } from "node:http";
import { Duplex, Writable, duplexPair } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { createHub } from "@tidewire/core";
import type { CloseReason, Hub, HubOptions as CoreOptions, Session } from "@tidewire/core";
import { sseHandler, ssePlugin } from "@tidewire/fastify";
import type { HubOptions } from "@tidewire/fastify";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { describe, expect, it, onTestFinished } from "vitest";
import { eventually, within } from "../client.js";

/** Errors that reached `onError` in a test. */
function collectErrors(): { errors: string[]; onError: NonNullable<CoreOptions["onError"]> } {
  const errors: string[] = [];
  return {
    errors,
    onError: (error, { stage }) => void errors.push(`${stage}: ${String(error)}`),
  };
}

describe("Under inject() of Fastify", () => {
  const STREAM = { url: "/news", headers: { accept: "text/event-stream" } };

  async function makeApp(
    options: HubOptions = {},
  ): Promise<{ app: FastifyInstance; errors: string[] }> {
    const { errors, onError } = collectErrors();
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin, { ...options, onError });
    app.get("/news", sseHandler("news"));
    await app.ready();
    onTestFinished(() => app.close());
    return { app, errors };
  }

  it.each([
    ["fastify.close()", (app: FastifyInstance) => app.close()],
    ["hub.close()", (app: FastifyInstance) => app.sse.close()],
    ["hub.close({ drainMs })", (app: FastifyInstance) => app.sse.close({ drainMs: 50 })],
  ])("%s ends a stream in order", async (_name, close) => {
    const { app, errors } = await makeApp();
    const answer = app.inject(STREAM);
    await eventually("the stream to open", () => app.sse.sessionCount === 1);
    await app.sse.publish("news", "a");
    await eventually("the event to be written", () => app.sse.stats().delivered === 1);
    await close(app);
    const { statusCode, body } = await within("the answer", answer);
    expect([statusCode, body.includes("data: a\n")]).toEqual([200, true]);
    expect(app.sse.stats()).toMatchObject({
      sessions: { open: 0 },
      closes: { shutdown: 1, error: 0 },
    });
    expect(errors).toEqual([]);
  });

  it("closing ends a body that is read as a stream", async () => {
    const { app, errors } = await makeApp();
    const { statusCode, stream } = await app.inject({ ...STREAM, payloadAsStream: true });
    let body = "";
    const readable = stream();
    readable.on("data", (chunk) => (body += String(chunk)));
    const ended = once(readable, "end");
    await app.sse.publish("news", "a");
    await eventually("the event", () => body.includes("data: a\n"));
    await app.close();
    await within("the end", ended);
    expect(statusCode).toBe(200);
    expect(errors).toEqual([]);
  });

  it("closing cuts a client that is held", async () => {
    const { app, errors } = await makeApp({ maxSessions: 1 });
    const first = app.inject(STREAM);
    await eventually("the stream to open", () => app.sse.sessionCount === 1);
    const held = app.inject(STREAM).then(
      ({ statusCode }) => `answered ${statusCode}`,
      (error: unknown) => (error as Error).message,
    );
    await eventually("a client to be held", () => app.sse.stats().held === 1);
    await app.close();
    await expect(within("the cut", held)).resolves.toBe("response destroyed before completion");
    await expect(first).resolves.toMatchObject({ statusCode: 200 });
    expect(errors).toEqual([]);
  });
});

/** A server of `node:http` whose only connections are the streams that it is given. */
function serve(options: CoreOptions = {}): {
  hub: Hub;
  server: http.Server;
  sessions: Session[];
  errors: string[];
} {
  const { errors, onError } = collectErrors();
  const hub = createHub({ ...options, onError });
  const sessions: Session[] = [];
  const server = http.createServer((incoming, response) => {
    const session = hub.createSession({ request: incoming, response });
    sessions.push(session);
    void session.subscribe("news");
  });
  onTestFinished(() => hub.close());
  return { hub, server, sessions, errors };
}

const REQUEST = "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n";

describe("Over a duplex stream that a server is given as a connection", () => {
  it("a stream gets its events, and closing the hub ends it and the connection", async () => {
    const { hub, server, errors } = serve();
    const [near, far] = duplexPair();
    let text = "";
    far.on("data", (chunk) => (text += String(chunk)));
    server.emit("connection", near);
    far.write(REQUEST);
    await eventually("the stream to open", () => hub.sessionCount === 1);
    await hub.publish("news", "a");
    await eventually("the event", () => text.includes("data: a\n"));
    const ended = once(far, "end");
    await hub.close();
    await within("the end of the connection", ended);
    expect(text.endsWith("0\r\n\r\n")).toBe(true);
    expect(hub.stats().closes).toMatchObject({ shutdown: 1, error: 0 });
    expect(errors).toEqual([]);
  });

  it("a pipelined stream that has not had its turn hears that the connection has closed", async () => {
    const { hub, server, sessions, errors } = serve();
    const [near, far] = duplexPair();
    far.resume();
    server.emit("connection", near);
    far.write(REQUEST + REQUEST);
    await eventually("two sessions", () => sessions.length === 2);
    expect(sessions.map(({ state }) => state)).toEqual(["open", "connecting"]);
    near.destroy();
    await eventually("both to close", () => sessions.every(({ state }) => state === "closed"));
    expect(hub.sessionCount).toBe(0);
    expect(errors).toEqual([]);
  });

  it("a stalled client is cut after `stallTimeoutMs`", { timeout: 15_000 }, async () => {
    const { hub, server, sessions, errors } = serve({ stallTimeoutMs: 1_000 });
    // Reads everything, and later nothing.
    let isStalled = false;
    const near = new Duplex({
      read() {},
      write(_chunk, _encoding, done) {
        if (!isStalled) done();
      },
    });
    server.emit("connection", near);
    near.push(REQUEST);
    await eventually("the stream to open", () => hub.sessionCount === 1);
    const closed = new Promise<CloseReason>((resolve) => void sessions[0]?.onClose(resolve));
    isStalled = true;
    for (let count = 0; count < 50; count++) await hub.publish("news", "x".repeat(1_000));
    await expect(within("the cut", closed)).resolves.toBe("slow");
    expect(near.destroyed).toBe(true);
    expect(errors).toEqual([]);
  });
});

describe("With a made-up response", () => {
  /** As light-my-request and hosts without servers do: a response of Node on something that takes its bytes. */
  function respond(socket: object | undefined): {
    request: IncomingMessage;
    response: ServerResponse;
  } {
    const incoming = new IncomingMessage(null as never);
    incoming.method = "GET";
    incoming.httpVersionMajor = 1;
    incoming.httpVersionMinor = 1;
    incoming.headers = { accept: "text/event-stream" };
    const response = new ServerResponse(incoming);
    if (socket !== undefined) response.assignSocket(socket as never);
    return { request: incoming, response };
  }

  it.each([
    [
      "a writable stream",
      (write: (text: string) => void) =>
        new Writable({
          write(chunk, _encoding, done) {
            write(String(chunk));
            done();
          },
        }),
    ],
    [
      "an object with little more than `write`",
      (write: (text: string) => void) => ({
        _writableState: {},
        writable: true,
        // Without them a response of Node 26 waits for a `drain` that never comes.
        writableLength: 0,
        writableHighWaterMark: 16_384,
        on() {},
        removeListener() {},
        destroy() {},
        cork() {},
        uncork() {},
        write(chunk: unknown, _encoding: unknown, done: unknown) {
          write(String(chunk));
          if (typeof done === "function") done();
          return true;
        },
      }),
    ],
  ])("on %s a stream opens, gets its events and ends with the hub", async (_name, makeSocket) => {
    let text = "";
    const { errors, onError } = collectErrors();
    const hub = createHub({ onError });
    const session = hub.createSession(respond(makeSocket((part) => (text += part))));
    void session.subscribe("news");
    await hub.publish("news", "a");
    await delay(10);
    expect([session.state, session.bufferedBytes]).toEqual(["open", 0]);
    await hub.close();
    expect(session.closeReason).toBe("shutdown");
    expect(text).toContain("data: a\n");
    expect(errors).toEqual([]);
  });

  it("without any connection a session waits for one, until the hub closes", async () => {
    const { errors, onError } = collectErrors();
    const hub = createHub({ onError });
    const session = hub.createSession(respond(undefined));
    void session.subscribe("news");
    expect(session.state).toBe("connecting");
    await hub.close();
    expect(session.closeReason).toBe("shutdown");
    expect(errors).toEqual([]);
  });
});
