import { describe, expect, it } from "vitest";
import { connect } from "../src/index.js";
import type { ConnectOptions } from "../src/index.js";

const URL_OF_NOWHERE = "http://127.0.0.1:1/";

function messageOf(options: object, url: unknown = URL_OF_NOWHERE): string {
  try {
    connect(url as string, options as ConnectOptions).close();
  } catch (error) {
    return String(error);
  }
  return "accepted";
}

describe("Options", () => {
  it.each([
    [
      { heartbeat: 5 },
      "TypeError: Unknown option `heartbeat`. Expected one of method, body, headers, ",
    ],
    [{ toString: 5 }, "TypeError: Unknown option `toString`. "],
    [{ method: "HEAD" }, 'TypeError: Expected `method` to be a method other than HEAD, got "HEAD"'],
    [{ method: "" }, 'TypeError: Expected `method` to be a method other than HEAD, got ""'],
    [{ method: "get", body: "x" }, 'TypeError: Expected `body` to be absent with GET, got "x"'],
    [
      { body: new ReadableStream() },
      "TypeError: Expected `body` to be data that can be resent, got ",
    ],
    [
      { body: { prompt: "x" } },
      "TypeError: Expected `body` to be data that can be resent, got [object Object]",
    ],
    [{ headers: 5 }, "TypeError: Expected `headers` to be headers or a function, got 5"],
    [{ headers: { "a b": "c" } }, 'TypeError: Headers.append: "a b" is an invalid header name.'],
    [
      { credentials: "all" },
      'TypeError: Expected `credentials` to be "include", "omit" or "same-origin", got "all"',
    ],
    [{ fetch: {} }, "TypeError: Expected `fetch` to be a function, got [object Object]"],
    [
      { lastEventId: "a\nb" },
      'TypeError: Expected `lastEventId` to be a string without control characters, got "a\\nb"',
    ],
    [
      { lastEventId: 5 },
      "TypeError: Expected `lastEventId` to be a string without control characters, got 5",
    ],
    [{ json: "no" }, 'TypeError: Expected `json` to be a boolean, got "no"'],
    [
      { heartbeatMs: 0 },
      "TypeError: Expected `heartbeatMs` to be false or a whole number >= 1, got 0",
    ],
    [
      { heartbeatMs: true },
      "TypeError: Expected `heartbeatMs` to be false or a whole number >= 1, got true",
    ],
    [
      { connectTimeoutMs: -1 },
      "TypeError: Expected `connectTimeoutMs` to be false or a whole number >= 1, got -1",
    ],
    [
      { reconnectionTimeMs: false },
      "TypeError: Expected `reconnectionTimeMs` to be a whole number >= 1, got false",
    ],
    [{ onUnauthorized: true }, "TypeError: Expected `onUnauthorized` to be a function, got true"],
    [{ signal: null }, "TypeError: Expected `signal` to be an AbortSignal, got null"],
    [
      { maxBufferedEvents: 0 },
      "TypeError: Expected `maxBufferedEvents` to be a whole number >= 1, got 0",
    ],
  ])("%j are refused", (options, message) => {
    expect(messageOf(options)).toContain(message);
  });

  it.each([
    [{}],
    [{ method: "post" }],
    [{ method: undefined, json: undefined, signal: undefined }],
    [{ headers: new Headers({ a: "b" }) }],
    [{ headers: [["a", "b"]] }],
    [{ headers: () => ({}) }],
    [{ body: "" }],
    [{ body: new Uint8Array(2), method: "PUT" }],
    [{ heartbeatMs: false, connectTimeoutMs: false }],
    [{ signal: AbortSignal.abort() }],
  ])("%j are accepted", (options) => {
    expect(messageOf(options)).toBe("accepted");
  });

  it.each([["/news"], ["ftp://a/"], ["http://user:secret@a/"], [""], [null], [5]])(
    "the URL %j is refused",
    (url) => {
      expect(messageOf({}, url)).toContain(
        "TypeError: Expected `url` to be an absolute http or https URL, got ",
      );
    },
  );

  it("a URL may be an object", () => {
    expect(messageOf({}, new URL(URL_OF_NOWHERE))).toBe("accepted");
  });

  it("a listener must be a function", () => {
    const stream = connect(URL_OF_NOWHERE);
    stream.close();
    expect(() => stream.on("a", 5 as never)).toThrow(
      new TypeError("Expected `listener` to be a function, got 5"),
    );
  });
});
