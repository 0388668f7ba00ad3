import { once } from "node:events";
import https from "node:https";
import type { RequestListener } from "node:http";
import tls from "node:tls";
import { createHub } from "@tidewire/core";
import { afterEach, describe, expect, it } from "vitest";
import { request } from "../client.js";
import { BINDINGS } from "./bindings.js";
import { IS_DIRECT, ORDINARY, QUIET, StreamServer, isDirect } from "./direct-streams.js";
import { RawClient } from "./raw-capture.js";
import type { RawResponse } from "./raw-capture.js";
import { listen } from "./raw-server.js";
import { recordWrites, wrapWrites } from "./recorded-writes.js";

const closers: (() => Promise<void>)[] = [];
const clients: RawClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  for (const close of closers.splice(0)) await close();
});

async function start(
  ...options: Parameters<(typeof StreamServer)["start"]>
): Promise<StreamServer> {
  const server = await StreamServer.start(...options);
  closers.push(() => server.close());
  return server;
}

async function connect({ served }: StreamServer): Promise<RawClient> {
  const client = await RawClient.open(served.port);
  clients.push(client);
  return client;
}

const HTTP1 = BINDINGS.filter(({ protocol }) => protocol === "http1");
const KINDS = ["/direct", ORDINARY];

describe.each(HTTP1)("$name", (binding) => {
  it("keeps a connection for the next request after the server has ended a stream", async () => {
    const server = await start(binding);
    for (const kind of KINDS) {
      const client = await connect(server);
      const paths = [server.path(kind), server.path(kind)];
      const sent: boolean[] = [];
      for (const [index, path] of paths.entries()) {
        client.get([path]);
        await client.untilBody("sse-cursor", index);
        const { socket, session } = server.stream(path);
        const pieces = recordWrites(socket);
        await server.publish(`of ${path}`);
        await client.untilBody(`data: of ${path}\n\n`, index);
        sent.push(isDirect(pieces, `of ${path}`));
        session.close();
        await client.until("the end", () => client.response(index).isEnded);
      }
      expect(client.response(1).body.toString()).not.toContain(`of ${paths[0]}`);
      expect(sent.every((one) => one === (IS_DIRECT && kind !== ORDINARY))).toBe(true);
    }
  });

  it("sends pipelined streams one after the other, each of them whole", async () => {
    const server = await start(binding);
    const both = [];
    for (const kind of KINDS) {
      const client = await connect(server);
      const paths = [1, 2, 3].map(() => server.path(kind));
      client.get(paths);
      await client.untilBody("sse-cursor");
      await client.until("all sessions", () => paths.every((path) => server.has(path)));
      both.push({ client, streams: paths.map((path) => server.stream(path)) });
    }
    const direct = both[0]!.streams;
    for (let turn = 0; turn < 3; turn++) {
      let isLastDirect: boolean | undefined;
      for (const data of [`turn ${turn}`, `turn ${turn} again`]) {
        const pieces = recordWrites(direct[turn]!.socket);
        await server.publish(data);
        for (const { client } of both) await client.untilBody(`data: ${data}\n\n`, turn);
        isLastDirect = isDirect(pieces, data);
      }
      // The first event of a turn may be written in the ordinary way, the second one is not.
      expect(isLastDirect).toBe(IS_DIRECT);
      // In the same turn as the end: it still belongs to each stream.
      await Promise.all(both.map(async ({ streams }) => streams[turn]!.session.send("last")));
      for (const { streams } of both) streams[turn]!.session.close();
      for (const { client } of both) {
        await client.until("the end", () => client.responses[turn]?.isEnded === true);
      }
    }
    const bodies = both.map(({ client }) => client.responses.map(({ body }) => body.toString()));
    expect(bodies[0]).toEqual(bodies[1]);
    for (const [index, body] of bodies[0]!.entries()) {
      const events = [0, 1, 2].filter((turn) => body.includes(`data: turn ${turn}\n\n`));
      expect(events).toEqual([0, 1, 2].slice(0, index + 1));
    }
  });

  it("sends a client of HTTP/1.0 the bare events", async () => {
    const server = await start(binding);
    const path = server.path("/direct");
    const old = (await connect(server)).get([path], "1.0");
    await old.untilBody("sse-cursor");
    const { client } = await server.open(ORDINARY);
    clients.push(client);
    const { socket, session } = server.stream(path);
    const pieces = recordWrites(socket);
    await server.publish("one");
    await server.publish("x".repeat(100_000));
    await client.untilBody("xx\n\n");
    session.close();
    await old.untilClosed();
    expect(pieces.some((piece) => /^[0-9a-f]+\r\n/.test(piece.toString()))).toBe(false);
    expect(old.response().sizes).toEqual([]);
    expect(old.response().body.toString()).toBe(client.response().body.toString());
  });

  it("sends the trailers that the application adds", async () => {
    const server = await start(binding, {
      prepare: ({ response }) => void response.setHeader("Trailer", "X-End"),
    });
    const responses: RawResponse[] = [];
    const pair = await server.openPair();
    await server.publish("before");
    await server.untilBoth(pair, "data: before\n\n");
    for (const { response, session, client } of [pair.direct, pair.ordinary]) {
      clients.push(client);
      response.addTrailers({ "X-End": "yes" });
      session.close();
      await client.until("the end", () => client.response().isEnded);
      responses.push(client.response());
    }
    expect(responses[0]!.trailers).toContain("X-End: yes");
    expect(responses[0]!.raw.toString()).toBe(responses[1]!.raw.toString());
  });
});

