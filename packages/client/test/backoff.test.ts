import { describe, expect, it } from "vitest";
import { drawDelay, limitTime, readRetryAfter } from "../src/backoff.js";

function drawMany(baseMs: number, failures: number): { least: number; most: number } {
  const drawn = Array.from({ length: 2_000 }, () => drawDelay(baseMs, failures));
  return { least: Math.min(...drawn), most: Math.max(...drawn) };
}

describe("The delay", () => {
  it.each([
    [1_000, 1, 1_000, 2_000],
    [1_000, 3, 1_000, 8_000],
    [1_000, 20, 1_000, 15_000],
    [10_000, 1, 10_000, 20_000],
    [90_000, 4, 90_000, 180_000],
  ])(
    "with a time of %i ms is after failure %i between %i and %i ms",
    (base, failures, from, to) => {
      const { least, most } = drawMany(base, failures);
      expect(least).toBeGreaterThanOrEqual(from);
      expect(least).toBeLessThanOrEqual(from + (to - from) * 0.05);
      expect(most).toBeLessThanOrEqual(to);
      expect(most).toBeGreaterThanOrEqual(to - (to - from) * 0.05);
    },
  );

  it("is never shorter than 100 ms, and never longer than a timer", () => {
    expect([limitTime(0), limitTime(5_000), limitTime(Infinity)]).toEqual([100, 5_000, 1e9]);
  });
});

describe("Retry-After", () => {
  it.each([
    ["26", 26_000],
    ["0", 0],
    [null, undefined],
    ["", undefined],
    ["-1", undefined],
    ["soon", undefined],
    [new Date(0).toUTCString(), undefined],
  ])("of %j is %j ms", (value, ms) => {
    expect(readRetryAfter(value)).toBe(ms);
  });

  it("may be a date", () => {
    const ms = readRetryAfter(new Date(Date.now() + 60_000).toUTCString());
    expect(ms).toBeGreaterThan(58_000);
    expect(ms).toBeLessThanOrEqual(60_000);
  });
});
