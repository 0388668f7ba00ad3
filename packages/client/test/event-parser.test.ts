import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { interpret } from "../../core/test/whatwg-parser.js";
import { createBlockParser } from "../src/event-parser.js";
import type { Block } from "../src/event-parser.js";

function parseAll(
  chunks: readonly string[],
  lastEventId = "",
): { blocks: Block[]; retries: number[] } {
  const retries: number[] = [];
  const parse = createBlockParser(lastEventId, (ms) => retries.push(ms));
  return { blocks: chunks.flatMap((chunk) => [...parse(chunk)]), retries };
}

describe("The parser", () => {
  it("keeps the ID of a block without data", () => {
    expect(parseAll(["id: 7\n\ndata: x\n\n"]).blocks).toEqual([
      { lastEventId: "7", type: "message", data: undefined },
      { lastEventId: "7", type: "message", data: "x" },
    ]);
  });

  it("does not take an ID whose block is cut off", () => {
    expect(parseAll(["id: 1\ndata: a\n\nid: 2\ndata: b\n"]).blocks).toEqual([
      { lastEventId: "1", type: "message", data: "a" },
    ]);
  });

  it("keeps the ID of an earlier stream until there is another, and an empty one resets it", () => {
    const { blocks } = parseAll(["data: a\n\nid\ndata: b\n\n"], "old");
    expect(blocks.map(({ lastEventId }) => lastEventId)).toEqual(["old", ""]);
  });

  it("ignores IDs with NUL, and those that no header could send back", () => {
    const { blocks } = parseAll(["id: a\0\ndata: a\n\nid: \u0001\ndata: b\n\n"], "old");
    expect(blocks.map(({ lastEventId }) => lastEventId)).toEqual(["old", "old"]);
  });

  it("dispatches a block at once if its lines end in CR", () => {
    expect(parseAll(["data: a\r\r"]).blocks).toHaveLength(1);
    expect(parseAll(["data: a\r\n\r", "\ndata: b\r\n\r\n"]).blocks.map(({ data }) => data)).toEqual(
      ["a", "b"],
    );
  });

  it("yields each block before it reads the next one", () => {
    const parse = createBlockParser("", () => {});
    const blocks = parse("data: a\n\ndata: b\n\n");
    expect(blocks.next().value).toMatchObject({ data: "a" });
    expect(blocks.next().value).toMatchObject({ data: "b" });
  });

  it("does on any text, cut anywhere, what the standard says", () => {
    const line = fc.oneof(
      fc.constantFrom(
        "",
        "data",
        "data:",
        "data: x",
        "data:  y",
        "event: e",
        "event",
        "id: 1",
        "id",
      ),
      fc.constantFrom(
        "id: a\0b",
        "id:2",
        "idx: 3",
        "retry: 5",
        "retry: 5x",
        "retry:",
        ": c",
        "foo",
      ),
      fc.string({ maxLength: 4 }).map((text) => `data: ${text.replaceAll(/[\r\n]/g, "")}`),
    );
    const text = fc
      .array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r")), { maxLength: 25 })
      .map((lines) => lines.flat().join(""));
    const cuts = fc.array(fc.nat({ max: 200 }), { maxLength: 6 });
    fc.assert(
      fc.property(text, cuts, (whole, at) => {
        const places = [0, ...at.filter((cut) => cut < whole.length), whole.length].toSorted(
          (left, right) => left - right,
        );
        const chunks = places.slice(1).map((end, index) => whole.slice(places[index], end));
        const { blocks, retries } = parseAll(chunks);
        const expected = interpret([new TextEncoder().encode(whole)]);
        expect({
          events: blocks.filter(({ data }) => data !== undefined),
          retries,
          lastEventId: blocks.at(-1)?.lastEventId ?? "",
        }).toEqual(expected);
      }),
    );
  });
});
