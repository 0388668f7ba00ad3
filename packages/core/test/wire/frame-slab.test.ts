import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { shareChunk, shareFrames } from "../../src/wire/shared-frames.js";
import { FrameSlab } from "../../src/wire/frame-slab.js";

function textOf({ slab, start, end }: { slab: Buffer; start: number; end: number }): string {
  return slab.toString("utf8", start, end);
}

describe("FrameSlab", () => {
  it("keeps small frames side by side, a large one by itself", () => {
    const slab = new FrameSlab();
    const [first, second, large, third] = ["a\n\n", "b\n\n", "x".repeat(20_000), "c\n\n"].map(
      (block) => slab.write(block),
    );
    expect(second?.slab).toBe(first?.slab);
    expect(third?.slab).toBe(first?.slab);
    expect(large?.slab.byteLength).toBe("4e20\r\n".length + 20_000 + "\r\n".length);
  });

  it("holds around each frame the rest of its chunk, so that it is sent from where it is", () => {
    const slab = new FrameSlab();
    const stored = slab.write("data: é\n\n");
    const { bytes, chunk, size } = shareChunk(stored);
    expect(chunk.toString()).toBe("a\r\ndata: é\n\n\r\n");
    expect([bytes.toString(), size]).toEqual(["data: é\n\n", 10]);
    expect(chunk.buffer).toBe(stored.slab.buffer);
  });

  it("gives every frame back as it was, alone and as a chunk, however many there are", () => {
    const block = fc.oneof(
      { weight: 9, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 300 }) },
      fc.integer({ min: 1, max: 70_000 }).map((size) => "é".repeat(size)),
    );
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 60 }), (blocks) => {
        const slab = new FrameSlab();
        const stored = blocks.map((one) => slab.write(one));
        for (const [index, one] of blocks.entries()) {
          const frame = stored[index] as (typeof stored)[number];
          // Half of a surrogate pair becomes U+FFFD in UTF-8, here as there.
          const bytes = Buffer.from(one);
          expect(textOf(frame)).toBe(bytes.toString());
          const shared = shareChunk(frame);
          expect(shared.chunk.equals(shareFrames([bytes]).chunk)).toBe(true);
          expect(shared.bytes.equals(bytes)).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });
});
