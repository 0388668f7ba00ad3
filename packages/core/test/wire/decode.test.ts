import { describe, expect, it } from "vitest";
import { decodeMessage } from "../../src/wire/decode.js";

describe("decodeMessage", () => {
  it.each([
    ["data: d\n\n", { data: "d" }],
    ["event: tick\nid: 1\nretry: 5\ndata: d\n\n", { event: "tick", id: "1", retry: 5, data: "d" }],
    ["event: tick\ndata: d\n\n", { event: "tick", data: "d" }],
    ["id: 1\ndata: d\n\n", { id: "1", data: "d" }],
    ["retry: 0\ndata: d\n\n", { retry: 0, data: "d" }],
    ["id: \ndata: d\n\n", { id: "", data: "d" }],
    ["id: 1\n\n", { id: "1" }],
    ["retry: 5\n\n", { retry: 5 }],
    ["\n", {}],
  ])("returns the fields that %j has, and no others", (block, message) => {
    expect(decodeMessage(block)).toEqual(message);
  });

  it.each([
    ["one empty line", "data: \n\n", ""],
    ["two lines", "data: a\ndata: b\n\n", "a\nb"],
    ["empty lines around others", "data: \ndata: a\ndata: \n\n", "\na\n"],
    ["only empty lines", "data: \ndata: \n\n", "\n"],
    ["a leading space", "data:  a\ndata:  b\n\n", " a\n b"],
    [
      "a line like a field",
      "data: id: 1\ndata: data: x\ndata: event: y\n\n",
      "id: 1\ndata: x\nevent: y",
    ],
  ])("joins the lines of data with LF: %s", (_name, block, data) => {
    expect(decodeMessage(block)).toEqual({ data });
  });

  it("takes no field from inside another one", () => {
    expect(decodeMessage("event: id: 2\nid: retry:3\ndata: event: x\n\n")).toEqual({
      event: "id: 2",
      id: "retry:3",
      data: "event: x",
    });
  });
});
