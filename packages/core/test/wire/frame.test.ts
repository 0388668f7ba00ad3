import { describe, expect, it } from "vitest";
import {
  COMPLETE,
  HEARTBEAT,
  encodeCommentFrame,
  encodeCursorFrame,
  encodeFrame,
  encodeLogMessage,
  encodeLast,
  encodeResetFrame,
  encodeRetryFrame,
  prepareMessage,
  withRetry,
} from "../../src/wire/frame.js";
import type { Framing } from "../../src/wire/frame.js";
import type { SseMessage } from "../../src/wire/message.js";
import { thrownBy, untyped } from "../thrown.js";
import { interpret } from "../whatwg-parser.js";

const JSON_FRAMING: Framing = { serialize: JSON.stringify, maxEventBytes: 1_000 };

function textOf(message: SseMessage | string, framing: Framing = JSON_FRAMING): string {
  return encodeFrame(message, framing).toString();
}

describe("encodeFrame", () => {
  it("treats a string as a message with that data", () => {
    expect(textOf("a\nb")).toBe("data: a\ndata: b\n\n");
    expect(textOf("")).toBe("data: \n\n");
  });

  it("writes string data verbatim, without the serializer", () => {
    const serialize = (): string => "never";
    expect(textOf({ data: '"a"' }, { ...JSON_FRAMING, serialize })).toBe('data: "a"\n\n');
  });

  it("also serializes strings if they are not verbatim, but not a bare string", () => {
    const framing = { ...JSON_FRAMING, verbatimStrings: false };
    expect(textOf({ data: "a\nb" }, framing)).toBe('data: "a\\nb"\n\n');
    expect(textOf({ event: "e", data: "" }, framing)).toBe('event: e\ndata: ""\n\n');
    expect(textOf("a\nb", framing)).toBe("data: a\ndata: b\n\n");
    expect(prepareMessage({ data: "a" }, framing).data).toBe('"a"');
    expect(prepareMessage("a", framing).data).toBe('"a"');
  });

  it.each([
    [{ a: 1 }, '{"a":1}'],
    [[1, "two"], '[1,"two"]'],
    [null, "null"],
    [0, "0"],
    [false, "false"],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ])("passes data that is not a string to the serializer: %j", (data, text) => {
    expect(textOf({ data })).toBe(`data: ${text}\n\n`);
  });

  it("splits what the serializer returns into lines", () => {
    const serialize = (data: unknown): string => JSON.stringify(data, null, 1);
    expect(textOf({ data: { a: 1 } }, { ...JSON_FRAMING, serialize })).toBe(
      'data: {\ndata:  "a": 1\ndata: }\n\n',
    );
  });

  it("writes all fields", () => {
    expect(textOf({ data: 1, event: "e", id: "i", retry: 0 })).toBe(
      "event: e\nid: i\nretry: 0\ndata: 1\n\n",
    );
  });

  it("encodes as UTF-8", () => {
    expect(encodeFrame("é\u{1F600}", JSON_FRAMING)).toEqual(
      Buffer.from("data: é\u{1F600}\n\n", "utf8"),
    );
  });

  it("writes a block without data that sets id or retry", () => {
    expect(textOf({ id: "1" })).toBe("id: 1\n\n");
    expect(textOf({ id: "" })).toBe("id: \n\n");
    expect(textOf({ retry: 0 })).toBe("retry: 0\n\n");
    expect(textOf({ id: "1", retry: 2, data: undefined })).toBe("id: 1\nretry: 2\n\n");
  });

  it.each([
    ["with nothing else", {}],
    ["with an event type", { event: "e" }],
    ["with an event type and an id", { event: "e", id: "1" }],
    ["with an event type and retry", { event: "e", retry: 1 }],
  ])("refuses a message without data %s, which a client would drop", (_name, message) => {
    const { code, message: text } = thrownBy(() => textOf(untyped<SseMessage>(message)));
    expect(code).toBe("ERR_SSE_INVALID_DATA");
    expect(text).toBe(
      'Expected `data`: a client dispatches no event for a block without it. Use `data: ""` for an event without content',
    );
  });

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    [7, "7 (number)"],
    [true, "true (boolean)"],
    [() => "x", "a function"],
    [Symbol("x"), "a symbol"],
  ])("refuses a message that is neither string nor object: %s", (message, described) => {
    const { code, message: text } = thrownBy(() => textOf(untyped<SseMessage>(message)));
    expect(code).toBe("ERR_SSE_INVALID_DATA");
    expect(text).toBe(`Expected a message to be a string or an object, got ${described}`);
  });

  it.each(["sse-", "sse-reset", "sse-cursor", "sse-complete", "sse-mine"])(
    "refuses the reserved event type %s",
    (event) => {
      const { code, message } = thrownBy(() => textOf({ event, data: "" }));
      expect(code).toBe("ERR_SSE_INVALID_FIELD");
      expect(message).toBe(
        `Expected \`event\` not to begin with "sse-", which is reserved, got "${event}" (string)`,
      );
    },
  );

  it.each(["sse", "ssex-", "SSE-reset", " sse-reset", "xsse-"])(
    "accepts the event type %j, which is not reserved",
    (event) => {
      expect(textOf({ event, data: "" })).toBe(`event: ${event}\ndata: \n\n`);
    },
  );

  it("refuses the reserved id ~end and accepts similar ids", () => {
    expect(thrownBy(() => textOf({ id: "~end", data: "" }))).toMatchObject({
      code: "ERR_SSE_ID_RESERVED",
      message: 'The id "~end" is reserved for complete()',
    });
    expect(textOf({ id: "~end2", data: "" })).toBe("id: ~end2\ndata: \n\n");
    expect(textOf({ id: "~END", data: "" })).toBe("id: ~END\ndata: \n\n");
  });

  it("names the serializer's error as the cause and quotes it in the message", () => {
    const cause = new Error("secret");
    const serialize = (): string => {
      throw cause;
    };
    const { code, message, error } = thrownBy(() =>
      textOf({ data: {} }, { ...JSON_FRAMING, serialize }),
    );
    expect(code).toBe("ERR_SSE_INVALID_DATA");
    expect(message).toBe("Could not serialize `data`: secret");
    expect(error.cause).toBe(cause);
  });

  it("refuses a bigint and a circular object, which JSON cannot hold", () => {
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    for (const data of [1n, { deep: [1n] }, circular]) {
      const { code, error } = thrownBy(() => textOf({ data }));
      expect(code).toBe("ERR_SSE_INVALID_DATA");
      expect(error.cause).toBeInstanceOf(TypeError);
    }
  });

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    [7, "7 (number)"],
    [{}, "an object"],
    [Buffer.from("x"), "an object"],
  ])("refuses a serializer that returns %s", (result, described) => {
    const serialize = (): string => untyped<string>(result);
    expect(thrownBy(() => textOf({ data: [1] }, { ...JSON_FRAMING, serialize }))).toMatchObject({
      code: "ERR_SSE_INVALID_DATA",
      message: `Expected \`serialize\` to return a string for an array, got ${described}`,
    });
  });

  it.each([
    ["a function", () => 1, "a function"],
    ["a symbol", Symbol("x"), "a symbol"],
  ])("refuses %s as data, which JSON cannot represent", (_name, data, described) => {
    expect(thrownBy(() => textOf({ data }))).toMatchObject({
      code: "ERR_SSE_INVALID_DATA",
      message: `Expected \`serialize\` to return a string for ${described}, got undefined`,
    });
  });

  it("leaves the event after a failing serializer intact", () => {
    let calls = 0;
    const serialize = (data: unknown): string => {
      calls += 1;
      if (calls === 1) throw new Error("once");
      return JSON.stringify(data);
    };
    const framing = { ...JSON_FRAMING, serialize };
    thrownBy(() => textOf({ event: "first", id: "1", retry: 5, data: {} }, framing));
    expect(textOf({ data: { n: 2 } }, framing)).toBe('data: {"n":2}\n\n');
  });

  it("accepts an event of exactly maxEventBytes and refuses one byte more", () => {
    const framing = { ...JSON_FRAMING, maxEventBytes: 20 };
    // "data: " and two line feeds are 8 of the 20.
    expect(encodeFrame("x".repeat(12), framing).byteLength).toBe(20);
    expect(thrownBy(() => encodeFrame("x".repeat(13), framing))).toMatchObject({
      code: "ERR_SSE_INVALID_DATA",
      message: "Expected an event of at most 20 bytes (`maxEventBytes`), got 21",
    });
  });

  it("counts bytes against maxEventBytes, not characters, and includes the fields", () => {
    const framing = { ...JSON_FRAMING, maxEventBytes: 20 };
    expect(encodeFrame("é".repeat(6), framing).byteLength).toBe(20);
    expect(() => encodeFrame("é".repeat(7), framing)).toThrow("got 22");
    expect(() => encodeFrame({ event: "tick", data: "x" }, framing)).toThrow("got 21");
    expect(() => encodeFrame("\n".repeat(2), framing)).toThrow("got 22");
  });
});

