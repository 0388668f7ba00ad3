import { createParser } from "eventsource-parser";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeMessage } from "../../src/wire/decode.js";
import { encodeComment, encodeMessage } from "../../src/wire/encode.js";
import { SseError } from "../../src/errors.js";
import { encodeFrame } from "../../src/wire/frame.js";
import type { EventMessage, SseMessage } from "../../src/wire/message.js";
import { makeSession } from "../session-under-test.js";
import { untyped } from "../thrown.js";
import { interpret } from "../whatwg-parser.js";
import type { DispatchedEvent, Interpretation } from "../whatwg-parser.js";

/** Total number of runs of all properties. */
const RUNS = Number(process.env["FAST_CHECK_RUNS"] ?? (process.env["CI"] ? 100_000 : 10_000));
const TIMEOUT_MS = Math.max(60_000, RUNS * 6);

/** Settings of a property with this share of all runs. */
function runs(share: number): { numRuns: number } {
  return { numRuns: Math.max(1, Math.round(RUNS * share)) };
}

const FRAMING = { serialize: JSON.stringify, maxEventBytes: 1_048_576 };

/** Characters special to the format, to UTF-8 or to JavaScript, besides arbitrary code units. */
const unit = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "\r\n",
      "\r",
      "\n",
      "\n\n",
      "\r\r",
      "\n\r",
      "\0",
      "\ufeff",
      " ",
      ":",
      "\u2028",
      "\u0085",
      "data: x",
      "\ndata: x",
      "\nevent: x",
      "\nid: x",
      "\nretry: 1",
      "\n: x",
      "\n\ndata: x\n\n",
      "\u{1F600}",
      "\u{10FFFF}",
      "\ud800",
      "\udfff",
      "\ud83d",
      "\ude00",
      "é",
      "\u00ef\u00bb\u00bf",
    ),
  },
  {
    weight: 3,
    arbitrary: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 0x1_0000, max: 0x10_ffff })
      .map((code) => String.fromCodePoint(code)),
  },
);
const text = fc.string({ unit, maxLength: 12 });

const idChars = "ABCXYZabcxyz0189._~-".split("");
const validId = fc
  .string({ unit: fc.constantFrom(...idChars), maxLength: 16 })
  .filter((id) => id !== "~end");
const validEvent = fc
  .string({ unit, minLength: 1, maxLength: 6 })
  .map((event) => event.replaceAll(/[\r\n]/g, ""))
  .filter((event) => event !== "" && !event.startsWith("sse-"));
const validRetry = fc.oneof(
  fc.constantFrom(0, 2_147_483_647),
  fc.integer({ min: 0, max: 2_147_483_647 }),
);

const validMessage: fc.Arbitrary<EventMessage> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record(
      { data: text, event: validEvent, id: validId, retry: validRetry },
      { requiredKeys: ["data"] },
    ),
  },
  { weight: 1, arbitrary: fc.record({ id: validId, retry: validRetry }, { requiredKeys: ["id"] }) },
  { weight: 1, arbitrary: fc.record({ retry: validRetry }) },
);

/** The string after a UTF-8 round trip: lone surrogates become replacement characters. */
function asUtf8(value: string): string {
  return Buffer.from(value).toString();
}

/** Data as a client receives it: all three line ends become LF. */
function asReceived(value: string): string {
  return asUtf8(value.replaceAll(/\r\n|\r/g, "\n"));
}

/** The expected effect of `messages` on a client. A `retry` of minus zero is written as 0: hence `retry + 0`. */
function expected(messages: readonly EventMessage[]): Interpretation {
  const events: DispatchedEvent[] = [];
  const retries: number[] = [];
  let lastEventId = "";
  for (const { data, event, id, retry } of messages) {
    if (id !== undefined) lastEventId = id;
    if (retry !== undefined) retries.push(retry + 0);
    if (data !== undefined) {
      events.push({
        type: event === undefined ? "message" : asUtf8(event),
        data: asReceived(data),
        lastEventId,
      });
    }
  }
  return { events, retries, lastEventId };
}

interface Parsed {
  readonly events: { event: string | undefined; id: string | undefined; data: string }[];
  readonly retries: number[];
  readonly comments: string[];
}

