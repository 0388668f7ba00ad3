import { describe, expect, it } from "vitest";
import { encodeComment, encodeMessage } from "../../src/wire/encode.js";
import { thrownBy, untyped } from "../thrown.js";

describe("encodeMessage", () => {
  it("writes the fields in the order event, id, retry, data, whatever their order in the object", () => {
    expect(encodeMessage({ data: "d", retry: 5, id: "1", event: "tick" })).toBe(
      "event: tick\nid: 1\nretry: 5\ndata: d\n\n",
    );
  });

  it("omits undefined fields", () => {
    expect(encodeMessage({ data: "d" })).toBe("data: d\n\n");
    expect(encodeMessage({ event: undefined, id: undefined, retry: undefined, data: "d" })).toBe(
      "data: d\n\n",
    );
    expect(encodeMessage({ id: "1" })).toBe("id: 1\n\n");
    expect(encodeMessage({ retry: 1 })).toBe("retry: 1\n\n");
    expect(encodeMessage({})).toBe("\n");
  });

  it("always puts a space after the colon, so that a leading space survives", () => {
    expect(encodeMessage({ event: " e", data: " d" })).toBe("event:  e\ndata:  d\n\n");
  });

  it("writes empty data as one empty line, which a client dispatches", () => {
    expect(encodeMessage({ data: "" })).toBe("data: \n\n");
  });

  it.each([
    ["LF", "a\nb", "data: a\ndata: b\n\n"],
    ["CR", "a\rb", "data: a\ndata: b\n\n"],
    ["CRLF, which is one line end", "a\r\nb", "data: a\ndata: b\n\n"],
    ["LF CR, which is two", "a\n\rb", "data: a\ndata: \ndata: b\n\n"],
    ["CR CR LF, which is two", "a\r\r\nb", "data: a\ndata: \ndata: b\n\n"],
    ["a line end at the end", "a\n", "data: a\ndata: \n\n"],
    ["a line end at the beginning", "\na", "data: \ndata: a\n\n"],
    ["a lone line end", "\n", "data: \ndata: \n\n"],
    ["a blank line inside", "a\n\nb", "data: a\ndata: \ndata: b\n\n"],
  ])("splits data at %s", (_name, data, block) => {
    expect(encodeMessage({ data })).toBe(block);
  });

  it("does not split data at line separators that do not count in an event stream", () => {
    const data = "a\u2028b\u2029c\u0085d\u000be\u000cf";
    expect(encodeMessage({ data })).toBe(`data: ${data}\n\n`);
  });

  it("gives each line of data that looks like a field its own prefix", () => {
    expect(encodeMessage({ data: "x\nevent: evil\nid: 9\n:c" })).toBe(
      "data: x\ndata: event: evil\ndata: id: 9\ndata: :c\n\n",
    );
  });

  it("writes an empty id, which resets the last event ID of the client", () => {
    expect(encodeMessage({ id: "", data: "d" })).toBe("id: \ndata: d\n\n");
  });

  it("accepts every character of the alphabet in an id, 128 times", () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";
    expect(encodeMessage({ id: alphabet })).toBe(`id: ${alphabet}\n\n`);
    expect(encodeMessage({ id: "x".repeat(1_024) })).toBe(`id: ${"x".repeat(1_024)}\n\n`);
  });

  it.each([
    "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "2026-11-26T09:00:00.000+01:00",
    '["orders", 7]',
    "a/b",
    "\u00e9",
    "\u{1F600}",
  ])("relays an id of another system: %s", (id) => {
    expect(encodeMessage({ id, data: "" })).toBe(`id: ${id}\ndata: \n\n`);
  });

  it.each([
    ["one byte too many", "x".repeat(1_025)],
    ["one byte too many in UTF-8", "\u00e9".repeat(513)],
    ["NUL", "a\0b"],
    ["LF", "a\nb"],
    ["a last LF", "a\n"],
    ["CR", "a\rb"],
    ["a first space", " a"],
    ["a last tab", "a\t"],
    ["DEL", "a\u007fb"],
    ["a control character beyond ASCII", "a\u0085b"],
    ["a number", untyped<string>(7)],
    ["null", untyped<string>(null)],
    ["an object with a toString", untyped<string>({ toString: () => "1" })],
  ])("refuses an id with %s", (_name, id) => {
    const { code, message } = thrownBy(() => encodeMessage({ id, data: "d" }));
    expect(code).toBe("ERR_SSE_INVALID_FIELD");
    expect(message).toMatch(
      /^Expected `id` to be a string of at most 1024 bytes without control characters and without spaces around it, got /,
    );
  });

  it("quotes a refused id on one line", () => {
    expect(thrownBy(() => encodeMessage({ id: "a\nb" })).message).toBe(
      'Expected `id` to be a string of at most 1024 bytes without control characters and without spaces around it, got "a\\nb" (string)',
    );
  });

  it.each([
    ["LF", "a\nb"],
    ["CR", "a\rb"],
    ["CRLF", "a\r\nb"],
    ["a last LF", "a\n"],
    ["no character", ""],
    ["a number", untyped<string>(7)],
    ["null", untyped<string>(null)],
    ["an array", untyped<string>(["tick"])],
  ])("refuses an event type with %s", (_name, event) => {
    const { code, message } = thrownBy(() => encodeMessage({ event, data: "d" }));
    expect(code).toBe("ERR_SSE_INVALID_FIELD");
    expect(message).toMatch(
      /^Expected `event` to be a non-empty string without a line break, got /,
    );
  });

  it("accepts any other text as an event type", () => {
    expect(encodeMessage({ event: "é: \u{1F600}\0", data: "" })).toBe(
      "event: é: \u{1F600}\0\ndata: \n\n",
    );
  });

  it.each([0, 1, 2_147_483_647])("accepts %s as retry", (retry) => {
    expect(encodeMessage({ retry })).toBe(`retry: ${retry}\n\n`);
  });

  it("writes minus zero as 0", () => {
    expect(encodeMessage({ retry: -0 })).toBe("retry: 0\n\n");
  });

  it.each([
    -1,
    2_147_483_648,
    0.5,
    Number.NaN,
    Infinity,
    1e21,
    untyped<number>("5"),
    untyped<number>("5\ndata: x"),
    untyped<number>(null),
    untyped<number>(5n),
    untyped<number>(true),
  ])("refuses %s as retry", (retry) => {
    const { code, message } = thrownBy(() => encodeMessage({ retry }));
    expect(code).toBe("ERR_SSE_INVALID_FIELD");
    expect(message).toMatch(
      /^Expected `retry` to be a whole number of milliseconds from 0 to 2147483647, got /,
    );
  });
});

describe("encodeComment", () => {
  it("writes an empty comment as a lone colon", () => {
    expect(encodeComment("")).toBe(":\n\n");
  });

  it("writes a line for each line of the text", () => {
    expect(encodeComment("a")).toBe(": a\n\n");
    expect(encodeComment("a\r\nb\rc\nd")).toBe(": a\n: b\n: c\n: d\n\n");
    expect(encodeComment("\n")).toBe(": \n: \n\n");
  });

  it("cannot be made to carry a field", () => {
    expect(encodeComment("x\ndata: evil\n\ndata: more")).toBe(
      ": x\n: data: evil\n: \n: data: more\n\n",
    );
  });

  it.each([7, null, undefined, ["a"], {}])("refuses %s", (text) => {
    const { code, message } = thrownBy(() => encodeComment(untyped<string>(text)));
    expect(code).toBe("ERR_SSE_INVALID_DATA");
    expect(message).toMatch(/^Expected a comment to be a string, got /);
  });
});
