import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChannelSet } from "../../src/delivery/channel-set.js";

const RUNS = Number(process.env["FAST_CHECK_RUNS"] ?? 2_000);

/** Few, so that they meet again; some that a plain object would stumble over. */
const NAMES = ["a", "b", "", "__proto__", "constructor", "undefined", "0"];

/** Everything that can be seen of a set, or of the map that it stands for. */
function view(set: ChannelSet | Map<string, number>): unknown {
  return {
    size: set.size,
    entries: [...set],
    keys: [...set.keys()],
    values: NAMES.map((name) => [set.has(name), set.get(name)]),
  };
}

/** What is done to both; a name alone is deleted. */
type Change = readonly [name: string, since?: number];

function apply(set: ChannelSet | Map<string, number>, [name, since]: Change): unknown {
  if (since === undefined) return set.delete(name);
  set.set(name, since);
  return undefined;
}

const name = fc.constantFrom(...NAMES);
const change: fc.Arbitrary<Change> = fc.oneof(fc.tuple(name), fc.tuple(name, fc.nat(3)));

/** Begins as most do: with one channel, or with one name for a while. */
const changes = fc.oneof(
  fc.array(change, { maxLength: 30 }),
  name.chain((only) =>
    fc
      .tuple(
        fc.array(fc.oneof(fc.tuple(fc.constant(only), fc.nat(3)), fc.tuple(fc.constant(only)))),
      )
      .chain(([first]) => fc.array(change, { maxLength: 5 }).map((rest) => [...first, ...rest])),
  ),
);

describe("ChannelSet", () => {
  it("is empty at first", () => {
    expect(view(new ChannelSet())).toEqual(view(new Map()));
  });

  it("is to be seen as a map to which the same was done, after each step", () => {
    fc.assert(
      fc.property(changes, (steps) => {
        const set = new ChannelSet();
        const map = new Map<string, number>();
        for (const step of steps) {
          expect(apply(set, step)).toBe(apply(map, step));
          expect(view(set)).toEqual(view(map));
        }
      }),
      { numRuns: RUNS },
    );
  });

  it("takes the empty name and position 0 for what they are", () => {
    const set = new ChannelSet();
    set.set("", 0);
    expect([set.size, set.has(""), set.get("")]).toEqual([1, true, 0]);
    set.set("", 7);
    expect([...set]).toEqual([["", 7]]);
    expect([set.delete(""), set.delete(""), set.size]).toEqual([true, false, 0]);
  });

  it.each([1, 2, 3])(
    "lets each of %i channels be deleted while its names are gone over",
    (count) => {
      const set = new ChannelSet();
      for (const channel of NAMES.slice(0, count)) set.set(channel, 1);
      for (const channel of set.keys()) expect(set.delete(channel)).toBe(true);
      expect([set.size, [...set]]).toEqual([0, []]);
    },
  );

  it("goes on counting channels after it was empty again", () => {
    const set = new ChannelSet();
    for (const channel of ["a", "b"]) set.set(channel, 1);
    for (const channel of ["a", "b"]) set.delete(channel);
    set.set("c", 2);
    expect([...set]).toEqual([["c", 2]]);
  });
});
