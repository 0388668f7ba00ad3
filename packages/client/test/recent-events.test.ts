import { describe, expect, it } from "vitest";
import { createRecentEvents } from "../src/share/recent-events.js";
import type { SharedEvent } from "../src/share/recent-events.js";

function event(lastEventId: string, text = lastEventId): SharedEvent {
  return { type: "message", text, lastEventId };
}

describe("The recent events of a group", () => {
  it("follow their start, each event, and each position without an event", () => {
    const recent = createRecentEvents("0");
    recent.push(event("1"));
    recent.push({ lastEventId: "1.5" });
    recent.push(event("2"));
    expect(recent.after("0")).toEqual([event("1"), { lastEventId: "1.5" }, event("2")]);
    expect(recent.after("1.5")).toEqual([event("2")]);
    expect(recent.after("2")).toEqual([]);
    expect(recent.after("made-up")).toBeUndefined();
  });

  it("are not repeated after events without an ID, because a tab may have seen any number of them", () => {
    const recent = createRecentEvents("");
    recent.push(event("", "a"));
    recent.push(event("", "b"));
    expect(recent.after("")).toEqual([]);
  });

  it("do not grow with positions that stay the same", () => {
    const recent = createRecentEvents("0");
    for (let count = 0; count < 5_000; count++) recent.push({ lastEventId: "0" });
    recent.push(event("1"));
    expect(recent.after("0")).toEqual([event("1")]);
  });

  it("are at most 1 000, and a million characters", () => {
    const many = createRecentEvents("start");
    for (let count = 1; count <= 1_200; count++) many.push(event(`${count}`));
    expect(many.after("start")).toBeUndefined();
    expect(many.after("200")).toBeUndefined();
    expect(many.after("201")).toHaveLength(999);

    const large = createRecentEvents("start");
    for (let count = 1; count <= 5; count++) large.push(event(`${count}`, "x".repeat(300_000)));
    expect(large.after("1")).toBeUndefined();
    expect(large.after("2")).toHaveLength(3);
    large.push(event("huge", "x".repeat(2_000_000)));
    expect(large.after("5")).toBeUndefined();
    expect(large.after("huge")).toEqual([]);
  });
});
