import { describe, expect, it } from "vitest";
import { Roster } from "../../src/presence/roster.js";

describe("Roster", () => {
  it("has an identity until the last of its nodes has removed it", () => {
    const roster = new Roster();
    expect(roster.add("n1", "room", ["ada", "bob"])).toEqual(["ada", "bob"]);
    expect(roster.add("n2", "room", ["bob", "cyd"])).toEqual(["cyd"]);
    expect(roster.add("n3", "room", ["bob"])).toEqual([]);
    expect(roster.of("room")).toEqual(["ada", "bob", "cyd"]);
    for (const node of ["n1", "n2", "n3"]) expect(roster.has(node, "room", "bob")).toBe(true);
    expect(roster.remove("n2", "room", ["bob", "cyd"])).toEqual(["cyd"]);
    expect(roster.remove("n1", "room", ["bob"])).toEqual([]);
    expect(roster.has("n1", "room", "bob")).toBe(false);
    expect(roster.remove("n3", "room", ["bob"])).toEqual(["bob"]);
    expect(roster.of("room")).toEqual(["ada"]);
  });

  it("does not change when an entry arrives twice, or removes what is not there", () => {
    const roster = new Roster();
    roster.add("n1", "room", ["ada"]);
    expect(roster.add("n1", "room", ["ada", "ada"])).toEqual([]);
    expect(roster.remove("n2", "room", ["ada"])).toEqual([]);
    expect(roster.remove("n1", "other", ["ada"])).toEqual([]);
    expect(roster.remove("n1", "room", ["bob"])).toEqual([]);
    expect(roster.remove("n1", "room", ["ada", "ada"])).toEqual(["ada"]);
    expect([...roster.ofNode("n1")]).toEqual([]);
  });

  it("finds the channels and identities of a node", () => {
    const roster = new Roster();
    roster.add("n1", "a", ["ada", "bob"]);
    roster.add("n2", "a", ["bob"]);
    roster.add("n2", "b", ["cyd"]);
    roster.add("n2", "c", []);
    expect([...roster.ofNode("n2")]).toEqual([
      ["a", ["bob"]],
      ["b", ["cyd"]],
    ]);
    expect([...roster.ofNode("n3")]).toEqual([]);
    expect(roster.of("c")).toEqual([]);
    roster.clear();
    expect([...roster.ofNode("n2")]).toEqual([]);
  });
});
