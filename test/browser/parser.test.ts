import { createParser as createReference } from "eventsource-parser";
import * as fc from "fast-check";
import { expect, test } from "vitest";

interface ParsedEvent {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

type CreateParser = (dispatch: (event: ParsedEvent) => void) => (text: string) => void;

// Imported by a computed address, because the page is plain JavaScript outside the compiled program.
const address = new URL("../../examples/showcase/page/parser.js", import.meta.url).href;
const { createParser } = (await import(address)) as { createParser: CreateParser };

function parse(pieces: readonly string[]): ParsedEvent[] {
  const events: ParsedEvent[] = [];
  const read = createParser((event) => events.push(event));
  for (const piece of pieces) read(piece);
  return events;
}

test("the showcase's parser reads a stream the same way wherever it is split", () => {
  const stream =
    ":\nretry: 1000\r\n\r\nevent: a\rdata:  x\rdata:y\r\rid: 7\ndata\n\n" +
    "data: {}\r\nunknown: z\r\n\r\nevent: none\n\nid: 8\n\ndata: end\n\ndata: never ended\n";
  const expected = [
    { type: "a", data: " x\ny", lastEventId: "" },
    { type: "message", data: "", lastEventId: "7" },
    { type: "message", data: "{}", lastEventId: "7" },
    { type: "message", data: "end", lastEventId: "8" },
  ];
  expect(parse([stream])).toEqual(expected);
  expect(parse(stream.split(""))).toEqual(expected);
  for (let border = 0; border <= stream.length; border++) {
    expect(parse([stream.slice(0, border), stream.slice(border)])).toEqual(expected);
  }
});

test("the showcase's parser agrees with eventsource-parser on arbitrary lines", () => {
  const line = fc.constantFrom(
    "",
    "",
    "data: a",
    "data:b",
    "data:  c",
    "data",
    "event: x",
    "event:",
    "id: 1",
    ": note",
    "other: d",
  );
  const lines = fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n")), { maxLength: 30 });
  fc.assert(
    fc.property(lines, fc.nat(), (parts, seed) => {
      const stream = parts.map(([text, end]) => text + end).join("");
      const border = seed % (stream.length + 1);
      const expected: { type: string; data: string }[] = [];
      createReference({
        onEvent: ({ event, data }) => expected.push({ type: event ?? "message", data }),
      }).feed(stream);
      const actual = parse([stream.slice(0, border), stream.slice(border)]);
      expect(actual.map(({ type, data }) => ({ type, data }))).toEqual(expected);
    }),
  );
});
