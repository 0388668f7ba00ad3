import { once } from "node:events";
import http from "node:http";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { within } from "../../../../test/client.js";
import { RawClient } from "../../../../test/contracts/raw-capture.js";
import { listen } from "../../../../test/contracts/raw-server.js";
import type { RawServer } from "../../../../test/contracts/raw-server.js";
import { wrapWrites } from "../../../../test/contracts/recorded-writes.js";
import { shareFrames } from "../../src/wire/shared-frames.js";
import { takesChunks, writeDirectly } from "../../src/outlet/direct-write.js";

const IS_ON = process.env["TIDEWIRE_DIRECT_WRITE"] !== "off";
const FIRST = ":\n\n";
const { bytes: EVENT, chunk: CHUNK } = shareFrames([Buffer.from("data: x\n\n")]);

let server: RawServer;
let responses: ServerResponse[] = [];
let clients: RawClient[] = [];
let onResponse = (): void => {};

beforeAll(async () => {
  server = await listen(
    http.createServer((_request, response) => {
      responses.push(response);
      onResponse();
    }),
  );
});

afterEach(() => {
  for (const client of clients) client.socket.destroy();
  responses = [];
  clients = [];
});

afterAll(() => server.close());

interface Opened {
  readonly client: RawClient;
  /** One for each request, none started yet. */
  readonly all: readonly ServerResponse[];
  readonly response: ServerResponse;
  readonly socket: Socket;
}

/** Sends requests over one connection, and waits until the server has received them. */
async function request(count = 1, version = "1.1"): Promise<Opened> {
  const client = await RawClient.open(server.port);
  clients.push(client);
  const arrived = new Promise<void>((resolve) => {
    onResponse = () => {
      if (responses.length === count) resolve();
    };
  });
  client.get(
    Array.from({ length: count }, () => "/"),
    version,
  );
  await within("the requests", arrived);
  const response = responses[0]!;
  return { client, all: [...responses], response, socket: response.socket! };
}

/** Same as {@link request}, with the head of the first response sent. */
async function open(count = 1, version = "1.1"): Promise<Opened> {
  const opened = await request(count, version);
  await write(opened.response, FIRST);
  return opened;
}

/** Writes in the ordinary way, and waits for the end of the turn. */
async function write(response: ServerResponse, bytes: Uint8Array | string): Promise<void> {
  response.write(bytes);
  await turn();
}