describe("encodeCommentFrame", () => {
  it("encodes a comment", () => {
    expect(encodeCommentFrame("é", JSON_FRAMING)).toEqual(Buffer.from(": é\n\n"));
  });

  it("limits a comment to maxEventBytes, too", () => {
    const framing = { ...JSON_FRAMING, maxEventBytes: 5 };
    expect(encodeCommentFrame("x", framing).byteLength).toBe(5);
    expect(thrownBy(() => encodeCommentFrame("xx", framing)).code).toBe("ERR_SSE_INVALID_DATA");
  });
});

describe("the frames of a stream", () => {
  it("are these, byte for byte", () => {
    expect(HEARTBEAT.bytes.toString()).toBe(":\n\n");
    expect(COMPLETE.toString()).toBe("event: sse-complete\nid: ~end\ndata: {}\n\n");
    expect(withRetry(1_500, Buffer.from("data: 1\n\n")).toString()).toBe(
      "retry: 1500\ndata: 1\n\n",
    );
    const named = Buffer.from("event: a\nid: 1\ndata: 1\ndata: data: 2\n\n");
    expect(withRetry(1_500, named).toString()).toBe(
      "event: a\nid: 1\nretry: 1500\ndata: 1\ndata: data: 2\n\n",
    );
    expect(encodeRetryFrame(1_500).toString()).toBe("event: sse-retry\nretry: 1500\ndata: {}\n\n");
  });
});