it.each(BINDINGS.filter(({ protocol }) => protocol === "http2"))(
  "sends $name no chunks",
  async (binding) => {
    const server = await start(binding);
    const client = await request(server.served, server.path("/direct"));
    await client.until("sse-cursor");
    for (const data of ["one", "x".repeat(200_000), "two"]) await server.publish(data);
    const text = await client.until("data: two\n\n");
    expect(text).not.toContain("\r");
    expect(text.match(/^data: [^{]/gm)).toEqual(["data: o", "data: x", "data: t"]);
    client.cut();
  },
);

it("sends the same bytes over TLS", async () => {
  // A pre-shared key makes a certificate unnecessary.
  const psk = Buffer.alloc(32, 7);
  const secure = { ciphers: "PSK", maxVersion: "TLSv1.2" } as const;
  const hub = createHub(QUIET);
  const sockets: tls.TLSSocket[] = [];
  const listener: RequestListener = (incoming, response) => {
    if (incoming.url === ORDINARY) wrapWrites(response, { ordinaryWrites: 0 });
    sockets.push(incoming.socket as tls.TLSSocket);
    void hub.createSession({ request: incoming, response }).subscribe("news");
  };
  const server = await listen(https.createServer({ ...secure, pskCallback: () => psk }, listener));
  closers.push(
    () => server.close(),
    () => hub.close(),
  );
  const [direct, ordinary] = await Promise.all(
    KINDS.map(async (path) => {
      const socket = tls.connect({
        ...secure,
        port: server.port,
        host: "127.0.0.1",
        pskCallback: () => ({ psk, identity: "client" }),
        checkServerIdentity: () => undefined,
      });
      await once(socket, "secureConnect");
      const client = new RawClient(socket).get([path]);
      clients.push(client);
      await client.untilBody("sse-cursor");
      return client;
    }),
  );
  const pieces = sockets.map(recordWrites);
  for (const data of ["one", "x".repeat(200_000), "", "two"]) {
    await hub.publish("news", { data });
    for (const client of [direct!, ordinary!]) await client.untilBody(`data: ${data}\n\n`);
  }
  expect(pieces.map((list) => isDirect(list, "data: one\n")).filter(Boolean).length).toBe(
    IS_DIRECT ? 1 : 0,
  );
  expect(direct!.response().raw.equals(ordinary!.response().raw)).toBe(true);
});
