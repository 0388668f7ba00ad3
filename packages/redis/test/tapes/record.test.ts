import type { RunEnd, TapeItem } from "@tidewire/runs/tapes";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeRecord, encodeEnd, encodeItem } from "../../src/tapes/record.js";

const items: fc.Arbitrary<TapeItem> = fc.record(
  {
    data: fc.string({ unit: "grapheme" }),
    event: fc.string({ unit: "grapheme" }),
    retry: fc.nat(),
  },
  { requiredKeys: ["data"] },
);

describe("A record of a tape", () => {
  it("keeps every item", () => {
    fc.assert(
      fc.property(items, (item) => {
        expect(decodeRecord(encodeItem(item))).toEqual({ item });
      }),
    );
  });

  it("is the data itself if an item has nothing else", () => {
    expect(encodeItem({ data: '{"token":"Hi"}' })).toBe('d{"token":"Hi"}');
    expect(encodeItem({ data: "", event: undefined, retry: undefined })).toBe("d");
    expect(encodeItem({ data: "x", retry: 0 })).toBe('j{"data":"x","retry":0}');
  });

  it.each<RunEnd>([
    { outcome: "done" },
    { outcome: "failed", error: "no\nluck" },
    { outcome: "stopped" },
    { outcome: "lost" },
  ])("keeps an end: $outcome", (end) => {
    expect(decodeRecord(encodeEnd(end))).toEqual({ end });
  });

  it("is the same as in the scripts for ends that they write", () => {
    expect(encodeEnd({ outcome: "lost" })).toBe('e{"outcome":"lost"}');
    expect(encodeEnd({ outcome: "stopped" })).toBe('e{"outcome":"stopped"}');
  });

  it.each(["", "b", "x", "j{", "e"])("of another program is refused: %j", (record) => {
    expect(() => decodeRecord(record)).toThrow(Error);
  });
});