/** The result of eventsource-parser for bytes split into these chunks. */
function parse(chunks: readonly Uint8Array[]): Parsed {
  const parsed: Parsed = { events: [], retries: [], comments: [] };
  const parser = createParser({
    onEvent: ({ event, id, data }) => void parsed.events.push({ event, id, data }),
    onRetry: (retry) => void parsed.retries.push(retry),
    onComment: (comment) => void parsed.comments.push(comment),
    onError: (error) => {
      throw error;
    },
  });
  const decoder = new TextDecoder();
  for (const chunk of chunks) parser.feed(decoder.decode(chunk, { stream: true }));
  return parsed;
}

/** The expected result of eventsource-parser, which ignores blocks without data: see whatwg-parser.test.ts. */
function expectedOfParser(messages: readonly EventMessage[]): Parsed {
  const withData = messages.filter((message) => message.data !== undefined);
  return {
    events: withData.map(({ data, event, id }) => ({
      event: event === undefined ? undefined : asUtf8(event),
      id,
      data: asReceived(data ?? ""),
    })),
    retries: messages.flatMap(({ retry }) => (retry === undefined ? [] : [retry + 0])),
    comments: [],
  };
}

function cut(bytes: Uint8Array, points: readonly number[]): Uint8Array[] {
  const sorted = [...new Set(points.map((point) => point % (bytes.length + 1)))].toSorted(
    (a, b) => a - b,
  );
  const chunks: Uint8Array[] = [];
  let from = 0;
  for (const to of [...sorted, bytes.length]) {
    chunks.push(bytes.subarray(from, to));
    from = to;
  }
  return chunks;
}

const cutPoints = fc.array(fc.nat({ max: 2_000 }), { maxLength: 6 });

describe("an encoded message", () => {
  it("comes back exactly, wherever the bytes are split", { timeout: TIMEOUT_MS }, () => {
    fc.assert(
      fc.property(fc.array(validMessage, { maxLength: 6 }), cutPoints, (messages, points) => {
        const bytes = Buffer.concat(
          messages.map((message) => encodeFrame(untyped<SseMessage>(message), FRAMING)),
        );
        const chunks = cut(bytes, points);
        expect(parse(chunks)).toEqual(expectedOfParser(messages));
        expect(interpret(chunks)).toEqual(expected(messages));
      }),
      runs(0.4),
    );
  });

  it(
    "comes back exactly from a short stream at every possible split",
    { timeout: TIMEOUT_MS },
    () => {
      const short = fc.record(
        { data: fc.string({ unit, maxLength: 4 }), event: validEvent, id: validId },
        { requiredKeys: ["data"] },
      );
      fc.assert(
        fc.property(fc.array(short, { minLength: 1, maxLength: 2 }), (messages) => {
          const bytes = Buffer.from(messages.map(encodeMessage).join(""));
          const whole = JSON.stringify(expectedOfParser(messages));
          expect(interpret([bytes])).toEqual(expected(messages));
          for (let at = 0; at <= bytes.length; at++) {
            const parsed = JSON.stringify(parse([bytes.subarray(0, at), bytes.subarray(at)]));
            if (parsed !== whole) expect(parsed, `cut at ${at}`).toBe(whole);
          }
          expect(JSON.stringify(parse(Array.from(bytes, (byte) => Uint8Array.of(byte))))).toBe(
            whole,
          );
        }),
        runs(0.1),
      );
    },
  );
});

describe("a decoded message", () => {
  it("is the encoded one, with each line break in its data as LF", { timeout: TIMEOUT_MS }, () => {
    // The types and ids that logs and applications give, and those that only other systems do.
    const relayedId = text.filter(
      (id) => encodedOrRefused(() => encodeMessage({ id })) !== undefined,
    );
    const anyId = fc.oneof(validId, relayedId, fc.constant("~end"));
    const message: fc.Arbitrary<EventMessage> = fc.oneof(
      validMessage,
      fc.record(
        { data: text, event: validEvent, id: anyId, retry: validRetry },
        { requiredKeys: [] },
      ),
    );
    fc.assert(
      fc.property(message, (fields) => {
        const { event, id, retry, data } = fields;
        expect(decodeMessage(encodeMessage(fields))).toEqual({
          event,
          id,
          // A minus zero is written as 0.
          retry: retry === undefined ? undefined : retry + 0,
          data: data?.replaceAll(/\r\n|\r/g, "\n"),
        });
      }),
      runs(0.25),
    );
  });
});

