import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  compareIds,
  compareStreamIds,
  decodeEntry,
  drawTag,
  encodeEntry,
  formatId,
  isAt,
  isMark,
  parseId,
  placeOf,
  timeOf,
  weightOf,
} from "../src/entry.js";

const tags = fc.constantFrom("", "00000", "00001", "0000z", "9zzzz", "a0000");
/** The full range of Redis, with a bias to realistic numbers. */
const uint64 = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat(), fc.nat(20));
const places = fc.record({ ms: uint64, counter: uint64, tag: tags });

interface Numbers {
  readonly ms: bigint | number;
  readonly counter: bigint | number;
  readonly tag: string;
}

function idOf({ ms, counter, tag }: Numbers): string {
  return `${ms}-${counter}~${tag}`;
}

describe("drawTag", () => {
  it("returns five random digits of base 36", () => {
    const drawn = Array.from({ length: 1_000 }, drawTag);
    for (const tag of drawn) expect(tag).toMatch(/^[0-9a-z]{5}$/);
    // Among a thousand of sixteen million a few may coincide, but not many.
    expect(new Set(drawn).size).toBeGreaterThan(990);
  });
});

describe("formatId and parseId", () => {
  it("join and split the parts from Redis and the publisher", () => {
    expect(formatId({ streamId: "1700000000000-3", tag: "0a1b2" })).toBe("1700000000000-3~0a1b2");
    expect(parseId("1700000000000-3~0a1b2")).toEqual({
      streamId: "1700000000000-3",
      tag: "0a1b2",
    });
    expect(formatId({ streamId: "1-0", tag: "" })).toBe("1-0~");
    expect(parseId("1-0~")).toEqual({ streamId: "1-0", tag: "" });
  });

  it("are inverse to each other, and an id has at most 128 legal characters", () => {
    fc.assert(
      fc.property(places, (place) => {
        const id = idOf(place);
        expect(formatId(parseId(id)!)).toBe(id);
        expect(id).toMatch(/^[A-Za-z0-9._~-]{1,128}$/);
      }),
    );
  });

  it.each([
    ["nothing", ""],
    ["an id of the in-memory log", "k3j2h1-12"],
    ["Redis' own id", "1-0"],
    ["a tag of four digits", "1-0~0000"],
    ["a tag of six digits", "1-0~000000"],
    ["a tag in capitals", "1-0~0000A"],
    ["no counter", "1~00000"],
    ["a sign", "-1-0~00000"],
    ["a leading zero, which would be a second name of the same place", "01-0~00000"],
    ["more than Redis can count", "18446744073709551616-0~00000"],
    ["a counter of more than Redis can count", "1-18446744073709551616~00000"],
    ["more digits than Redis has", "111111111111111111111-0~00000"],
    ["a fraction", "1.5-0~00000"],
    ["an exponent", "1e3-0~00000"],
    ["leading space", " 1-0~00000"],
    ["a trailing line break", "1-0~00000\n"],
    ["something behind", "1-0~00000~"],
    ["a Redis range", "(1-0~00000"],
    ["digits of another script", "١-0~00000"],
    ["the id of a client that must not come back", "~end"],
  ])("return no place for %s", (_, id) => {
    expect(parseId(id)).toBeUndefined();
    expect(compareIds(id, "1-0~00000")).toBeNaN();
    expect(compareIds("1-0~00000", id)).toBeNaN();
  });
});

