import http from "node:http";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RawClient } from "../../../../test/contracts/raw-capture.js";
import { listen } from "../../../../test/contracts/raw-server.js";
import type { RawServer } from "../../../../test/contracts/raw-server.js";
import { shareChunk, shareFrames } from "../../src/wire/shared-frames.js";

/** Each run is a request to a real server. */
const RUNS = Math.ceil(Number(process.env["FAST_CHECK_RUNS"] ?? 2_000) / 10);

describe("shareFrames", () => {
  it.each([
    [["data: x\n\n"], "9\r\ndata: x\n\n\r\n"],
    [["data: 1\n\n", "data: 2\n\n"], "12\r\ndata: 1\n\ndata: 2\n\n\r\n"],
    [["", ":\n", ""], "2\r\n:\n\r\n"],
    [["é\r\n"], "4\r\né\r\n\r\n"],
    [["x".repeat(255)], `ff\r\n${"x".repeat(255)}\r\n`],
    [["x".repeat(256)], `100\r\n${"x".repeat(256)}\r\n`],
    [["x".repeat(65_536)], `10000\r\n${"x".repeat(65_536)}\r\n`],
  ])("returns the frames joined, and as a chunk (%#)", (texts, chunk) => {
    const shared = shareFrames(texts.map((text) => Buffer.from(text)));
    expect(shared.bytes.toString()).toBe(texts.join(""));
    expect(shared.chunk.toString()).toBe(chunk);
  });

  it("keeps both forms in the same memory", () => {
    const { bytes, chunk } = shareFrames([Buffer.from("abc")]);
    expect(bytes.buffer).toBe(chunk.buffer);
    expect(bytes.byteOffset).toBe(chunk.byteOffset + "3\r\n".length);
  });

  it("does not modify the frames", () => {
    const frames = [Buffer.from("data: 1\n\n"), Buffer.from("data: 2\n\n")];
    shareFrames(frames).bytes.fill(0);
    expect(frames.map(String)).toEqual(["data: 1\n\n", "data: 2\n\n"]);
  });

  it.each([[[]], [[Buffer.alloc(0)]], [[Buffer.alloc(0), Buffer.alloc(0)]]])(
    "returns nothing for no bytes, because an empty chunk would end the body (%#)",
    (frames) => {
      const { bytes, chunk } = shareFrames(frames);
      expect([bytes.byteLength, chunk.byteLength]).toEqual([0, 0]);
    },
  );
});

describe("compact frames", () => {
  it("have separate memory, copied once for all users", () => {
    const slab = Buffer.alloc(1_000);
    slab.write("9\r\ndata: x\n\n\r\n", 100, "latin1");
    const shared = shareChunk({ slab, start: 103, end: 112 });
    const { compact } = shared;
    expect(String(compact.chunk)).toBe(String(shared.chunk));
    expect(String(compact.bytes)).toBe("data: x\n\n");
    expect(compact.size).toBe(shared.size);
    expect(compact.chunk.buffer.byteLength).toBe(compact.chunk.byteLength);
    expect(shared.compact).toBe(compact);
    expect(compact.compact).toBe(compact);
  });
});

describe("the chunk of frames", () => {
  const END = "0\r\n\r\n";
  let server: RawServer;
  let body: Buffer;

  beforeAll(async () => {
    server = await listen(
      http.createServer((_request, response) => {
        response.write(body);
        response.end();
      }),
    );
  });

  afterAll(() => server.close());

  const size = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 300 }) },
    { weight: 2, arbitrary: fc.constantFrom(15, 16, 17, 255, 256, 4_095, 4_096, 65_535, 65_536) },
    { weight: 1, arbitrary: fc.integer({ min: 300, max: 200_000 }) },
  );
  const frame = fc.tuple(size, fc.uint8Array({ minLength: 1, maxLength: 40 }));

  it(
    "equals the bytes that a Node response sends for them",
    async () => {
      const client = await RawClient.open(server.port);
      await fc.assert(
        fc.asyncProperty(fc.array(frame, { maxLength: 5 }), async (drawn) => {
          const frames = drawn.map(([length, fill]) => Buffer.alloc(length, fill));
          const { bytes, chunk } = shareFrames(frames);
          expect(bytes.equals(Buffer.concat(frames))).toBe(true);
          body = bytes;
          const sent = await exchange(client);
          expect(sent.equals(Buffer.concat([chunk, Buffer.from(END)]))).toBe(true);
        }),
        { numRuns: RUNS },
      );
      client.socket.destroy();
    },
    Math.max(20_000, RUNS * 50),
  );

  async function exchange(client: RawClient): Promise<Buffer> {
    client.forget();
    client.get(["/"]);
    await client.until("the response", () => client.responses[0]?.isEnded === true);
    return client.response().raw;
  }
});