describe("encodeLast", () => {
  it("puts the reserved id on the last message for a client that comes back, and on no other", () => {
    expect(encodeLast("[DONE]", JSON_FRAMING, true).toString()).toBe("id: ~end\ndata: [DONE]\n\n");
    expect(encodeLast("[DONE]", JSON_FRAMING, false).toString()).toBe("data: [DONE]\n\n");
    const last = { event: "done", data: { total: 3 }, retry: 10 };
    expect(encodeLast(last, JSON_FRAMING, true).toString()).toBe(
      'event: done\nid: ~end\nretry: 10\ndata: {"total":3}\n\n',
    );
  });

  it("refuses an id, and a message that clients would not dispatch", () => {
    const codes = [{ id: "1", data: "" }, { event: "done" }, { retry: 1 }, 1, null].map(
      (last) => thrownBy(() => encodeLast(untyped(last), JSON_FRAMING, true)).code,
    );
    expect(codes).toEqual([
      "ERR_SSE_ID_RESERVED",
      ...Array.from({ length: 4 }, () => "ERR_SSE_INVALID_DATA"),
    ]);
  });
});

describe("encodeLogMessage", () => {
  function keptOf(message: SseMessage | string, framing: Framing = JSON_FRAMING): unknown {
    return encodeLogMessage(message, framing);
  }

  it("returns a message's fields, with its data serialized", () => {
    expect(keptOf("a\nb")).toEqual({ data: "a\nb", isString: true });
    expect(keptOf("")).toEqual({ data: "", isString: true });
    expect(keptOf({ data: "a" })).toEqual({ data: "a", isString: true });
    expect(keptOf({ event: "e", data: { a: 1 }, retry: 0 })).toEqual({
      event: "e",
      data: '{"a":1}',
      retry: 0,
    });
    expect(keptOf({ data: null })).toMatchObject({ data: "null" });
  });

  it("records whether the data was a string, unless that was serialized", () => {
    const framing = { ...JSON_FRAMING, verbatimStrings: false };
    expect(encodeLogMessage({ data: "a" }, framing)).toEqual({ data: '"a"' });
    expect(encodeLogMessage("a", framing)).toEqual({ data: '"a"' });
    expect(encodeLogMessage({ data: 1 }, framing)).toEqual({ data: "1" });
    expect(() => encodeLogMessage("x".repeat(999), framing)).toThrow("maxEventBytes");
  });

  it.each([["x"], [""], ["~end"]])("reserves every id for the log: %j", (id) => {
    expect(thrownBy(() => keptOf({ id, data: "x" })).code).toBe("ERR_SSE_ID_RESERVED");
    expect(thrownBy(() => keptOf({ id })).code).toBe("ERR_SSE_ID_RESERVED");
  });

  it.each([
    ["nothing", undefined, "ERR_SSE_INVALID_DATA"],
    ["null", null, "ERR_SSE_INVALID_DATA"],
    ["a number", 5, "ERR_SSE_INVALID_DATA"],
    ["an empty object", {}, "ERR_SSE_INVALID_DATA"],
    ["only a reconnection time, which is not an event", { retry: 5 }, "ERR_SSE_INVALID_DATA"],
    ["only an event type", { event: "e" }, "ERR_SSE_INVALID_DATA"],
    ["data that cannot be serialized", { data: 1n }, "ERR_SSE_INVALID_DATA"],
    ["data that the serializer returns nothing for", { data: () => {} }, "ERR_SSE_INVALID_DATA"],
    ["an event type with a line break", { event: "a\nb", data: "" }, "ERR_SSE_INVALID_FIELD"],
    ["an empty event type", { event: "", data: "" }, "ERR_SSE_INVALID_FIELD"],
    ["a reserved event type", { event: "sse-reset", data: "" }, "ERR_SSE_INVALID_FIELD"],
    ["an event type that is not a string", { event: 5, data: "" }, "ERR_SSE_INVALID_FIELD"],
    ["a reconnection time below 0", { retry: -1, data: "" }, "ERR_SSE_INVALID_FIELD"],
  ])("refuses %s", (_name, message, code) => {
    expect(thrownBy(() => keptOf(untyped<SseMessage>(message))).code).toBe(code);
  });

  it("limits the frame including the longest id", () => {
    const around = "id: \ndata: \n\n".length + 128;
    expect(keptOf("x".repeat(1_000 - around))).toBeDefined();
    const late = thrownBy(() => keptOf("x".repeat(1_001 - around)));
    expect(late).toMatchObject({
      code: "ERR_SSE_INVALID_DATA",
      message: "Expected an event of at most 1000 bytes (`maxEventBytes`), got 1001",
    });
    expect(thrownBy(() => keptOf({ event: "e".repeat(900), data: "" })).code).toBe(
      "ERR_SSE_INVALID_DATA",
    );
  });
});