describe("compareIds", () => {
  it("compares numbers, not text: milliseconds, then counters, then tags", () => {
    const ids = ["9-0~00000", "10-9~zzzzz", "10-10~", "10-10~00000", "10-10~0000a", "11-0~00000"];
    for (const [left, a] of ids.entries()) {
      for (const [right, b] of ids.entries()) {
        expect(Math.sign(compareIds(a, b))).toBe(Math.sign(left - right));
      }
    }
  });

  it("is zero only for equal ids", () => {
    fc.assert(
      fc.property(places, places, (left, right) => {
        const [a, b] = [idOf(left), idOf(right)];
        expect(compareIds(a, b) === 0).toBe(a === b);
      }),
    );
  });

  it("is an order", () => {
    // Small numbers, so that equal ones are frequent.
    const near = fc.record({ ms: fc.nat(2), counter: fc.nat(2), tag: tags });
    fc.assert(
      fc.property(near, near, near, (left, middle, right) => {
        const [a, b, c] = [idOf(left), idOf(middle), idOf(right)];
        expect(Math.sign(compareIds(a, b)) + Math.sign(compareIds(b, a))).toBe(0);
        const [first, second, third] = [a, b, c].toSorted(compareIds) as [string, string, string];
        expect(compareIds(first, second)).toBeLessThanOrEqual(0);
        expect(compareIds(second, third)).toBeLessThanOrEqual(0);
        expect(compareIds(first, third)).toBeLessThanOrEqual(0);
      }),
    );
  });

  it("compares all possible Redis ids, with 64 bits in each part", () => {
    const MAX = "18446744073709551615";
    expect(compareIds("18446744073709551614-0~", `${MAX}-0~`)).toBeLessThan(0);
    expect(compareIds(`${MAX}-18446744073709551614~zzzzz`, `${MAX}-${MAX}~00000`)).toBeLessThan(0);
    // Microseconds, as some programs use, and milliseconds of the same time.
    expect(compareIds("1795657793533-5~", "1795657793533000-0~")).toBeLessThan(0);
    fc.assert(
      fc.property(places, places, (left, right) => {
        const order =
          Number(BigInt(left.ms) - BigInt(right.ms)) ||
          Number(BigInt(left.counter) - BigInt(right.counter)) ||
          (left.tag < right.tag ? -1 : Number(left.tag > right.tag));
        expect(Math.sign(compareIds(idOf(left), idOf(right)))).toBe(Math.sign(order));
      }),
    );
  });
});

describe("compareStreamIds", () => {
  it("compares Redis ids as numbers", () => {
    expect(compareStreamIds("9-0", "10-0")).toBeLessThan(0);
    expect(compareStreamIds("10-2", "10-10")).toBeLessThan(0);
    expect(compareStreamIds("10-10", "10-2")).toBeGreaterThan(0);
    expect(compareStreamIds("10-10", "10-10")).toBe(0);
  });
});

describe("timeOf", () => {
  it("returns the milliseconds of the id", () => {
    expect(timeOf("1700000000000-12")).toBe(1_700_000_000_000);
    expect(timeOf("0-1")).toBe(0);
  });
});

