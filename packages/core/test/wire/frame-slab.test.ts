import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeMessage } from "../../src/wire/encode.js";
import {
  FrameSlab,
  channelOf,
  hashChannelOf,
  hashName,
  haveSameChannel,
  idOf,
  isOnChannel,
  storedBytes,
  withoutIdParts,
} from "../../src/wire/frame-slab.js";
import { shareChunk, shareFrames } from "../../src/wire/shared-frames.js";
import type { StoredFrame } from "../../src/wire/shared-frames.js";

function textOf({ slab, start, end }: StoredFrame): string {
  return slab.toString("utf8", start, end);
}

const NAMES = [
  "",
  "a",
  "b",
  "ab",
  "user:1",
  "user:12",
  "é",
  "e",
  "\u4e00",
  "\ud800",
  "\ud801",
  "\ufffd",
  "\u00ff\u0100",
  "n".repeat(256),
];

describe("FrameSlab", () => {
  it("reuses memory whose frames are not kept any more, unless one of them was handed out", () => {
    const slab = new FrameSlab();
    const text = "x".repeat(1_000);
    let position = 0;
    /** Writes until another slab is started. */
    const fillOne = (): { memory: Buffer; from: number; to: number } => {
      const from = position + 1;
      const { slab: memory } = slab.write(text, "a", ++position);
      for (;;) {
        const next = slab.write(text, "a", position + 1);
        if (next.slab !== memory) break;
        position += 1;
      }
      return { memory, from, to: position++ };
    };
    const first = fillOne();
    const second = fillOne();
    const third = fillOne();
    slab.release(first.to - 1, 0);
    const fourth = fillOne();
    slab.release(second.to, first.to);
    const fifth = fillOne();
    const sixth = fillOne();
    const memories = [first, second, third, fourth, fifth, sixth].map(({ memory }) => memory);
    // The first was handed out and the third is kept. Only the second may be reused.
    expect(memories.lastIndexOf(second.memory)).toBeGreaterThan(1);
    expect(new Set(memories).size).toBe(5);
  });

  it("stores small frames side by side, a large one separately", () => {
    const slab = new FrameSlab();
    const [first, second, large, third] = ["a\n\n", "b\n\n", "x".repeat(20_000), "c\n\n"].map(
      (block) => slab.write(block, "name"),
    ) as [StoredFrame, StoredFrame, StoredFrame, StoredFrame];
    expect(second.slab).toBe(first.slab);
    expect(third.slab).toBe(first.slab);
    expect(large.slab.byteLength).toBe(storedBytes(large));
    expect(large.slab.byteLength).toBe("4e20\r\n\r\n".length + 20_000 + 4 + "name".length);
  });

  it("stores the rest of its chunk around each frame, so that it can be sent without a copy", () => {
    const slab = new FrameSlab();
    const stored = slab.write("data: é\n\n", "news");
    const { bytes, chunk, size } = shareChunk(stored);
    expect(chunk.toString()).toBe("a\r\ndata: é\n\n\r\n");
    expect([bytes.toString(), size]).toEqual(["data: é\n\n", 10]);
    expect(chunk.buffer).toBe(stored.slab.buffer);
  });

  it("wastes at most a fifth of its memory, whatever the size of frames", () => {
    for (const size of [
      1, 50, 500, 4_000, 5_000, 8_000, 8_100, 8_191, 9_000, 13_108, 16_384, 22_000,
    ]) {
      const slab = new FrameSlab();
      const slabs = new Set<Buffer>();
      let stored = 0;
      for (let total = 0; total < 2_000_000; total += size) {
        const frame = slab.write("x".repeat(size), "a channel");
        slabs.add(frame.slab);
        stored += storedBytes(frame);
      }
      const held = [...slabs].reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(held / stored, String(size)).toBeLessThan(1.2);
    }
  });

  it("returns every frame and every name unchanged, however many there are", () => {
    const block = fc.oneof(
      { weight: 9, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 300 }) },
      fc.integer({ min: 1, max: 70_000 }).map((size) => "é".repeat(size)),
      fc.integer({ min: 2_000, max: 9_000 }).map((size) => "\u4e00".repeat(size)),
    );
    const name = fc.oneof(
      fc.constantFrom(...NAMES),
      fc.string({ unit: "binary", maxLength: 256 }),
      fc.integer({ min: 1, max: 256 }).map((size) => "\u4e00".repeat(size)),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(block, name), { minLength: 1, maxLength: 60 }),
        fc.integer(),
        (all, seed) => {
          const slab = new FrameSlab();
          const stored = all.map(([text, channel]) => slab.write(text, channel));
          for (const [index, [text, channel]] of all.entries()) {
            const frame = stored[index] as StoredFrame;
            // A lone surrogate becomes U+FFFD in UTF-8, in both cases.
            const bytes = Buffer.from(text);
            expect(textOf(frame)).toBe(bytes.toString());
            const shared = shareChunk(frame);
            expect(shared.chunk.equals(shareFrames([bytes]).chunk)).toBe(true);
            expect(shared.bytes.equals(bytes)).toBe(true);
            expect(channelOf(frame)).toBe(channel);
            expect(isOnChannel(frame, channel)).toBe(true);
            expect(hashChannelOf(frame, seed)).toBe(hashName(channel, seed));
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it("tells all names apart", () => {
    const slab = new FrameSlab();
    const frames = NAMES.map((name) => slab.write("data: x\n\n", name));
    for (const [index, frame] of frames.entries()) {
      for (const [other, name] of NAMES.entries()) {
        expect(isOnChannel(frame, name)).toBe(index === other);
        expect(haveSameChannel(frame, frames[other] as StoredFrame)).toBe(index === other);
      }
    }
  });
});

describe("The id of a stored frame", () => {
  const slab = new FrameSlab();
  const write = (event: string | undefined, data: string): StoredFrame =>
    slab.write(encodeMessage({ event, id: "e.1-0~abc", retry: 5, data }), "a");

  it.each([[undefined], ["e"], ["id: 2"], ["event: \u4e00"]])(
    "is found after the event type %j",
    (event) => {
      expect(idOf(write(event, "id: 7"))).toBe("e.1-0~abc");
    },
  );

  it.each([[undefined], ["update"], ["\u4e00"]])(
    "is omitted without a copy, with the event type %j",
    (event) => {
      const frame = write(event, "1\n2");
      const parts = withoutIdParts(frame);
      for (const part of parts) expect(part.slab).toBe(frame.slab);
      expect(parts.map((part) => textOf(part)).join("")).toBe(
        encodeMessage({ event, retry: 5, data: "1\n2" }),
      );
    },
  );
});
