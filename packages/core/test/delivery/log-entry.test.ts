import { describe, expect, it } from "vitest";
import { UnsendableReports, encodeEntry } from "../../src/delivery/log-entry.js";
import type { LogEntry } from "../../src/log/log.js";

const entry = (fields: Partial<LogEntry>): LogEntry => ({
  id: "1-0~",
  channel: "news",
  data: "x",
  ...fields,
});

describe("encodeEntry", () => {
  it("encodes everything that the hub would have published, up to the very last byte", () => {
    const block = "id: 1-0~\ndata: \u20ac\u20ac\n\n";
    expect(encodeEntry(entry({ data: "\u20ac\u20ac" }), Buffer.byteLength(block))).toBe(block);
    expect(() => encodeEntry(entry({ data: "\u20ac\u20acx" }), Buffer.byteLength(block))).toThrow(
      expect.objectContaining({ code: "ERR_SSE_INVALID_DATA" }),
    );
  });

  it.each([
    ["a reserved event type", { event: "sse-reset" }, "ERR_SSE_INVALID_FIELD"],
    [
      "an id that only a single-stream message may have",
      { id: "urn:uuid:1" },
      "ERR_SSE_INVALID_FIELD",
    ],
    ["an event type with a line break", { event: "a\nid: 7" }, "ERR_SSE_INVALID_FIELD"],
    ["an empty event type", { event: "" }, "ERR_SSE_INVALID_FIELD"],
    ["a reconnection time that is not a number", { retry: NaN }, "ERR_SSE_INVALID_FIELD"],
    ["no channel", { channel: "" }, "ERR_SSE_INVALID_OPTION"],
    ["a channel that is too long", { channel: "c".repeat(257) }, "ERR_SSE_INVALID_OPTION"],
  ])("refuses %s", (_, fields, code) => {
    expect(() => encodeEntry(entry(fields), Infinity)).toThrow(expect.objectContaining({ code }));
  });
});

describe("UnsendableReports", () => {
  it("reports ten in ten seconds, and the number of further ones", () => {
    const reports: unknown[] = [];
    const unsendable = new UnsendableReports((error) => void reports.push(error));
    for (let n = 0; n < 25; n++) unsendable.add(n, n);
    expect(reports).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    unsendable.add("later", 10_000);
    expect(reports.slice(10)).toEqual([
      expect.objectContaining({ message: "15 further log entries could not be sent" }),
      "later",
    ]);
  });
});
