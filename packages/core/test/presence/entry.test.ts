import { describe, expect, it } from "vitest";
import type { LogEntry } from "../../src/log/log.js";
import {
  NODES_CHANNEL,
  decodeChange,
  decodeNodeEntry,
  encodeEntry,
  partsOf,
} from "../../src/presence/entry.js";
import type { ChangeEntry, NodeEntry } from "../../src/presence/entry.js";
import { thrownBy } from "../thrown.js";

function entry(channel: string, data: string): LogEntry {
  return { id: "1", channel, data };
}

describe("Entries", () => {
  it.each<NodeEntry>([
    { node: "n1" },
    { node: "n1", hello: "new" },
    { node: "n1", hello: "again" },
    { node: "n1", bye: 500 },
    { node: "n1", answer: { to: "n2", present: [["room", ["ada"]]] } },
    { node: "n1", answer: { to: "n2", present: [], nodes: ["n3"] } },
  ])("of nodes are decoded as they were encoded: %j", (given) => {
    expect(decodeNodeEntry({ ...entry(NODES_CHANNEL, ""), ...encodeEntry(given) })).toEqual(given);
  });

  it.each<ChangeEntry>([
    { node: "n1", join: ["ada"] },
    { node: "n1", leave: ["ada", "bob"] },
    { node: "n1", by: "n2", leave: ["ada"] },
  ])("of channels are decoded as they were encoded: %j", (given) => {
    const decoded = decodeChange({ ...entry("~presence:room", ""), ...encodeEntry(given) });
    expect(decoded).toEqual({ ...given, channel: "room" });
  });

  it("of other channels are not changes", () => {
    expect(decodeChange(entry("~disconnect", "?"))).toBeUndefined();
    expect(decodeChange(entry(NODES_CHANNEL, "?"))).toBeUndefined();
  });

  it.each([
    "",
    "null",
    "[]",
    '{"node":5}',
    '{"node":"n1","hello":true}',
    '{"node":"n1","bye":"1"}',
    '{"node":"n1","answer":[]}',
    '{"node":"n1","answer":{"to":"n2","present":[["room",[5]]]}}',
    '{"node":"n1","answer":{"to":"n2","present":[],"nodes":[1]}}',
  ])("of nodes from other programs are errors if they are invalid: %s", (data) => {
    const error = thrownBy(() => decodeNodeEntry(entry(NODES_CHANNEL, data)));
    expect(error).toMatchObject({ code: "ERR_SSE_INVALID_OPTION" });
  });

  it.each([
    "{",
    '{"join":["ada"]}',
    '{"node":"n1"}',
    '{"node":"n1","join":["ada"],"leave":["bob"]}',
    '{"node":"n1","join":"ada"}',
    '{"node":"n1","leave":[5]}',
    '{"node":"n1","by":5,"leave":["ada"]}',
    '{"node":"n1","by":"n2","join":["ada"]}',
  ])("of channels from other programs are errors if they are invalid: %s", (data) => {
    const error = thrownBy(() => decodeChange(entry("~presence:room", data)));
    expect(error).toMatchObject({ code: "ERR_SSE_INVALID_OPTION" });
  });
});

describe("partsOf", () => {
  it("divides identities by their number and by their length as JSON", () => {
    const many = Array.from({ length: 1_001 }, (_, index) => `u${index}`);
    expect([...partsOf(many)].map((part) => part.length)).toEqual([500, 500, 1]);
    const long = Array.from({ length: 10 }, () => "x".repeat(256));
    expect([...partsOf(long, 1_000)].map((part) => part.length)).toEqual([3, 3, 3, 1]);
    const control = Array.from({ length: 4 }, () => "\u0000".repeat(100));
    expect([...partsOf(control, 1_300)].map((part) => part.length)).toEqual([2, 2]);
    expect([...partsOf(["too long"], 1)]).toEqual([["too long"]]);
    expect([...partsOf([])]).toEqual([]);
  });
});
