import { runInNewContext } from "node:vm";
import { describe, expect, it, vi } from "vitest";
import { SseError, describeValue, isSseError, messageOf, quoteError } from "../src/errors.js";

describe("SseError", () => {
  it("carries its code and message", () => {
    const error = new SseError("ERR_SSE_INVALID_DATA", "What came");
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe("SseError");
    expect(error.code).toBe("ERR_SSE_INVALID_DATA");
    expect(error.message).toBe("What came");
    expect(String(error)).toBe("SseError: What came");
  });

  it("has no statusCode and no cause unless given", () => {
    const error = new SseError("ERR_SSE_INVALID_DATA", "x");
    expect("statusCode" in error).toBe(false);
    expect("cause" in error).toBe(false);
    expect("statusCode" in new SseError("ERR_SSE_INVALID_DATA", "x", {})).toBe(false);
  });

  it("carries the statusCode and the cause that are given", () => {
    const cause = new Error("why");
    const error = new SseError("ERR_SSE_NOT_ACCEPTABLE", "x", { statusCode: 406, cause });
    expect(error.statusCode).toBe(406);
    expect(error.cause).toBe(cause);
  });

  it("carries a cause that is null or false", () => {
    expect(new SseError("ERR_SSE_INVALID_DATA", "x", { cause: null }).cause).toBe(null);
    expect(new SseError("ERR_SSE_INVALID_DATA", "x", { cause: false }).cause).toBe(false);
  });
});

describe("isSseError", () => {
  it("recognizes an error of this copy", () => {
    expect(isSseError(new SseError("ERR_SSE_INVALID_DATA", "x"))).toBe(true);
  });

  it("recognizes an error of another copy of the package", async () => {
    vi.resetModules();
    const other = await import("../src/errors.js");
    expect(other.SseError).not.toBe(SseError);
    expect(isSseError(new other.SseError("ERR_SSE_INVALID_DATA", "x"))).toBe(true);
  });

  it.each([
    ["undefined", undefined],
    ["null", null],
    ["a string", "ERR_SSE_INVALID_DATA"],
    ["a plain object", { name: "SseError", code: "ERR_SSE_INVALID_DATA" }],
    ["any other error", new Error("x")],
    ["an error with only the name", Object.assign(new Error("x"), { name: "SseError" })],
    [
      "an error with only the code",
      Object.assign(new Error("x"), { code: "ERR_SSE_INVALID_DATA" }),
    ],
    [
      "an error whose code is a number",
      Object.assign(new Error("x"), { name: "SseError", code: 7 }),
    ],
    [
      "a Node error",
      Object.assign(new Error("x"), { name: "SseError", code: "ERR_STREAM_DESTROYED" }),
    ],
  ])("is false for %s", (_name, value) => {
    expect(isSseError(value)).toBe(false);
  });
});

describe("describeValue", () => {
  it.each([
    [undefined, "undefined"],
    [null, "null"],
    [0, "0 (number)"],
    [Number.NaN, "NaN (number)"],
    [true, "true (boolean)"],
    [10n, "10 (bigint)"],
    ["", '"" (string)'],
    ['a"b', '"a\\"b" (string)'],
    ["a\r\nb\0", '"a\\r\\nb\\u0000" (string)'],
    [[], "an array"],
    [["secret"], "an array"],
    [{}, "an object"],
    [{ toString: () => "secret" }, "an object"],
    [runInNewContext("({})"), "an object"],
    [runInNewContext("[]"), "an array"],
    [() => "secret", "a function"],
    [Symbol("secret"), "a symbol"],
  ])("describes %s", (value, text) => {
    expect(describeValue(value)).toBe(text);
  });

  it("cuts a string at 100 characters", () => {
    expect(describeValue("x".repeat(100))).toBe(`"${"x".repeat(100)}" (string)`);
    expect(describeValue("x".repeat(101))).toBe(`"${"x".repeat(100)}"… (string)`);
    expect(describeValue("\n".repeat(5_000))).toBe(`"${"\\n".repeat(100)}"… (string)`);
  });
});

describe("messageOf", () => {
  it.each([
    [new Error("a\nb"), "a\nb"],
    [Object.assign(new Error("a"), { message: undefined }), "an error with the message undefined"],
    [
      Object.assign(new Error("a"), { message: { type: "x" } }),
      "an error with the message an object",
    ],
    [undefined, "undefined"],
    ["a", '"a" (string)'],
    [Object.create(null), "an object"],
    [Symbol("a"), "a symbol"],
  ])("returns a text for any thrown value: case %#", (error, text) => {
    expect(messageOf(error)).toBe(text);
  });

  it("never throws, nor does quoteError", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const unreadable = Object.defineProperty(new Error("a"), "message", {
      get() {
        throw new Error("b");
      },
    });
    for (const error of [proxy, unreadable]) {
      expect(messageOf(error)).toBe("an error that cannot be read");
      expect(quoteError(error)).toBe("an error that cannot be read");
    }
  });
});
