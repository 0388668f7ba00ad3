import { describe, expect, it } from "vitest";
import { PageSize } from "../src/page-size.js";

type Entries = [string, string[]][];

/** Entries of a weight, in characters. */
function entriesOf(count: number, length: number): Entries {
  return Array.from({ length: count }, (_, index): [string, string[]] => [
    `1-${index}`,
    ["d", "x".repeat(length - 1)],
  ]);
}

describe("PageSize", () => {
  it("begins with few: the first entries may all be large", () => {
    expect(new PageSize().count).toBe(32);
  });

  it("doubles while entries are small, up to a thousand", () => {
    const size = new PageSize();
    const counts: number[] = [];
    for (let page = 0; page < 6; page++) {
      size.saw(entriesOf(size.count, 10));
      counts.push(size.count);
    }
    expect(counts).toEqual([64, 128, 256, 512, 1_000, 1_000]);
  });

  it("is what weighs a mebibyte", () => {
    const size = new PageSize();
    for (let page = 0; page < 3; page++) size.saw(entriesOf(100, 8_192));
    expect(size.count).toBe(128);
    size.saw(entriesOf(128, 65_536));
    expect(size.count).toBe(16);
    size.saw(entriesOf(10, 300_000));
    expect(size.count).toBe(3);
  });

  it("takes what entries weigh together, whatever single ones do", () => {
    const size = new PageSize();
    size.saw([...entriesOf(99, 10), ...entriesOf(1, 2_097_152 - 990)]);
    expect(size.count).toBe(50);
  });

  it("counts names and values of all fields", () => {
    const size = new PageSize();
    const half = "x".repeat(131_072);
    size.saw([["1-0", [half, half, half, half]]]);
    expect(size.count).toBe(2);
  });

  it("is one at least, so that an entry past a mebibyte is read as well", () => {
    const size = new PageSize();
    size.saw(entriesOf(2, 3_000_000));
    expect(size.count).toBe(1);
  });

  it("grows by steps after entries that were large", () => {
    const size = new PageSize();
    size.saw(entriesOf(1, 2_000_000));
    size.saw(entriesOf(1, 10));
    expect(size.count).toBe(2);
    size.saw(entriesOf(2, 10));
    expect(size.count).toBe(4);
  });

  it("learns nothing from an empty reply, and survives entries without fields", () => {
    const size = new PageSize();
    size.saw([]);
    expect(size.count).toBe(32);
    size.saw([["1-0", []]]);
    expect(size.count).toBe(64);
  });
});
