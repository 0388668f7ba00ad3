import { describe, expect, it } from "vitest";
import { acceptsEventStream, namesEventStream } from "../../src/http/accept.js";

const TABLE: readonly [accept: string | undefined, accepted: boolean, named: boolean][] = [
  [undefined, true, false],
  ["", true, false],
  ["*/*", true, false],
  ["text/event-stream", true, true],
  ["text/*", true, false],
  ["text/html", false, false],
  ["application/json", false, false],
  ["application/*", false, false],
  ["text/event", false, false],
  ["text/event-streams", false, false],
  ["application/json, text/event-stream", true, true],
  ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true, false],
  ["text/event-stream;q=0.1, text/html", true, true],
  ["text/event-stream ; q=0.001", true, true],
  // Upper and lower case in type and parameter.
  ["Text/Event-Stream", true, true],
  ["TEXT/*", true, false],
  ["text/event-stream;Q=0", false, false],
  // Excluded by quality, even if a wildcard would allow it: the more specific range wins.
  ["text/event-stream;q=0", false, false],
  ["text/event-stream;q=0.0", false, false],
  ["text/event-stream;q=0, */*", false, false],
  ["*/*, text/event-stream;q=0", false, false],
  ["text/*;q=0, */*", false, false],
  ["text/*;q=0, text/event-stream", true, true],
  ["*/*;q=0, text/event-stream", true, true],
  ["*/*;q=0", false, false],
  // Garbage excludes a stream, but never throws.
  ["garbage", false, false],
  [",,,", false, false],
  ["text/", false, false],
  ["/event-stream", false, false],
  ["text/event-stream;q=abc", false, false],
  ["text event-stream", false, false],
  ["text/event-stream\u00e9", false, false],
  [", text/event-stream", true, true],
  ['text/html;x="a, text/event-stream"', false, false],
];

describe("acceptsEventStream", () => {
  it.each(TABLE)("given %j is %s", (accept, accepted) => {
    expect(acceptsEventStream(accept)).toBe(accepted);
  });

  it("accepts a client that names the charset, which is always UTF-8", () => {
    expect(acceptsEventStream("text/event-stream; charset=utf-8")).toBe(true);
    expect(acceptsEventStream("text/event-stream;charset=UTF-8, application/json;q=0.5")).toBe(
      true,
    );
  });
});

describe("namesEventStream", () => {
  it.each(TABLE.map(([accept, , named]) => [accept, named] as const))(
    "given %j is %s",
    (accept, named) => {
      expect(namesEventStream(accept)).toBe(named);
    },
  );

  it("recognizes the name with a parameter", () => {
    expect(namesEventStream("text/event-stream; charset=utf-8")).toBe(true);
  });
});