async function turn(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function writeChunk(response: ServerResponse, chunk: Uint8Array): boolean | undefined {
  return writeDirectly(response, response.req.socket, chunk);
}

/** Writes directly or in the ordinary way, as a sink does. */
function writeEither(response: ServerResponse): boolean | undefined {
  const isTaken = writeChunk(response, CHUNK);
  if (isTaken === undefined) response.write(EVENT);
  return isTaken;
}

/** Writes large chunks until the response asks to wait. */
function fill(response: ServerResponse): number {
  const { chunk } = shareFrames([Buffer.alloc(1_000_000, "x")]);
  for (let count = 1; count <= 100; count++) {
    const isTaken = writeChunk(response, chunk);
    if (isTaken === false) return count;
    expect(isTaken).toBe(true);
  }
  throw new Error("100 MB did not fill a socket whose client does not read");
}

describe("takesChunks", () => {
  it("is true for HTTP/1.1 after the first write, unless switched off", async () => {
    const { response } = await open();
    expect(takesChunks(response)).toBe(IS_ON);
  });

  it("is false for a body without chunks", async () => {
    const { response: old } = await open(1, "1.0");
    expect(takesChunks(old)).toBe(false);
    responses = [];
    const { response: sized } = await request();
    sized.setHeader("Content-Length", 3);
    sized.write(FIRST);
    expect(takesChunks(sized)).toBe(false);
    responses = [];
    const { response: bare } = await request();
    bare.removeHeader("Transfer-Encoding");
    bare.write(FIRST);
    expect(takesChunks(bare)).toBe(false);
  });

  it("is false if writes are wrapped", async () => {
    const { response } = await open();
    wrapWrites(response, { ordinaryWrites: 0 });
    expect(takesChunks(response)).toBe(false);
  });
});

describe("writeDirectly", () => {
  it("sends exactly the chunk before it returns", async () => {
    const { client, response, socket } = await open();
    const before = socket.bytesWritten;
    expect(writeChunk(response, CHUNK)).toBe(true);
    expect([socket.bytesWritten - before, socket.writableLength]).toEqual([CHUNK.length, 0]);
    response.end();
    await client.until("the end", () => client.responses[0]?.isEnded === true);
    expect(client.response().raw.toString()).toBe(`3\r\n${FIRST}\r\n${CHUNK.toString()}0\r\n\r\n`);
  });

  it("does not write to a response that has to wait for its turn", async () => {
    const { client, response, all } = await open(2);
    const second = all[1]!;
    expect(writeChunk(second, CHUNK)).toBeUndefined();
    await write(second, FIRST);
    expect(writeEither(second)).toBeUndefined();
    expect(writeChunk(response, CHUNK)).toBe(true);
    response.end();
    second.end();
    await client.until("both", () => client.responses[1]?.isEnded === true);
    expect(client.responses.map(({ body }) => body.toString())).toEqual([
      `${FIRST}data: x\n\n`,
      `${FIRST}data: x\n\n`,
    ]);
  });

  it("writes to a response whose turn has come, once waiting bytes have been sent", async () => {
    const { client, response, all } = await open(2);
    const second = all[1]!;
    await write(second, FIRST);
    response.end();
    await client.until("the second", () => client.responses[1]?.body.toString() === FIRST);
    expect(writeChunk(second, CHUNK)).toBe(true);
    await client.untilBody("data: x\n\n", 1);
  });

  it("does not write to a response that has ended", async () => {
    const { client, response } = await open();
    response.end();
    await client.until("the end", () => client.responses[0]?.isEnded === true);
    expect([response.socket, writeChunk(response, CHUNK)]).toEqual([null, undefined]);
  });

  it.each([
    ["ended", (socket: Socket) => void socket.end()],
    ["destroyed", (socket: Socket) => void socket.destroy()],
    ["reset", (socket: Socket) => void socket.resetAndDestroy()],
  ])("does not write to a response whose socket was %s", async (_how, cut) => {
    const { client, response, socket } = await open();
    const faults: unknown[] = [];
    socket.on("error", (error) => faults.push(error));
    response.on("error", (error) => faults.push(error));
    cut(socket);
    expect(writeEither(response)).toBeUndefined();
    await client.untilClosed();
    expect(faults).toEqual([]);
    expect(client.bytes.toString()).not.toContain("data: x");
  });

  it("does not write to a response whose writes were wrapped late", async () => {
    const { response } = await open();
    expect(writeChunk(response, CHUNK)).toBe(true);
    wrapWrites(response, { ordinaryWrites: 0 });
    expect(writeChunk(response, CHUNK)).toBeUndefined();
  });

  it("does not write to a response that holds back earlier bytes", async () => {
    const { client, response, socket } = await open();
    response.cork();
    response.write(": before\n\n");
    const isHolding = response.writableLength !== socket.writableLength;
    expect(writeEither(response)).toBe(isHolding ? undefined : true);
    response.uncork();
    await client.untilBody(": before\n\ndata: x\n\n");
  });

  it("keeps the order with other writes in the same turn and in another", async () => {
    const { client, response } = await open();
    for (const text of ["1", "2"]) {
      expect(writeChunk(response, CHUNK)).toBe(true);
      response.write(`: ${text}\n\n`);
      await turn();
    }
    expect(writeChunk(response, CHUNK)).toBe(true);
    await client.untilBody(": 1\n\ndata: x\n\n: 2\n\ndata: x\n\n");
  });

  it("keeps the order in a corked turn", async () => {
    const { client, response } = await open();
    for (const comment of [": 1\n\n", ": 2\n\n", ": 3\n\n"]) {
      response.write(comment);
      writeEither(response);
    }
    const event = "data: x\n\n";
    await client.untilBody(`${FIRST}: 1\n\n${event}: 2\n\n${event}: 3\n\n${event}`);
  });

  it("counts a chunk above the high water mark as taken if the kernel takes it at once", async () => {
    const { client, response, socket } = await open();
    const drains = count(response);
    const { bytes, chunk } = shareFrames([Buffer.alloc(socket.writableHighWaterMark + 1, "x")]);
    expect(writeChunk(response, chunk)).toBe(true);
    expect(socket.writableLength).toBe(0);
    await client.until("all", () => client.length > bytes.length);
    expect([drains(), response.writableNeedDrain]).toEqual([0, false]);
  });

  it("asks to wait when the socket is full, and emits drain when it is not", async () => {
    const { client, response, socket } = await open();
    client.socket.pause();
    const drains = count(response);
    const written = fill(response);
    expect([socket.writableLength > 0, response.writableNeedDrain, drains()]).toEqual([
      true,
      true,
      0,
    ]);
    // Other code may still write, without losing anything.
    expect(writeEither(response)).toBe(false);
    expect(response.write(EVENT)).toBe(false);
    const drained = once(response, "drain");
    client.socket.resume();
    await within("drain", drained);
    expect(response.writableNeedDrain).toBe(false);
    expect(writeChunk(response, CHUNK)).toBe(true);
    response.end();
    await client.until("the end", () => client.bytes.subarray(-5).equals(Buffer.from("0\r\n\r\n")));
    const { body } = client.response();
    expect(body.length).toBe(FIRST.length + written * 1_000_000 + 3 * EVENT.length);
    expect(body.toString("latin1", body.length - 27)).toBe("data: x\n\n".repeat(3));
  });

  it("does not miss a second and third drain", async () => {
    const { client, response } = await open();
    for (let time = 0; time < 3; time++) {
      client.socket.pause();
      fill(response);
      const drained = once(response, "drain");
      client.socket.resume();
      await within(`drain ${time}`, drained);
    }
    expect(writeChunk(response, CHUNK)).toBe(true);
  });

  it("sends nothing for an empty chunk, which would end the body", async () => {
    const { client, response } = await open();
    expect(writeChunk(response, shareFrames([]).chunk)).toBe(true);
    expect(writeChunk(response, CHUNK)).toBe(true);
    await client.untilBody("data: x\n\n");
    expect(client.response().isEnded).toBe(false);
  });

  /** Counts "drain" events. */
  function count(response: ServerResponse): () => number {
    let drains = 0;
    response.on("drain", () => (drains += 1));
    return () => drains;
  }
});
