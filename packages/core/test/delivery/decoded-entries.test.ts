import { expect, it } from "vitest";
import { DecodedEntries } from "../../src/delivery/decoded-entries.js";
import type { WindowEntry } from "../../src/delivery/window.js";
import { encodeMessage } from "../../src/wire/encode.js";
import { FrameSlab, markString } from "../../src/wire/frame-slab.js";

const slab = new FrameSlab();

function entry(position: number, data: string): WindowEntry {
  const frame = slab.write(encodeMessage({ event: "e", id: `e.${position}`, data }), "news");
  markString(frame);
  return { ...frame, position, key: 0, at: 0 };
}

it("decodes an entry once for all that read it at about the same time", () => {
  const decoded = new DecodedEntries();
  const [first, second] = [entry(1, "a\nb"), entry(2, "")] as const;
  expect(decoded.of(first)).toEqual({
    id: "e.1",
    channel: "news",
    event: "e",
    text: "a\nb",
    isString: true,
  });
  expect(decoded.of(second).text).toBe("");
  expect(decoded.of(first)).toBe(decoded.of(first));
});

it("keeps no more than a slice of them", () => {
  const decoded = new DecodedEntries();
  const entries = Array.from({ length: 20 }, (_, i) => entry(i, "x".repeat(10_000)));
  const before = entries.map((one) => decoded.of(one));
  const kept = entries.filter((one, i) => decoded.of(one) === before[i]);
  expect(kept.length).toBeLessThan(8);
});

it("knows no position of an earlier history", () => {
  const decoded = new DecodedEntries();
  decoded.of(entry(1, "old"));
  decoded.clear();
  expect(decoded.of(entry(1, "new")).text).toBe("new");
});
