import { describe, expect, it } from "vitest";
import { OwnEvents } from "../../src/delivery/own-events.js";
import { Window } from "../../src/delivery/window.js";
import { encodeMessage } from "../../src/wire/encode.js";
import { FrameSlab } from "../../src/wire/frame-slab.js";

/** A log at `5`, in whose earlier histories ids went up to `lostUntil`. */
function makeLog(lostUntil: number) {
  const slab = new FrameSlab();
  const retention = { maxAgeMs: 60_000, maxEvents: 100, maxBytes: 100_000 };
  const window = new Window(retention, "5", (a, b) => Number(a) - Number(b));
  const waits: { isWanted: () => boolean; end: () => void }[] = [];
  const own = new OwnEvents(window, {
    isDoubtful: (id) => Number(id) <= lostUntil,
    caughtUp: (isWanted) => new Promise((end) => void waits.push({ isWanted, end })),
  });
  const append = (id: string): void => {
    window.append(id, slab.write(encodeMessage({ id, data: "" }), "a"), 0);
    own.look();
  };
  return { own, waits, append };
}

async function isOver(promise: Promise<void> | undefined): Promise<boolean> {
  let over = promise === undefined;
  void promise?.then(() => (over = true));
  await new Promise(setImmediate);
  return over;
}

describe("OwnEvents", () => {
  it("waits until the newest event has been read, without asking the log", async () => {
    const { own, waits, append } = makeLog(0);
    for (const id of ["6", "8", "7"]) own.add(id);
    const read = own.whenRead();
    append("6");
    append("7");
    expect(await isOver(read)).toBe(false);
    append("8");
    expect([await isOver(read), waits]).toEqual([true, []]);
    expect(own.whenRead()).toBeUndefined();
  });

  it("does not wait for events that were read before they were added", () => {
    const { own, append } = makeLog(0);
    append("6");
    own.add("6");
    expect([own.whenRead(), own.whenRead("6")]).toEqual([undefined, undefined]);
  });

  it("does not wait for an event of a lost history, which never comes", async () => {
    const { own, waits } = makeLog(1_000);
    own.add("900");
    const reads = [own.whenRead(), own.whenRead("900")];
    expect(await isOver(reads[0])).toBe(false);
    waits[0]?.end();
    expect([await isOver(reads[0]), await isOver(reads[1])]).toEqual([true, false]);
    expect(waits.map(({ isWanted }) => isWanted())).toEqual([false, true]);
    waits[1]?.end();
    expect(await isOver(reads[1])).toBe(true);
  });

  it("ends all waits with a new history", async () => {
    const { own, append } = makeLog(0);
    own.add("9");
    const read = own.whenRead();
    own.clear();
    expect(await isOver(read)).toBe(true);
    append("6");
    expect(own.whenRead()).toBeUndefined();
  });
});
