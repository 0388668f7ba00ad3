import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import type { Readable } from "node:stream";
import { constants, createGzip, gunzipSync } from "node:zlib";
import fastifyCompress from "@fastify/compress";
import { ssePlugin } from "@tidewire/fastify";
import compression from "compression";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../client.js";
import { BINDINGS } from "./bindings.js";
import type { Binding } from "./bindings.js";
import { IS_DIRECT, QUIET, StreamServer, isDirect, turn } from "./direct-streams.js";
import type { Opened, Pair, StreamsOptions } from "./direct-streams.js";
import { RawClient } from "./raw-capture.js";
import { recordWrites, wrapWrites } from "./recorded-writes.js";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function start(binding: Binding, options?: StreamsOptions): Promise<StreamServer> {
  const server = await StreamServer.start(binding, options);
  closers.push(() => server.close());
  return server;
}

/** Something that other code does between two events, in one turn. */
type Act = (stream: Opened) => unknown;

/**
 * Does the same to a stream of each kind, and publishes before and after. The first event has not been delivered yet
 * when it happens.
 */
async function interfere(server: StreamServer, pair: Pair, ...acts: Act[]): Promise<void> {
  await server.publish("before");
  await server.untilBoth(pair, "data: before\n\n");
  for (const act of acts) {
    await server.publish("at once");
    for (const stream of [pair.direct, pair.ordinary]) void act(stream);
    await turns();
    await server.publish("between");
    await turns();
  }
  await server.publish("after");
  await turns();
}

/** As many turns as delivery may take. */
async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

function bodies({ direct, ordinary }: Pair): string[] {
  return [direct, ordinary].map(({ client }) => client.response().body.toString());
}

function raws({ direct, ordinary }: Pair): string[] {
  return [direct, ordinary].map(({ client }) => client.response().raw.toString());
}

function leave({ direct, ordinary }: Pair): void {
  for (const { client } of [direct, ordinary]) client.socket.destroy();
}

describe.each(BINDINGS.filter(({ protocol }) => protocol === "http1"))("$name", (binding) => {
  it("goes through a `write` that was wrapped after the stream was opened", async () => {
    const server = await start(binding);
    const pair = await server.openPair();
    const counted = { ordinaryWrites: 0 };
    const pieces = recordWrites(pair.direct.socket);
    await interfere(server, pair, ({ response }) => wrapWrites(response, counted));
    await server.untilBoth(pair, "data: after\n\n");
    expect(counted.ordinaryWrites).toBe(6);
    expect([isDirect(pieces, "before"), isDirect(pieces, "after")]).toEqual([IS_DIRECT, false]);
    expect(raws(pair)[0]).toBe(raws(pair)[1]);
    leave(pair);
  });

  it("keeps the order with the application's own writes, corked and not", async () => {
    const server = await start(binding);
    const pair = await server.openPair();
    await interfere(
      server,
      pair,
      ({ response }) => {
        response.write(": 1\n\n");
        response.cork();
      },
      ({ response, session }) => {
        response.write(": 2\n\n");
        void session.send("mine");
      },
      ({ response }) => {
        response.write(": 3\n\n");
        response.cork();
        response.write(": 4\n\n");
        response.uncork();
      },
      ({ response }) => response.uncork(),
    );
    await server.untilBoth(pair, "data: after\n\n");
    const [direct, ordinary] = bodies(pair);
    expect(direct).toBe(ordinary);
    expect(direct!.match(/^: \d|mine/gm)).toEqual([": 1", ": 2", "mine", ": 3", ": 4"]);
    expect(direct!.match(/at once|between/g)).toHaveLength(8);
    leave(pair);
  });

  it("sends nothing ahead of data held back by a cork of the application", async () => {
    const server = await start(binding);
    const { client, response } = await server.open();
    response.cork();
    // Above the high water mark: the sink uncorks the socket, so that the client can read.
    await server.publish("x".repeat(100_000));
    await turns();
    response.write(": own\n\n");
    await turns();
    await server.publish("behind");
    await turns();
    response.uncork();
    await client.untilBody(": own\n\n");
    await client.untilBody("data: behind\n\n");
    expect(
      client
        .response()
        .body.toString()
        .match(/own|behind/g),
    ).toEqual(["own", "behind"]);
    client.socket.destroy();
  });

  it("continues after a cork of the application, however much is published meanwhile", async () => {
    const server = await start(binding);
    const pair = await server.openPair();
    await interfere(
      server,
      pair,
      ({ response }) => response.cork(),
      () => void server.publish("x".repeat(100_000)),
      ({ response }) => response.write(": own\n\n"),
      () => void server.publish("y".repeat(100_000)),
      ({ response }) => response.uncork(),
    );
    await server.untilBoth(pair, "data: after\n\n");
    // The place of the application's comment depends on how much the socket has taken by then.
    const [direct, ordinary] = bodies(pair).map((body) => body.replace(": own\n\n", ""));
    expect(direct === ordinary).toBe(true);
    leave(pair);
  });

  it.each<[string, string, Act]>([
    ["ended the response", "ended", ({ response }) => void response.end()],
    ["ended the response with a comment", "ended", ({ response }) => response.end(": end\n")],
    ["destroyed the response", "client", ({ response }) => void response.destroy()],
    ["ended the socket", "client", ({ socket }) => void socket.end()],
    ["destroyed the socket", "client", ({ socket }) => void socket.destroy()],
    ["closed the session", "ended", ({ session }) => session.close()],
  ])("sends nothing more after others have %s", async (what, reason, act) => {
    const server = await start(binding);
    const reasons: string[] = [];
    const pair = await server.openPair();
    await interfere(server, pair, (stream) => {
      stream.session.onClose((why) => reasons.push(why));
      act(stream);
    });
    await eventually("the sessions to close", () => reasons.length === 2);
    expect(reasons).toEqual([reason, reason]);
    for (const { response, client } of [pair.direct, pair.ordinary]) {
      await eventually("the response to close", () => response.closed);
      if (reason === "client") await client.untilClosed();
      else await client.until("the end", () => client.response().isEnded);
    }
    const [direct, ordinary] = raws(pair);
    // Events published before a session is closed come before its end.
    expect(direct?.includes("at once")).toBe(what === "closed the session");
    expect(direct).not.toMatch(/after/);
    expect(direct).toBe(ordinary);
    leave(pair);
  });
});

