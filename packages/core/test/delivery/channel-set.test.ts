import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChannelSet } from "../../src/delivery/channel-set.js";

const RUNS = Number(process.env["FAST_CHECK_RUNS"] ?? 2_000);

/** Few, so that they recur; some that a plain object would mishandle. */
const NAMES = ["a", "b", "", "__proto__", "constructor", "undefined", "0"];

/** Model of a set: channels, and the start of those that have one. */
class Model {
  readonly channels = new Map<string, number | undefined>();

  apply(change: Change): unknown {
    switch (change.what) {
      case "add":
        return void this.channels.set(change.name, change.start);
      case "delete":
        return this.channels.delete(change.name);
      case "passed":
        for (const [name, start] of this.channels) {
          if (start !== undefined && start <= change.start) this.channels.set(name, undefined);
        }
        return undefined;
    }
  }
}

type Change =
  | { readonly what: "add"; readonly name: string; readonly start: number | undefined }
  | { readonly what: "delete"; readonly name: string }
  | { readonly what: "passed"; readonly start: number };

function apply(set: ChannelSet, change: Change): unknown {
  switch (change.what) {
    case "add":
      return set.add(change.name, change.start);
    case "delete":
      return set.delete(change.name);
    case "passed":
      return set.passed(change.start);
  }
}

const name = fc.constantFrom(...NAMES);
const start = fc.nat(3);
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ what: fc.constant("add"), name, start: fc.option(start, { nil: undefined }) }),
  fc.record({ what: fc.constant("delete"), name }),
  fc.record({ what: fc.constant("passed"), start }),
);

describe("ChannelSet", () => {
  it("holds the channels and starts that it was given, after each step", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const set = new ChannelSet();
        const model = new Model();
        for (const step of changes) {
          expect(apply(set, step)).toBe(model.apply(step));
          const { channels } = model;
          expect([...set]).toEqual([...channels]);
          expect(set.keys()).toEqual([...channels.keys()]);
          expect(set.size).toBe(channels.size);
          expect(NAMES.map((one) => [set.has(one), set.startOf(one)])).toEqual(
            NAMES.map((one) => [channels.has(one), channels.get(one)]),
          );
          const starts = [...channels.values()].filter((one) => one !== undefined);
          expect(set.latestStart).toBe(Math.max(-Infinity, ...starts));
        }
      }),
      { numRuns: RUNS },
    );
  });

  it("treats the empty name and position 0 like any other", () => {
    const set = new ChannelSet();
    set.add("", 0);
    expect([set.size, set.has(""), set.startOf("")]).toEqual([1, true, 0]);
    set.add("", undefined);
    expect([...set]).toEqual([["", undefined]]);
    expect([set.delete(""), set.delete(""), set.size]).toEqual([true, false, 0]);
  });

  it.each([1, 2, 3])(
    "lets each of %i channels be deleted during iteration over its names",
    (count) => {
      const set = new ChannelSet();
      for (const channel of NAMES.slice(0, count)) set.add(channel, 1);
      for (const channel of set.keys()) expect(set.delete(channel)).toBe(true);
      expect([set.size, [...set]]).toEqual([0, []]);
    },
  );
});
