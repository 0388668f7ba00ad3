import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRunId, encodeKey, formatPosition, parsePosition } from "../src/run-id.js";

const ID = /^[A-Za-z0-9._~-]{1,128}$/;

/** The error with which a key is refused; `undefined` if it is not. */
function refusalOf(key: unknown): unknown {
  try {
    encodeKey(key as string);
    return undefined;
  } catch (error) {
    return error;
  }
}

const REFUSED = { name: "SseError", code: "ERR_SSE_INVALID_OPTION", statusCode: 400 };

describe("encodeKey()", () => {
  it.each([
    ["chat-4711", "chat-4711"],
    ["a.b_c", "a.b_c"],
    ["user:1/chat", "user~3A1~2Fchat"],
    ["~3A", "~7E3A"],
    ["\u00e4", "~C3~A4"],
    ["\0", "~00"],
  ])("writes %j as %s", (key, encoded) => {
    expect(encodeKey(key)).toBe(encoded);
  });

  it("gives different keys different encodings, in the alphabet of ids", () => {
    const key = fc.string({ minLength: 1, maxLength: 8, unit: "binary" });
    fc.assert(
      fc.property(key, key, (one, two) => {
        expect(encodeKey(one)).toMatch(ID);
        expect(encodeKey(one) === encodeKey(two)).toBe(one === two);
      }),
    );
  });

  it("accepts 96 bytes and no more", () => {
    expect(encodeKey("x".repeat(96))).toHaveLength(96);
    expect(encodeKey("\u00e4".repeat(16))).toHaveLength(96);
    expect(refusalOf("x".repeat(97))).toMatchObject(REFUSED);
    expect(refusalOf("\u00e4".repeat(17))).toMatchObject(REFUSED);
    expect(refusalOf("x".repeat(10_000_000))).toMatchObject(REFUSED);
  });

  it.each<[unknown, string]>([
    ["", "empty"],
    ["\ud800", "a lone surrogate"],
    [undefined, "no text"],
    [17, "a number"],
  ])("refuses %j: %s", (key: unknown, _what) => {
    expect(refusalOf(key)).toMatchObject(REFUSED);
  });
});

describe("A position", () => {
  it("is an id, whatever the key and the number", () => {
    const id = formatPosition(createRunId("\u00e4".repeat(16)), Number.MAX_SAFE_INTEGER);
    expect(id).toMatch(ID);
  });

  it("is read back as it was written", () => {
    const key = fc.string({ minLength: 1, maxLength: 30, unit: "grapheme-ascii" });
    fc.assert(
      fc.property(key, fc.integer({ min: 1, max: 9_999_999_999_999 }), (text, number) => {
        const runId = createRunId(text);
        expect(parsePosition(formatPosition(runId, number))).toEqual({ runId, number });
      }),
    );
  });

  it("differs between two runs of a key", () => {
    expect(createRunId("a")).not.toBe(createRunId("a"));
  });

  it.each([
    "",
    "a",
    "a.b",
    "a.b.0",
    "a.b.-1",
    "a.b.01",
    "a.b.1e3",
    "a.b.1 ",
    " a.b.1",
    "a.b.x",
    ".b.1",
    "a..1",
    "~end",
    "\u00e4.b.1",
    `a.b.${"9".repeat(17)}`,
    "a\n.b.1",
  ])("is not what a client made up: %j", (text) => {
    expect(parsePosition(text)).toBeUndefined();
  });

  it("is looked for in text of any length without delay", () => {
    const begin = performance.now();
    for (const text of ["a.".repeat(500_000), "a".repeat(1_000_000), "1.".repeat(500_000) + "1"]) {
      parsePosition(text);
    }
    expect(performance.now() - begin).toBeLessThan(500);
  });
});
