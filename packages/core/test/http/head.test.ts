import { ServerResponse } from "node:http";
import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { checkHeaders, removeBodyHeaders, setStreamHeaders } from "../../src/http/head.js";
import type { StreamHeaders } from "../../src/http/head.js";
import { MemoryHeaders } from "../memory-headers.js";
import { thrownBy, untyped } from "../thrown.js";

const STREAM = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-store, no-transform",
  "x-accel-buffering": "no",
};

describe("setStreamHeaders", () => {
  it("sets the headers that an event stream needs and none that HTTP/2 forbids", () => {
    const target = new MemoryHeaders();
    setStreamHeaders(target, undefined);
    expect(target.all()).toEqual(STREAM);
  });

  it("keeps earlier headers that can apply to a stream", () => {
    const target = new MemoryHeaders({
      "X-Request-Id": "7",
      Vary: "Origin",
      "Set-Cookie": ["a=1", "b=2"],
    });
    setStreamHeaders(target, undefined);
    expect(target.all()).toEqual({
      ...STREAM,
      "x-request-id": "7",
      vary: "Origin",
      "set-cookie": ["a=1", "b=2"],
    });
  });

  it("replaces an earlier type and caching rule", () => {
    const target = new MemoryHeaders({
      "Content-Type": "application/json",
      "Cache-Control": "max-age=60",
    });
    setStreamHeaders(target, undefined);
    expect(target.all()).toEqual(STREAM);
  });

  it("removes headers that describe a body of known length and content", () => {
    const target = new MemoryHeaders({
      "Content-Length": 12,
      "Content-Encoding": "gzip",
      ETag: '"x"',
    });
    setStreamHeaders(target, undefined);
    expect(target.all()).toEqual(STREAM);
  });

  it("lets the caller's headers win, even over the defaults", () => {
    const target = new MemoryHeaders({ "X-A": "before" });
    setStreamHeaders(target, {
      "x-a": "after",
      "Cache-Control": "no-store",
      "X-List": ["1", "2"],
      "X-Absent": undefined,
    });
    expect(target.all()).toEqual({
      ...STREAM,
      "cache-control": "no-store",
      "x-a": "after",
      "x-list": ["1", "2"],
    });
  });

  it("does not pass the caller's own array to the response", () => {
    const target = new MemoryHeaders();
    const list = ["1"];
    setStreamHeaders(target, { "x-list": list });
    expect(target.getHeader("x-list")).not.toBe(list);
  });

  it.each([
    ["none", undefined, ["c=3"]],
    ["one", "a=1", ["a=1", "c=3"]],
    ["several", ["a=1", "b=2"], ["a=1", "b=2", "c=3"]],
  ])("adds a cookie to %s", (_name, before, after) => {
    const target = new MemoryHeaders(before === undefined ? {} : { "Set-Cookie": before });
    setStreamHeaders(target, { "Set-Cookie": "c=3" });
    expect(target.getHeader("set-cookie")).toEqual(after);
  });

  it.each([
    ["nothing", undefined, "Accept-Language", "Accept-Language"],
    ["a value set by CORS", "Origin", "Accept-Language", "Origin, Accept-Language"],
    ["a list that already has it", "Origin, Accept", "origin, Cookie", "origin, Accept, Cookie"],
    ["everything", "*", "Accept", "*"],
  ])("adds to a `Vary` of %s, and removes nothing from it", (_name, before, added, after) => {
    const target = new MemoryHeaders(before === undefined ? {} : { Vary: before });
    setStreamHeaders(target, { VARY: added });
    expect(target.getHeader("vary")).toBe(after);
  });

  it("adds several cookies at once, whatever the case of the name", () => {
    const target = new MemoryHeaders({ "set-cookie": "a=1" });
    setStreamHeaders(target, { "SET-COOKIE": ["b=2", "c=3"] });
    expect(target.getHeader("Set-Cookie")).toEqual(["a=1", "b=2", "c=3"]);
  });

  it("works on a response of node:http", () => {
    const response = new ServerResponse({ method: "GET" } as IncomingMessage);
    response.setHeader("Content-Length", 5);
    response.setHeader("Set-Cookie", "a=1");
    setStreamHeaders(response, { "set-cookie": "b=2", "X-A": "1" });
    expect({ ...response.getHeaders() }).toEqual({
      ...STREAM,
      "set-cookie": ["a=1", "b=2"],
      "x-a": "1",
    });
  });
});

describe("removeBodyHeaders", () => {
  it("removes only these", () => {
    const target = new MemoryHeaders({
      "content-length": "1",
      etag: "x",
      "content-encoding": "br",
      date: "now",
    });
    removeBodyHeaders(target);
    expect(target.all()).toEqual({ date: "now" });
  });
});

describe("checkHeaders", () => {
  it("accepts names and values that are valid in HTTP", () => {
    const headers: StreamHeaders = {
      "X-A": "1",
      "!#$%&'*+-.^_`|~09": "\t ~\u0080\u00ff",
      "X-Empty": "",
      "X-List": ["a", "b"],
      "X-None": [],
      "X-Absent": undefined,
      "Set-Cookie": ["a=1"],
      "Cache-Control": "no-store",
    };
    expect(() => checkHeaders(headers)).not.toThrow();
    expect(() => checkHeaders({})).not.toThrow();
  });

  it.each(["", "a b", "a:b", ":status", "é", "a\r\nb", "a\n"])("refuses the name %j", (name) => {
    expect(thrownBy(() => checkHeaders({ [name]: "x" }))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `Expected a header name, got ${JSON.stringify(name)} (string)`,
    });
  });

  it.each([
    ["a line break", "a\r\nSet-Cookie: evil=1", '"a\\r\\nSet-Cookie: evil=1" (string)'],
    ["a lone LF", "a\nb", '"a\\nb" (string)'],
    ["a last LF", "a\n", '"a\\n" (string)'],
    ["NUL", "\0", '"\\u0000" (string)'],
    ["DEL", "\u007f", '"\u007f" (string)'],
    ["a character beyond latin1", "–", '"–" (string)'],
    ["a number", 5, "5 (number)"],
    ["null", null, "null"],
    ["an object", {}, "an object"],
    ["an array with a number", ["a", 5], "5 (number)"],
    ["an array with undefined", ["a", undefined], "undefined"],
    ["an array in an array", [["a"]], "an array"],
  ])("refuses a value with %s", (_name, value, described) => {
    expect(thrownBy(() => checkHeaders({ "X-A": untyped<string>(value) }))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `Expected the header \`X-A\` to be a string without control characters, got ${described}`,
    });
  });

  it.each([
    "Content-Length",
    "content-encoding",
    "ETag",
    "Content-Type",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
  ])("refuses %s, which the caller may not set", (name) => {
    expect(thrownBy(() => checkHeaders({ [name]: "x" }))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `The header \`${name}\` of an event stream is set by Tidewire or by Node`,
    });
  });

  it.each([
    [null, "null"],
    ["a: b", '"a: b" (string)'],
    [["a", "b"], "an array"],
    [7, "7 (number)"],
  ])("refuses headers that are not an object: %j", (headers, described) => {
    expect(thrownBy(() => checkHeaders(untyped<StreamHeaders>(headers)))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `Expected \`headers\` to be an object, got ${described}`,
    });
  });
});
