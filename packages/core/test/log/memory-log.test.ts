import { setTimeout as sleep } from "node:timers/promises";
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

const ID = /^[A-Za-z0-9_-]{8}\.[1-9a-z][0-9a-z]{7}-(0|[1-9]\d{0,3})~[A-Za-z0-9_-]{5}$/;

/** Starts a log, which is synchronous for the in-memory log. */
function started(log: Log): string {
  const tail = log.start(recorder());
  if (typeof tail !== "string") throw new Error("It starts later");
  return tail;
}

describe("memoryLog", () => {
  it("assigns ids that do not reveal the number of events", async () => {
    const log = memoryLog();
    const tail = started(log);
    expect(tail).toMatch(ID);
    const first = await log.append("mine", { data: "1" });
    for (let n = 0; n < 500; n++) void log.append("secret", { data: "x" });
    await sleep(5);
    const second = await log.append("mine", { data: "2" });
    expect(second).toMatch(ID);
    expect(second.slice(0, 9)).toBe(first.slice(0, 9));
    // A counter that restarts with each millisecond, but not at 0.
    const begins = new Set<string>();
    for (let n = 0; n < 20; n++) {
      await sleep(2);
      begins.add((await log.append("mine", { data: "3" })).replace(/^.*-(\d+)~.*$/, "$1"));
    }
    expect(begins.size).toBeGreaterThan(5);
    expect(tail.slice(-5)).not.toBe(first.slice(-5));
  });

  it("assigns ascending ids, however many in a millisecond and whatever the clock does", async () => {
    let now = 1_700_000_000_000;
    const clock = vi.spyOn(Date, "now").mockImplementation(() => now);
    const log = memoryLog();
    let last = started(log);
    const seen = new Set([last]);
    for (const step of [0, 1, -3_600_000, 5, 86_400_000, -1]) {
      now += step;
      for (let n = 0; n < 5_000; n++) {
        const id = await log.append("a", { data: "1" });
        if (!(log.compare(id, last) > 0 && log.compare(last, id) < 0)) {
          throw new Error(`${id} is not past ${last}`);
        }
        last = id;
        seen.add(id);
      }
    }
    expect(seen.size).toBe(30_001);
    expect(last).toMatch(ID);
    clock.mockRestore();
  });

  it("delivers in the turn of the append", () => {
    const log = memoryLog();
    const follower = recorder();
    void log.start(follower);
    void log.append("a", { event: "e", data: "1", retry: 5 });
    expect(follower.seen).toMatchObject([{ channel: "a", event: "e", data: "1", retry: 5 }]);
  });

  it("treats ids of another run as foreign, like ids from before a restart", async () => {
    const [before, after] = [memoryLog(), memoryLog()];
    void before.start(recorder());
    const tail = started(after);
    const old = await before.append("a", { data: "1" });
    expect(after.compare(old, tail)).toBeNaN();
    expect(after.compare(tail, old)).toBeNaN();
  });

  it("recognizes its own ids from the future", async () => {
    const log = memoryLog();
    const tail = started(log);
    expect(log.compare(tail.replace(/-\d+~/, "-2000~"), tail)).toBeGreaterThan(0);
    expect(log.compare(tail, tail.replace(/-\d+~/, "-2000~"))).toBeLessThan(0);
    expect(log.compare(tail, tail)).toBe(0);
  });

  it.each([
    ["01"],
    ["1.0"],
    ["1e0"],
    ["0x1"],
    [" 1"],
    [""],
    ["-1"],
    ["1".repeat(17)],
    ["0-0"],
    ["0-0~"],
    ["0-0~abcd"],
    ["0-0~abcdef"],
    ["0-0~abcd."],
    ["00-0~abcde"],
    ["1-00~abcde"],
    ["1-+1~abcde"],
    ["1--1~abcde"],
    ["1-1e1~abcde"],
    ["1-2048~abcde"],
    ["1-99999~abcde"],
    ["A-0~abcde"],
    ["zzzzzzzzz-0~abcde"],
    ["1234567890-0~abcde"],
    ["1-0~abcde\n"],
    ["1-0~abcde "],
  ])("treats an id that ends in %j as foreign", (end) => {
    const log = memoryLog();
    const tail = started(log);
    const made = tail.slice(0, 9) + end;
    expect(log.compare(made, tail)).toBeNaN();
    expect(log.compare(tail, made)).toBeNaN();
  });

  it("never treats two different ids as equal", () => {
    const log = memoryLog();
    const epoch = started(log).slice(0, 9);
    expect(log.compare(`${epoch}1-0~abcde`, `${epoch}1-0~abcdf`)).toBeLessThan(0);
    expect(log.compare(`${epoch}1-0~abcdf`, `${epoch}1-0~abcde`)).toBeGreaterThan(0);
  });

  it("cannot be read: the hub holds the retained events", () => {
    expect(memoryLog().past).toBeUndefined();
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

  it("forgets every dedupeKey that is too old, and no other", async () => {
    let now = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
    const log = memoryLog();
    started(log);
    const append = (n: number): Promise<string> =>
      log.append("a", { data: "1" }, { dedupeKey: `key ${n}` });
    const ids: string[] = [];
    for (let n = 0; n < 300; n++) {
      now = n * 1_000;
      ids.push(await append(n));
      // Made 119 and 121 seconds ago.
      if (n >= 119) expect(await append(n - 119)).toBe(ids[n - 119]);
      if (n === 150) expect(await append(n - 121)).not.toBe(ids[n - 121]);
    }
    now = 1e6;
    expect(await append(299)).not.toBe(ids[299]);
    now = 1e7;
    const again = await append(1_000);
    expect(await append(1_000)).toBe(again);
    clock.mockRestore();
  });

  it("rejects appends before start and after close", async () => {
    const log = memoryLog();
    await expect(log.append("a", { data: "1" })).rejects.toMatchObject({ code: "ERR_SSE_CLOSED" });
    const follower = recorder();
    void log.start(follower);
    await log.close();
    await expect(log.append("a", { data: "1" })).rejects.toMatchObject({ code: "ERR_SSE_CLOSED" });
    expect(follower.seen).toEqual([]);
  });

  it("belongs to one hub: a second one cannot take the first one's events", () => {
    const log = memoryLog();
    void log.start(recorder());
    expect(thrownBy(() => log.start(recorder())).code).toMatch(/^ERR_SSE_/);
  });
});