describe("one message", () => {
  it(
    "is refused or is one event with these fields, whatever its strings",
    { timeout: TIMEOUT_MS },
    () => {
      const hostile = fc.oneof(text, validId, validEvent);
      const message = fc.record(
        {
          data: text,
          event: hostile,
          id: hostile,
          retry: fc.oneof(validRetry, fc.double(), fc.integer()),
        },
        { requiredKeys: [] },
      );
      fc.assert(
        fc.property(message, (fields) => {
          const block = encodedOrRefused(() => encodeMessage(fields));
          if (block === undefined) return;
          // Between two others, to check that it does not affect its neighbours.
          const neighbour = { data: "neighbour", event: "n" };
          const around = [neighbour, fields, neighbour];
          const bytes = Buffer.from(encodeMessage(neighbour) + block + encodeMessage(neighbour));
          const { event, ...rest } = fields;
          // A client drops the event type of a block without data.
          const effective =
            fields.data === undefined
              ? rest
              : { ...rest, ...(event === undefined ? {} : { event }) };
          expect(parse([bytes])).toEqual(expectedOfParser([neighbour, effective, neighbour]));
          expect(interpret([bytes])).toEqual(expected(around));
        }),
        runs(0.25),
      );
    },
  );

  it("is refused or is one event, whatever the value of a field", { timeout: TIMEOUT_MS }, () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withNullPrototype: true,
      maxDepth: 1,
    });
    const tricky = fc.oneof(
      anything,
      text.map((value) => ({ toString: () => value, toJSON: () => value })),
      text.map((value) => [value]),
      text,
    );
    const message = fc.record(
      { data: tricky, event: tricky, id: tricky, retry: tricky },
      { requiredKeys: ["data"] },
    );
    fc.assert(
      fc.property(message, (fields) => {
        const frame = encodedOrRefused(() => encodeFrame(untyped<SseMessage>(fields), FRAMING));
        if (frame === undefined) return;
        const { events, retries, comments } = parse([frame]);
        const { data, event, id, retry } = fields;
        expect(comments).toEqual([]);
        expect(retries).toEqual(retry === undefined ? [] : [Number(retry) + 0]);
        if (data === undefined) {
          expect(events).toEqual([]);
          return;
        }
        const sent = typeof data === "string" ? data : JSON.stringify(data);
        expect(events).toEqual([
          {
            event: typeof event === "string" ? asUtf8(event) : undefined,
            id,
            data: asReceived(sent),
          },
        ]);
      }),
      runs(0.1),
    );
  });

  it("that is a comment is not an event, whatever its text", { timeout: TIMEOUT_MS }, () => {
    fc.assert(
      fc.property(text, (comment) => {
        const bytes = Buffer.from(`${encodeComment(comment)}${encodeMessage({ data: "next" })}`);
        const { events, retries, comments } = parse([bytes]);
        expect(events).toEqual([{ event: undefined, id: undefined, data: "next" }]);
        expect(retries).toEqual([]);
        expect(comments.join("\n")).toBe(asReceived(comment));
        expect(interpret([bytes])).toEqual(expected([{ data: "next" }]));
      }),
      runs(0.05),
    );
  });
});

describe("a session", () => {
  it("leaves every other event intact when the serializer fails", { timeout: TIMEOUT_MS }, () => {
    const BAD = Symbol("bad");
    const content = fc.oneof(
      { weight: 3, arbitrary: text },
      { weight: 1, arbitrary: fc.constantFrom<unknown>(BAD, { toJSON: () => BAD }, 1n) },
    );
    const message = fc.record(
      { data: content, event: validEvent, id: validId },
      { requiredKeys: ["data"] },
    );
    const serialize = (data: unknown): string => {
      if (data === BAD) throw new Error("bad");
      return JSON.stringify(data);
    };
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), fc.boolean(), (messages, holdsHead) => {
        const { session, sink } = makeSession({ serialize, heartbeatMs: false }, { holdsHead });
        const sent: EventMessage[] = [];
        session.open();
        for (const one of messages) {
          if (encodedOrRefused(() => session.send(untyped<SseMessage>(one))) === undefined)
            continue;
          sent.push(untyped<EventMessage>(one));
        }
        if (holdsHead) sink.sendHead();
        session.destroy();
        expect(sent).toEqual(messages.filter(({ data }) => typeof data === "string"));
        const body = [Buffer.from(sink.text)];
        expect(parse(body)).toEqual(expectedOfParser(sent));
        expect(interpret(body)).toEqual(expected(sent));
      }),
      runs(0.1),
    );
  });
});

/** @returns `undefined` if it is refused with an error of Tidewire; any other error fails the property. */
function encodedOrRefused<T>(encode: () => T): T | undefined {
  try {
    return encode();
  } catch (error) {
    if (error instanceof SseError) return undefined;
    throw error;
  }
}