describe("a compressor", () => {
  it.each(["Express 4", "Express 5"])("gets every byte that %s sends", async (name) => {
    const compress = compression({ threshold: 0, filter: () => true });
    const server = await start(
      BINDINGS.find((binding) => binding.name === name)!,
      {
        prepare({ sse, request, response }) {
          if (request.headers["accept-encoding"] === undefined) return;
          compress(request as never, response as never, () => {});
          // Removes `no-transform`, which is what keeps `compression` off.
          sse.open({ headers: { "Cache-Control": "no-cache" } });
        },
      },
    );
    await expectCompressed(server);
  });

  it("gets every byte if a Fastify hook puts it before the response", async () => {
    const server = await start(
      fastifyBinding(async (app) => {
        app.addHook("onSend", async (incoming, reply, payload) => {
          if (incoming.headers["accept-encoding"] === undefined) return payload;
          reply.header("Content-Encoding", "gzip");
          return (payload as Readable).pipe(createGzip());
        });
        await app.register(ssePlugin, QUIET);
      }),
    );
    await expectCompressed(server);
  });

  it("may be any stream that a Fastify hook puts before the response", async () => {
    const server = await start(
      fastifyBinding(async (app) => {
        app.addHook("onSend", async (_incoming, _reply, payload) =>
          (payload as Readable).pipe(new PassThrough()),
        );
        await app.register(ssePlugin, QUIET);
      }),
    );
    const pair = await server.openPair();
    const pieces = recordWrites(pair.direct.socket);
    await interfere(server, pair);
    await server.untilBoth(pair, "data: after\n\n");
    expect(isDirect(pieces, "data: ")).toBe(false);
    expect(bodies(pair)[0]).toBe(bodies(pair)[1]);
    leave(pair);
  });

  it("stays off if @fastify/compress is set to compress event streams", async () => {
    const server = await start(
      fastifyBinding(async (app) => {
        await app.register(fastifyCompress, { threshold: 0, customTypes: /event-stream/ });
        await app.register(ssePlugin, QUIET);
      }),
    );
    const pair = await server.openPair(GZIP);
    const pieces = recordWrites(pair.direct.socket);
    await interfere(server, pair);
    await server.untilBoth(pair, "data: after\n\n");
    expect(isDirect(pieces, "after")).toBe(IS_DIRECT);
    expect(raws(pair)[0]).toBe(raws(pair)[1]);
    leave(pair);
  });

  /** One stream passes through a compressor and one does not: decompressed, the first equals the second. */
  async function expectCompressed(server: StreamServer): Promise<void> {
    const plain = await server.open();
    const path = server.path("/packed");
    const client = (await RawClient.open(server.served.port)).get([path], "1.1", GZIP);
    const unpacked = (): string => unpack(client.responses[0]?.body);
    await client.until("the start", () => unpacked().includes("sse-cursor"));
    expect(client.response().head).toMatch(/^content-encoding: gzip$/im);
    const pieces = recordWrites(server.stream(path).socket);
    for (const data of ["one", "x".repeat(100_000), "two"]) await server.publish(data);
    await client.until("the last event", () => unpacked().includes("data: two\n\n"));
    await plain.client.untilBody("data: two\n\n");
    expect(isDirect(pieces, "data: ")).toBe(false);
    expect(unpacked() === plain.client.response().body.toString()).toBe(true);
    for (const { socket } of [client, plain.client]) socket.destroy();
  }
});

const GZIP = "Accept-Encoding: gzip\r\n";

function unpack(packed: Buffer | undefined): string {
  if (packed === undefined || packed.length === 0) return "";
  return gunzipSync(packed, { finishFlush: constants.Z_SYNC_FLUSH }).toString();
}

/** Fastify with plugins and hooks in an order chosen by the test. */
function fastifyBinding(set: (app: FastifyInstance) => Promise<void>): Binding {
  return {
    name: "Fastify",
    protocol: "http1",
    hasErrorHandler: true,
    async serve(handler) {
      const app = Fastify({ return503OnClosing: false });
      await set(app);
      app.get("/*", async (incoming, reply) => {
        await handler({
          get sse() {
            return reply.sse;
          },
          request: incoming.raw,
          response: reply.raw,
          setHeader: (header, value) => void reply.header(header, value),
          answer: (status, body) => void reply.code(status).send(body),
        });
        return reply;
      });
      await app.listen({ port: 0, host: "127.0.0.1" });
      const { server, sse: hub } = app;
      const { port } = server.address() as AddressInfo;
      return { protocol: "http1", port, hub, server, close: () => app.close() };
    },
  };
}
