import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OwnEvents } from "../../src/delivery/own-events.js";
import { Window } from "../../src/delivery/window.js";
import { encodeMessage } from "../../src/wire/encode.js";
import { FrameSlab } from "../../src/wire/frame-slab.js";

/** A log at `5`, and what it answers to lookups: `undefined` where it cannot be read. */
function makeLog() {
  const slab = new FrameSlab();
  const retention = { maxAgeMs: 60_000, maxEvents: 100, maxBytes: 100_000 };
  const window = new Window(retention, "5", (a, b) => Number(a) - Number(b));
  const log = { held: new Set<string>(), canBeRead: true, lookups: [] as (readonly string[])[] };
  const own = new OwnEvents(window, {
    holds: async (ids) => {
      log.lookups.push(ids);
      return log.canBeRead ? ids.map((id) => log.held.has(id)) : undefined;
    },
  });
  const append = (id: string): void => {
    window.append(id, slab.write(encodeMessage({ id, data: "" }), "a"), 0);
    own.look();
  };
  return { own, log, append };
}

async function isOver(promise: Promise<void> | undefined): Promise<boolean> {
  let over = promise === undefined;
  void promise?.then(() => (over = true));
  await vi.advanceTimersByTimeAsync(0);
  return over;
}

describe("OwnEvents", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("waits until the newest event has been read, without asking the log", async () => {
    const { own, log, append } = makeLog();
    for (const id of ["6", "8", "7"]) own.add(id);
    const read = own.whenRead();
    append("6");
    append("7");
    expect(await isOver(read)).toBe(false);
    append("8");
    expect([await isOver(read), log.lookups]).toEqual([true, []]);
    expect(own.whenRead()).toBeUndefined();
  });

  it("does not wait for events that were read before they were added", () => {
    const { own, append } = makeLog();
    append("6");
    own.add("6");
    expect([own.whenRead(), own.whenRead("6")]).toEqual([undefined, undefined]);
  });

  it("waits for an event as long as the log holds it, or cannot be read", async () => {
    const { own, log, append } = makeLog();
    own.add("9");
    log.held.add("9");
    const read = own.whenRead();
    await vi.advanceTimersByTimeAsync(5_000);
    log.canBeRead = false;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await isOver(read)).toBe(false);
    expect(log.lookups.length).toBe(20);
    append("9");
    expect(await isOver(read)).toBe(true);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(log.lookups.length).toBe(20);
  });

  it("does not wait for an event of a replaced history, which never comes", async () => {
    const { own, log } = makeLog();
    own.add("900");
    const reads = [own.whenRead(), own.whenRead("900")];
    // A server that is behind does not hold it either.
    await vi.advanceTimersByTimeAsync(500);
    expect(await isOver(reads[0])).toBe(false);
    await vi.advanceTimersByTimeAsync(500);
    expect(await Promise.all(reads.map(isOver))).toEqual([true, true]);
    expect(log.lookups).toEqual([["900"], ["900"]]);
    expect(own.whenRead()).toBeUndefined();
  });

  it("does not wait longer for many events of a replaced history than for one", async () => {
    const { own } = makeLog();
    for (let id = 900; id < 1_000; id++) own.add(String(id));
    const reads = [own.whenRead(), own.whenRead("901")];
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await Promise.all(reads.map(isOver))).toEqual([true, true]);
  });

  it("waits on for the other events behind a lost one, which have lower ids", async () => {
    const { own, log, append } = makeLog();
    log.held = new Set(["6", "7"]);
    for (const id of ["6", "900", "7"]) own.add(id);
    const read = own.whenRead();
    await vi.advanceTimersByTimeAsync(1_500);
    append("6");
    expect(await isOver(read)).toBe(false);
    append("7");
    expect(await isOver(read)).toBe(true);
  });

  it("ends all waits with a new history", async () => {
    const { own, append } = makeLog();
    own.add("9");
    const read = own.whenRead();
    own.clear();
    expect(await isOver(read)).toBe(true);
    append("6");
    expect(own.whenRead()).toBeUndefined();
  });
});
