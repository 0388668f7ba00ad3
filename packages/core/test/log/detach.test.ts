import { describe, expect, it } from "vitest";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { detach } from "../../src/log/detach.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heapUsed(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

describe("detach", () => {
  it.each([
    "",
    "short",
    "user:1234567890",
    "12345678901234567890",
    "__proto__ and a bit more",
    "hasOwnProperty",
    "\u4e00 beyond latin1, \u{1F600}",
    "half of a pair: \ud800 x",
    "n".repeat(256),
  ])("returns an equal string: %j", (text) => {
    expect(detach(` ${text}`.slice(1))).toBe(text);
  });

  it("does not keep the text that a name was sliced from", () => {
    const before = heapUsed();
    const kept: string[] = [];
    for (let n = 0; n < 100; n++) {
      const body = Buffer.alloc(1_000_000, "x").toString("latin1");
      kept.push(detach(body.slice(n, n + 20 + n)));
    }
    expect(heapUsed() - before).toBeLessThan(5_000_000);
    expect(kept).toHaveLength(100);
  });

  it("stores a name once, however many copies are made", () => {
    const copy = (n: number): string => detach(Buffer.from(`${"n".repeat(1_000)}${n}`).toString());
    const before = heapUsed();
    const kept = Array.from({ length: 10_000 }, (_, n) => copy(n % 3));
    expect(heapUsed() - before).toBeLessThan(1_000_000);
    expect(new Set(kept).size).toBe(3);
  });
});