describe("encodeCursorFrame", () => {
  it("moves the client's last event ID without reaching onmessage", () => {
    const frame = encodeCursorFrame("e.1");
    expect(frame.toString()).toBe("event: sse-cursor\nid: e.1\ndata: {}\n\n");
    expect(interpret([frame])).toEqual({
      events: [{ type: "sse-cursor", data: "{}", lastEventId: "e.1" }],
      retries: [],
      lastEventId: "e.1",
    });
  });
});

describe("encodeResetFrame", () => {
  it("contains the reason, the channels and the position from which the client continues", () => {
    expect(encodeResetFrame("trimmed", ["a", "b"], "e.1").toString()).toBe(
      'event: sse-reset\nid: e.1\ndata: {"reason":"trimmed","channels":["a","b"]}\n\n',
    );
  });

  it("clears the client's last event ID with an empty id, so that a client cut off then begins anew", () => {
    const frame = encodeResetFrame("overflow", [], "");
    expect(frame.toString()).toBe(
      'event: sse-reset\nid: \ndata: {"reason":"overflow","channels":[]}\n\n',
    );
    expect(interpret([encodeCursorFrame("e.1"), frame]).lastEventId).toBe("");
  });

  it("writes one event whatever the names of the channels", () => {
    const names = ["a\nb", "\r\n\r\ndata: x", "\0", '"', "\u2028", "\u{1F600}"];
    const { events } = interpret([encodeResetFrame("fork", names, "e.1")]);
    expect(events).toHaveLength(1);
    expect(JSON.parse(events[0]?.data ?? "")).toEqual({ reason: "fork", channels: names });
  });
});