describe("encodeEntry and decodeEntry", () => {
  it("return the published event", () => {
    fc.assert(
      fc.property(
        fc.record({
          data: fc.string({ unit: "binary" }),
          isString: fc.option(fc.constant(true), { nil: undefined }),
          event: fc.option(fc.string(), { nil: undefined }),
          retry: fc.option(fc.nat(), { nil: undefined }),
        }),
        fc.string({ minLength: 1 }),
        (message, channel) => {
          const fields = encodeEntry("0a1b2", channel, message);
          expect(fields.length % 2).toBe(0);
          expect(decodeEntry(["5-1", fields])).toEqual({
            id: "5-1~0a1b2",
            channel,
            ...message,
          });
        },
      ),
    );
  });

  it("omit fields that the message does not have", () => {
    expect(encodeEntry("00000", "news", { data: "" })).toEqual([
      "t",
      "00000",
      "c",
      "news",
      "d",
      "",
    ]);
    expect(encodeEntry("00000", "news", { data: "x", event: "e", retry: 0 })).toEqual([
      "t",
      "00000",
      "c",
      "news",
      "d",
      "x",
      "e",
      "e",
      "r",
      "0",
    ]);
  });

  it("do not confuse values with names", () => {
    const message = { data: "c", event: "d", retry: undefined };
    expect(decodeEntry(["5-1", encodeEntry("00000", "t", message)])).toEqual({
      id: "5-1~00000",
      channel: "t",
      ...message,
    });
  });

  it("accept an entry of another program with fields in any order, including unknown ones", () => {
    expect(decodeEntry(["5-1", ["d", "x", "trace", "1", "c", "news"]])).toEqual({
      id: "5-1~",
      channel: "news",
      data: "x",
      event: undefined,
      retry: undefined,
    });
  });

  it.each([
    ["has no fields", []],
    ["has only a channel", ["t", "00000", "c", "news"]],
    ["has only data", ["t", "00000", "d", "x"]],
    ["is an initial place", ["t", "00000"]],
    ["is a mark", ["t", "00000", "lost", "4-0"]],
    ["has a name without a value", ["c", "news", "d"]],
    ["has other field names", ["C", "news", "D", "x"]],
  ])("find no event in an entry that %s", (_, fields) => {
    expect(decodeEntry(["5-1", fields])).toBeUndefined();
  });

  it.each(["", "0000", "000000", "0000A", "00~00", "0000\n", "👍000"])(
    "do not treat %j as a tag: it would not be part of a legal id",
    (tag) => {
      const fields = ["t", tag, "c", "news", "d", "x"];
      expect(decodeEntry(["5-1", fields])?.id).toBe("5-1~");
      expect(placeOf(["5-1", fields])).toEqual({ streamId: "5-1", tag: "" });
    },
  );
});

describe("placeOf and isAt", () => {
  it("distinguish an entry from another one with the same Redis id", () => {
    const entry = ["5-1", encodeEntry("0a1b2", "news", { data: "t" })] as const;
    expect(placeOf(entry)).toEqual({ streamId: "5-1", tag: "0a1b2" });
    expect(isAt(entry, { streamId: "5-1", tag: "0a1b2" })).toBe(true);
    expect(isAt(entry, { streamId: "5-1", tag: "0a1b3" })).toBe(false);
    expect(isAt(entry, { streamId: "5-1", tag: "" })).toBe(false);
    expect(isAt(entry, { streamId: "5-2", tag: "0a1b2" })).toBe(false);
  });

  it("return the place of a mark and of an entry without a tag", () => {
    expect(placeOf(["5-1", ["t", "0a1b2"]])).toEqual({ streamId: "5-1", tag: "0a1b2" });
    expect(placeOf(["5-1", ["x", "t"]])).toEqual({ streamId: "5-1", tag: "" });
    expect(isAt(["5-1", ["x", "y"]], { streamId: "5-1", tag: "" })).toBe(true);
  });

  it("use the same one of several tags as the client-facing id", () => {
    const fields = ["t", "0a1b2", "c", "news", "t", "zzzzz", "d", "x"];
    expect(decodeEntry(["5-1", fields])?.id).toBe("5-1~0a1b2");
    expect(placeOf(["5-1", fields])).toEqual({ streamId: "5-1", tag: "0a1b2" });
  });
});

describe("isMark", () => {
  it("recognizes the mark of a lost history", () => {
    expect(isMark(["7-0", ["t", "0a1b2", "lost", "5-1"]])).toBe(true);
  });

  it.each([
    ["is an initial place", ["t", "0a1b2"]],
    ["is an event", encodeEntry("0a1b2", "lost", { data: "5-1" })],
    ["is an event of another program with such a field", ["c", "x", "d", "y", "lost", "5-1"]],
    ["does not name a place", ["lost", "yesterday"]],
    ["has more than Redis' own id", ["lost", "5-1~00000"]],
    ["has nothing", []],
  ])("finds no mark in an entry that %s", (_, fields) => {
    expect(isMark(["7-0", fields])).toBe(false);
  });
});

describe("weightOf", () => {
  it("counts names and values of all fields", () => {
    expect(weightOf(["5-1", ["d", "xyz", "name", "ab"]])).toBe(10);
    expect(weightOf(["5-1", []])).toBe(0);
  });
});
