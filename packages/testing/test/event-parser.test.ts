import * as fc from "fast-check";
import { expect, it } from "vitest";
import { interpret } from "../../core/test/whatwg-parser.js";
import { EventParser } from "../src/event-parser.js";
import type { Block } from "../src/event-parser.js";

function parse(parts: readonly Uint8Array[]): { blocks: Block[]; comments: string[] } {
  const blocks: Block[] = [];
  const comments: string[] = [];
  const parser = new EventParser({
    block: (block) => void blocks.push(block),
    comment: (text) => void comments.push(text),
  });
  for (const part of parts) parser.push(part);
  return { blocks, comments };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

it("reads blocks with and without data, and comments", () => {
  const text =
    ":\n\nevent: a\nid: 1\nretry: 20\ndata: x\ndata:  y\n\nid: 2\n\n: hi\ndata\n\nevent: b\n\ndata: lost";
  expect(parse([bytes(text)])).toEqual({
    blocks: [
      { event: "a", data: "x\n y", id: "1", retry: 20 },
      { event: "message", data: undefined, id: "2", retry: undefined },
      { event: "message", data: "", id: undefined, retry: undefined },
    ],
    comments: ["", "hi"],
  });
});

it("ends a line at a CR, whether a LF follows later or not at all", () => {
  const block = { event: "message", data: "x", id: undefined, retry: undefined };
  expect(parse([bytes("data: x\r\r")]).blocks).toEqual([block]);
  const parts = ["data: x\r", "", "\n\r", "\ndata: x\n", "\r", "data: x\r\n\r"];
  expect(parse(parts.map(bytes)).blocks).toEqual([block, block, block]);
});

it("reads any stream as the standard says, wherever its bytes are cut", () => {
  const piece = fc.constantFrom(
    "data",
    "event",
    "id",
    "retry",
    ":",
    " ",
    "\n",
    "\r\n",
    "\n\n",
    "\r",
    "é",
    "\0",
    "1",
    "\u{1F600}",
    "\uFEFF",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), fc.array(fc.nat(200)), (pieces, cuts) => {
      const whole = bytes(pieces.join(""));
      const places = [
        ...new Set([0, whole.length, ...cuts.map((cut) => cut % (whole.length + 1))]),
      ].toSorted((one, other) => one - other);
      const parts = places.slice(1).map((end, index) => whole.subarray(places[index], end));
      const { blocks } = parse(parts);
      const expected = interpret([whole]);
      const events = blocks.filter(({ data }) => data !== undefined);
      expect(events.map(({ event, data }) => [event, data])).toEqual(
        expected.events.map(({ type, data }) => [type, data]),
      );
      expect(blocks.findLast(({ id }) => id !== undefined)?.id ?? "").toBe(expected.lastEventId);
    }),
  );
});
