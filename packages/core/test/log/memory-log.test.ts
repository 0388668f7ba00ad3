import { describe, expect, it, vi } from "vitest";
import type { Log, LogEntry, LogFollower } from "../../src/log/log.js";
import { memoryLog } from "../../src/log/memory-log.js";
import { thrownBy } from "../thrown.js";

function recorder(): LogFollower & { readonly seen: LogEntry[] } {
  const seen: LogEntry[] = [];
  return {
    seen,
    entries: (entries) => seen.push(...entries) > 0,
    reset: () => {},
    failed: () => {},
  };
}

/** Starts a log, which a log in memory does at once. */
function started(log: Log): string {
  const tail = log.start(recorder());
  if (typeof tail !== "string") throw new Error("It starts later");
  return tail;
}

describe("memoryLog", () => {
  it("gives ids of an epoch and a counter from 0", async () => {
    const log = memoryLog();
    const tail = started(log);
    expect(tail).toMatch(/^[A-Za-z0-9_-]{8}\.0$/);
    const epoch = tail.slice(0, 8);
    await expect(log.append("a", { data: "1" })).resolves.toBe(`${epoch}.1`);
    await expect(log.append("a", { data: "2" })).resolves.toBe(`${epoch}.2`);
  });

  it("delivers in the turn of the append", () => {
    const log = memoryLog();
    const follower = recorder();
    void log.start(follower);
    void log.append("a", { event: "e", data: "1", retry: 5 });
    expect(follower.seen).toMatchObject([{ channel: "a", event: "e", data: "1", retry: 5 }]);
  });

  it("takes the ids of another run for foreign: as those from before a restart", async () => {
    const [before, after] = [memoryLog(), memoryLog()];
    void before.start(recorder());
    const tail = started(after);
    const old = await before.append("a", { data: "1" });
    expect(after.compare(old, tail)).toBeNaN();
    expect(after.compare(tail, old)).toBeNaN();
  });

  it("knows its own ids from the future", async () => {
    const log = memoryLog();
    const tail = started(log);
    expect(log.compare(tail.replace(/0$/, "12"), tail)).toBe(12);
  });

  it.each([["01"], ["1.0"], ["+1"], ["1e1"], ["0x1"], [" 1"], [""], ["-1"], ["1".repeat(17)]])(
    "takes an id that counts %j for none",
    (count) => {
      const log = memoryLog();
      const tail = started(log);
      expect(log.compare(tail.replace(/0$/, count), tail)).toBeNaN();
    },
  );

  it("never calls two ids equal that are not", () => {
    const log = memoryLog();
    const epoch = started(log).slice(0, 8);
    // Past the safe integers neighbours would be the same number.
    expect(log.compare(`${epoch}.9007199254740993`, `${epoch}.9007199254740992`)).not.toBe(0);
  });

  it("cannot be read: the hub holds what is retained", () => {
    expect(memoryLog().read).toBeUndefined();
  });

  it("forgets a dedupeKey after two minutes", async () => {
    let now = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
    const log = memoryLog();
    started(log);
    const append = (): Promise<string> => log.append("a", { data: "1" }, { dedupeKey: "x" });
    const first = await append();
    now = 119_999;
    expect(await append()).toBe(first);
    now = 120_000;
    expect(await append()).not.toBe(first);
    clock.mockRestore();
  });

  it("rejects what is appended before start and after close", async () => {
    const log = memoryLog();
    await expect(log.append("a", { data: "1" })).rejects.toMatchObject({ code: "ERR_SSE_CLOSED" });
    const follower = recorder();
    void log.start(follower);
    await log.close();
    await expect(log.append("a", { data: "1" })).rejects.toMatchObject({ code: "ERR_SSE_CLOSED" });
    expect(follower.seen).toEqual([]);
  });

  it("is for one hub: a second one may not take the first one's events away", () => {
    const log = memoryLog();
    void log.start(recorder());
    expect(thrownBy(() => log.start(recorder())).code).toMatch(/^ERR_SSE_/);
  });
});
