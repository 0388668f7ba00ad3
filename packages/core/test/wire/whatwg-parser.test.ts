import { createParser } from "eventsource-parser";
import type { EventSourceMessage } from "eventsource-parser";
import { describe, expect, it } from "vitest";
import { interpret } from "../whatwg-parser.js";
import type { DispatchedEvent } from "../whatwg-parser.js";

function eventsOf(text: string): readonly DispatchedEvent[] {
  return interpret([Buffer.from(text)]).events;
}

function parsed(text: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  createParser({ onEvent: (event) => void events.push(event) }).feed(text);
  return events;
}

/** The examples of the standard itself. */
describe("interpret follows the examples of the standard", () => {
  it("joins the data fields of a block", () => {
    expect(eventsOf("data: YHOO\ndata: +2\ndata: 10\n\n")).toEqual([
      { type: "message", data: "YHOO\n+2\n10", lastEventId: "" },
    ]);
  });

  it("ignores comments, keeps the id and resets it if it is empty", () => {
    const stream =
      ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    expect(eventsOf(stream)).toEqual([
      { type: "message", data: "first event", lastEventId: "1" },
      { type: "message", data: "second event", lastEventId: "" },
      { type: "message", data: " third event", lastEventId: "" },
    ]);
  });

  it("dispatches empty data and drops an incomplete block", () => {
    expect(eventsOf("data\n\ndata\ndata\n\ndata:")).toEqual([
      { type: "message", data: "", lastEventId: "" },
      { type: "message", data: "\n", lastEventId: "" },
    ]);
  });

  it("ends lines at CR, LF and CRLF", () => {
    expect(eventsOf("event: a\rdata: 1\r\rdata: 2\r\n\r\n")).toEqual([
      { type: "a", data: "1", lastEventId: "" },
      { type: "message", data: "2", lastEventId: "" },
    ]);
  });

  it("moves the last event ID even if it dispatches nothing", () => {
    expect(interpret([Buffer.from("event: x\nid: 7\n\nid: 8\n")])).toEqual({
      events: [],
      retries: [],
      lastEventId: "7",
    });
  });

  it("takes only ASCII digits as a reconnection time and ignores an id with NUL", () => {
    expect(
      interpret([Buffer.from("retry: 10\nretry: +5\nretry: 1e3\nretry\nid: 1\nid: a\0\n\n")]),
    ).toEqual({
      events: [],
      retries: [10],
      lastEventId: "1",
    });
  });

  it("removes one byte order mark at the beginning", () => {
    expect(eventsOf("\ufeffdata: a\n\n")).toHaveLength(1);
    expect(eventsOf("\ufeff\ufeffdata: a\n\n")).toHaveLength(0);
  });
});

/** Where they differ, the properties must not rely on eventsource-parser. */
describe("eventsource-parser differs from the standard in that it", () => {
  it("forgets an id for which no event is dispatched", () => {
    const stream = "id: 7\n\ndata: x\n\n";
    expect(eventsOf(stream)).toEqual([{ type: "message", data: "x", lastEventId: "7" }]);
    expect(parsed(stream)).toEqual([{ data: "x", event: undefined, id: undefined }]);
  });

  it("leaves a decoded byte order mark in place, so that the first field is lost", () => {
    expect(parsed("\ufeffdata: x\n\n")).toEqual([]);
  });

  it("treats the characters of a byte order mark decoded as latin1 as one", () => {
    expect(parsed("\u00ef\u00bb\u00bfdata: x\n\n")).toHaveLength(1);
    expect(eventsOf("\u00ef\u00bb\u00bfdata: x\n\n")).toHaveLength(0);
  });

  it("waits for more after a CR at the very end, which the standard treats as a line end at once", () => {
    expect(parsed("data: x\r\r")).toEqual([]);
    expect(eventsOf("data: x\r\r")).toHaveLength(1);
  });
});

it("Both ignore an id with NUL and dispatch empty data", () => {
  const stream = "id: a\0b\ndata\n\n";
  expect(eventsOf(stream)).toEqual([{ type: "message", data: "", lastEventId: "" }]);
  expect(parsed(stream)).toEqual([{ data: "", event: undefined, id: undefined }]);
});
