import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { encodeMessage } from "../../src/wire/encode.js";
import { FrameSlab, channelOf, idOf, storedBytes } from "../../src/wire/frame-slab.js";
import { sizeOf } from "../../src/wire/shared-frames.js";
import type { StoredFrame } from "../../src/wire/shared-frames.js";
import { Window } from "../../src/delivery/window.js";
import type { ChannelPositions } from "../../src/delivery/channel-set.js";
import type { PastFrame, Retention, Slice } from "../../src/delivery/window.js";
import { compareNumbered, numberedId } from "../memory-subscriber.js";

const RUNS = Number(process.env["FAST_CHECK_RUNS"] ?? 1_000);
const LARGE: Retention = { maxAgeMs: 1_000_000, maxEvents: 1_000_000, maxBytes: 1e9 };

function makeWindow(retention: Partial<Retention> = {}, tail = 0, hashBits?: number): Window {
  return new Window({ ...LARGE, ...retention }, numberedId(tail), compareNumbered, hashBits);
}

const slab = new FrameSlab();

/** A frame as delivery creates it, with its id as its data. */
function stored(id: string, channel: string, data = id): StoredFrame {
  return slab.write(encodeMessage({ id, data }), channel);
}

/** Appends entries on these channels, with their positions as ids. */
function append(window: Window, channels: readonly string[], now = 0): void {
  for (const channel of channels) {
    const id = numberedId(window.tail + 1);
    window.append(id, stored(id, channel), now);
  }
}

/** Appends one entry of this size. */
function appendBytes(window: Window, bytes: number, channel = "a"): void {
  const id = numberedId(window.tail + 1);
  const least = storedBytes(stored(id, channel, ""));
  let frame = stored(id, channel, "x".repeat(bytes - least));
  // A chunk's head grows with its size.
  const excess = storedBytes(frame) - bytes;
  if (excess > 0) frame = stored(id, channel, "x".repeat(bytes - least - excess));
  if (storedBytes(frame) !== bytes) throw new Error(`No frame takes ${bytes} bytes`);
  window.append(id, frame, 0);
}

function past(id: number, channel: string, at = 0): PastFrame {
  return { id: numberedId(id), frame: stored(numberedId(id), channel), at };
}

/** Numeric ids of all frames. */
function idsIn({ frames }: Slice): number[] {
  return frames.map((frame) => Number(idOf(frame).slice(2)));
}

function everything(...channels: string[]): ChannelPositions {
  return new Map(channels.map((channel) => [channel, undefined]));
}

/** Numeric ids of the events that a client would be sent. */
function after(window: Window, position: number, ...channels: string[]): number[] {
  return idsIn(window.slice(everything(...channels), position, Infinity));
}

const others = Array.from({ length: 20 }, (_, index) => `other ${index}`);

describe("a new window", () => {
  it("has a tail but no entries", () => {
    const window = makeWindow();
    expect(window).toMatchObject({ tail: 0, tailId: "e.0", first: 1, size: 0, bytes: 0 });
    expect(window.oldestAt).toBeUndefined();
    expect(window.slice(everything("a"), 0, 1_000)).toEqual({ frames: [], cursor: 0, last: 0 });
    expect(window.latestStarts(["a"], 5, 10, 0)).toEqual(new Map([["a", 0]]));
    expect(window.idAt(0)).toBe("e.0");
    expect(window.holdsAfter(0)).toBe(true);
    expect(window.isAging(0, 1e9)).toBe(false);
    expect(window.start).toEqual({ id: "e.0", isHeld: false });
    window.trim(1e9);
    expect(window.size).toBe(0);
  });
});

describe("window.append", () => {
  it("keeps exactly the memory that it was given, without a second copy", () => {
    const window = makeWindow();
    const frame = stored("e.1", "a");
    const entry = window.append("e.1", frame, 12.7);
    expect(entry).toEqual({ ...frame, position: 1, key: expect.any(Number), at: 12 });
    expect(entry.slab).toBe(frame.slab);
    expect([idOf(entry), channelOf(entry)]).toEqual(["e.1", "a"]);
    expect(window).toMatchObject({ tail: 1, tailId: "e.1", first: 1, size: 1, oldestAt: 12 });
  });

  it("counts all memory of an entry: the frame, its chunk and the name", () => {
    const window = makeWindow();
    append(window, ["a"]);
    const short = window.bytes;
    append(window, ["a".repeat(101)]);
    expect(window.bytes).toBe(2 * short + 100);
    const chunk = "e\r\nid: e.1\ndata: e.1\n\n\r\n".length;
    expect(short).toBeGreaterThan(chunk);
    expect(short).toBeLessThanOrEqual(chunk + 8);
  });

  it("gives each channel one unique key for as long as it has entries", () => {
    const window = makeWindow({ maxEvents: 50 }, 0, 2);
    const names = Array.from({ length: 30 }, (_, index) => `channel ${index}`);
    const keys = new Map<string, number>();
    for (let n = 0; n < 500; n++) {
      // Each of the thirty channels recurs before its last entry is dropped.
      const channel = names[n % 30] as string;
      const id = numberedId(window.tail + 1);
      const { key } = window.append(id, stored(id, channel), 0);
      expect(keys.get(channel) ?? key).toBe(key);
      keys.set(channel, key);
    }
    expect(new Set(keys.values()).size).toBe(30);
  });
});

describe("window.trim", () => {
  it("keeps at most maxEvents", () => {
    const window = makeWindow({ maxEvents: 3 });
    append(window, ["a", "a", "a", "a", "a"]);
    expect(window).toMatchObject({ size: 3, first: 3 });
    expect(after(window, 2, "a")).toEqual([3, 4, 5]);
  });

  it("keeps at most maxBytes, but always the newest entry", () => {
    const window = makeWindow({ maxBytes: 250 });
    for (const bytes of [100, 100, 100]) appendBytes(window, bytes);
    expect([window.size, window.bytes]).toEqual([2, 200]);
    appendBytes(window, 250);
    expect([window.size, window.bytes]).toEqual([1, 250]);
    appendBytes(window, 1_000);
    expect([window.size, window.bytes]).toEqual([1, 1_000]);
    appendBytes(window, 50);
    expect([window.size, window.bytes]).toEqual([1, 50]);
  });

  it("drops all entries that are too old, possibly all, and then its end is its start", () => {
    const window = makeWindow({ maxAgeMs: 100 });
    append(window, ["a"], 0);
    append(window, ["a"], 50);
    window.trim(100);
    expect(window.size).toBe(2);
    window.trim(100.5);
    expect(window).toMatchObject({ size: 1, first: 2 });
    expect([window.locate("e.1"), window.locate("e.2")]).toEqual([1, 2]);
    window.trim(1e9);
    expect(window).toMatchObject({ size: 0, bytes: 0, tail: 2, tailId: "e.2" });
    expect(window.oldestAt).toBeUndefined();
    expect([window.locate("e.1"), window.locate("e.2")]).toEqual(["trimmed", 2]);
    expect(window.start).toEqual({ id: "e.2", isHeld: false });
    expect(window.holdsAfter(2)).toBe(true);
    append(window, ["a"], 1e9);
    expect(after(window, 2, "a")).toEqual([3]);
  });

  it("frees the index of a channel without entries", () => {
    const window = makeWindow({ maxEvents: 10 });
    for (let n = 0; n < 5_000; n++) append(window, [`channel ${n}`]);
    for (let n = 0; n < 4_990; n++) expect(after(window, 0, `channel ${n}`)).toEqual([]);
    expect(after(window, 0, "channel 4999")).toEqual([5_000]);
  });
});

describe("channels whose names have the same hash", () => {
  it.each([[1], [2], [30]])("never get each other's entries (%d bits)", (bits) => {
    const window = makeWindow({ maxEvents: 40 }, 0, bits);
    const names = ["a", "b", "c", "user:1", "user:10", "é", "\u4e00", "\ud800", "\ud801", "\ufffd"];
    const seen: string[] = [];
    for (let n = 0; n < 1_000; n++) {
      const name = names[(n * 7 + (n >> 4)) % names.length] as string;
      append(window, [name]);
      seen.push(name);
      if (n % 37 !== 0) continue;
      for (const asked of [...names, "never", "use", "user:100"]) {
        const expected = seen
          .map((one, index) => (one === asked && index >= seen.length - 40 ? index + 1 : 0))
          .filter((id) => id > 0);
        expect(after(window, 0, asked), asked).toEqual(expected);
        expect(after(window, 0, asked, ...others), asked).toEqual(expected);
      }
    }
  });

  it("never hide losses of a client's own channel", () => {
    const window = makeWindow({ maxEvents: 2 }, 0, 1);
    const names = ["a", "b", "c", "d", "e", "f"];
    append(window, [...names, "x", "x"]);
    for (const [index, name] of names.entries()) {
      expect(window.holdsAfter(index, everything(name)), name).toBe(false);
      expect(window.locate(numberedId(index), everything(name)), name).toBe("trimmed");
    }
  });
});

describe("window.locate", () => {
  it.each([1, 3, 10])(
    "replays to a client that has missed exactly the %d kept events",
    (maxEvents) => {
      const window = makeWindow({ maxEvents });
      append(window, ["a"]);
      for (let n = 0; n < maxEvents; n++) append(window, ["a"]);
      expect(window.locate("e.1")).toBe(1);
      expect(after(window, 1, "a")).toHaveLength(maxEvents);
      append(window, ["a"]);
      expect(window.locate("e.1")).toBe("trimmed");
    },
  );

  it("finds the origin while nothing after it was trimmed", () => {
    const window = makeWindow({ maxEvents: 2 });
    append(window, ["a", "a"]);
    expect(window.locate("e.0")).toBe(0);
    append(window, ["a"]);
    expect(window.locate("e.0")).toBe("trimmed");
  });

  it("finds every entry, including the first, the tail and the one before", () => {
    const window = makeWindow({ maxEvents: 3 });
    append(window, ["a", "b", "a", "c", "a"]);
    expect(["e.2", "e.3", "e.4", "e.5"].map((id) => window.locate(id))).toEqual([2, 3, 4, 5]);
    expect(window.locate("e.1")).toBe("trimmed");
  });

  it.each([
    ["from the future", "e.6", "unknown"],
    ["from far in the future", "e.999999999999", "unknown"],
    ["of another log", "f.3", "unknown"],
    ["empty", "", "unknown"],
    ["garbage", "\0\u{1F600}\ud800'\"", "unknown"],
    ["the name of a property", "__proto__", "unknown"],
    ["10 KB long", `e.${"1".repeat(10_240)}`, "unknown"],
    ["10 KB long with the right beginning", `e.4${" ".repeat(10_240)}`, "unknown"],
  ])("returns for an id that is %s", (_name, id, place) => {
    const window = makeWindow({ maxEvents: 3 });
    append(window, ["a", "b", "a", "c", "a"]);
    expect(window.locate(id)).toBe(place);
    expect(window.locate(id, everything("quiet"))).toBe(place);
    window.trim(1e9);
    expect(window.locate(id, everything("quiet"))).toBe(place);
  });

  it("treats an id between two entries as foreign", () => {
    const window = makeWindow();
    for (const id of ["e.10", "e.20", "e.30"]) window.append(id, stored(id, "a"), 0);
    expect(window.locate("e.20")).toBe(2);
    expect(window.locate("e.15")).toBe("unknown");
    expect(window.locate("e.5")).toBe("trimmed");
    expect(window.locate("e.31")).toBe("unknown");
  });

  it("treats an id between the start of the window and its first entry as foreign, also for a quiet channel", () => {
    const window = makeWindow({ maxEvents: 1 }, 10);
    const quiet = everything("quiet");
    window.append("e.12", stored("e.12", "a"), 0);
    expect([window.locate("e.10", quiet), window.locate("e.11", quiet)]).toEqual([0, "trimmed"]);
    window.append("e.14", stored("e.14", "a"), 0);
    expect([window.locate("e.12", quiet), window.locate("e.13", quiet)]).toEqual([1, "trimmed"]);
    // Dropped by now, and no entry of the channel is among them.
    expect(window.locate("e.10", quiet)).toBe(1);
  });

  it("checks few entries, however many there are", () => {
    const compare = vi.fn<typeof compareNumbered>(compareNumbered);
    const window = new Window(LARGE, "e.0", compare);
    append(
      window,
      Array.from({ length: 100_000 }, () => "a"),
    );
    compare.mockClear();
    expect(window.locate("e.99990")).toBe(99_990);
    expect(compare.mock.calls.length).toBeLessThan(25);
  });
});

describe("a client of a quiet channel", () => {
  /** A channel with occasional events among many of others, in a window of two seconds. */
  function busy(): Window {
    const window = makeWindow({ maxAgeMs: 2_000 });
    for (let now = 0; now <= 20_000; now += 10) {
      const isQuiet = now % 7_000 === 0;
      append(window, [isQuiet ? "quiet" : `other ${now % 50}`], now);
    }
    return window;
  }

  it("has missed nothing, however much was dropped since its last event", () => {
    const window = busy();
    const last = 1 + 14_000 / 10;
    expect(window.first).toBeGreaterThan(last + 300);
    // Its last event, and positions that cursor events have given it since.
    for (const id of [last, last + 1, last + 200, window.first - 2]) {
      expect(window.locate(numberedId(id)), String(id)).toBe("trimmed");
      expect(window.locate(numberedId(id), everything("quiet"))).toBe(window.first - 1);
      expect(window.holdsAfter(id, everything("quiet"))).toBe(true);
      expect(window.holdsAfter(id)).toBe(false);
    }
  });

  it("has missed dropped events of its own channel", () => {
    const window = busy();
    const last = 1 + 14_000 / 10;
    expect(window.locate(numberedId(last - 1), everything("quiet"))).toBe("trimmed");
    expect(window.holdsAfter(last - 1, everything("quiet"))).toBe(false);
    expect(window.locate(numberedId(last), everything("quiet", "other 10"))).toBe("trimmed");
    expect(window.holdsAfter(last, everything("other 10", "quiet"))).toBe(false);
  });

  it("has missed nothing published before it joined a channel", () => {
    const window = busy();
    const joined = new Map([
      ["quiet", undefined],
      ["other 10", window.first - 1],
    ]);
    const last = 1 + 14_000 / 10;
    expect(window.holdsAfter(last, joined)).toBe(true);
    expect(window.locate(numberedId(last), joined)).toBe(window.first - 1);
  });

  it("has missed nothing after a silence and a burst of events of others", () => {
    const window = makeWindow({ maxEvents: 100, maxAgeMs: 10_000 });
    const names = Array.from({ length: 100 }, (_, index) => `user:${index}`);
    append(window, names, 0);
    append(
      window,
      Array.from({ length: 5_000 }, () => "burst"),
      60_000,
    );
    for (const [index, name] of names.entries()) {
      expect(window.locate(numberedId(index + 1), everything(name)), name).toBe(window.first - 1);
      expect(window.holdsAfter(index + 1, everything(name)), name).toBe(true);
    }
    expect(after(window, window.first - 1, "user:5")).toEqual([]);
  });

  it("is found even if it has never had an event", () => {
    const window = makeWindow({ maxEvents: 5 });
    append(
      window,
      Array.from({ length: 50 }, () => "other"),
    );
    expect(window.locate("e.0", everything("never"))).toBe(window.first - 1);
    expect(window.holdsAfter(0, everything("never"))).toBe(true);
  });

  it("is remembered among as many channels as events are kept, but not beyond", () => {
    const window = makeWindow({ maxEvents: 10 });
    append(window, ["quiet"]);
    for (let n = 0; n < 19; n++) append(window, [`other ${n}`]);
    expect(window.locate("e.1", everything("quiet"))).toBe(10);
    append(window, ["other 19"]);
    // Eleven channels have lost their only entry and the first of them is forgotten, so it may be any channel.
    expect(window.locate("e.1", everything("quiet"))).toBe(11);
    expect(window.locate("e.0", everything("quiet"))).toBe("trimmed");
    expect(window.locate("e.0", everything("never"))).toBe("trimmed");
    append(window, ["other 20"]);
    expect(window.locate("e.1", everything("quiet"))).toBe("trimmed");
    expect(window.holdsAfter(1, everything("quiet"))).toBe(false);
    expect(window.locate("e.2", everything("quiet"))).toBe(12);
  });

  it("is remembered while one channel is busy, however long", () => {
    const window = makeWindow({ maxEvents: 4 });
    append(window, ["quiet"]);
    for (let n = 0; n < 1_000; n++) append(window, [`busy ${n % 3}`]);
    expect(window.locate("e.1", everything("quiet"))).toBe(window.first - 1);
  });
});

describe("window.idAt", () => {
  it("returns the ids of its positions, of the one before and of the tail", () => {
    const window = makeWindow({ maxEvents: 3 });
    expect(window.idAt(0)).toBe("e.0");
    append(window, ["a", "a", "b", "a"]);
    const ids = [0, 1, 2, 3, 4, 5].map((position) => window.idAt(position));
    expect(ids).toEqual([undefined, "e.1", "e.2", "e.3", "e.4", undefined]);
  });
});

describe("window.holdsAfter", () => {
  it("is true for positions after which nothing was trimmed", () => {
    const window = makeWindow({ maxEvents: 2 });
    append(window, ["a", "a"]);
    expect(window.holdsAfter(0)).toBe(true);
    append(window, ["a"]);
    const held = [0, 1, 2, 3].map((position) => window.holdsAfter(position));
    expect(held).toEqual([false, true, true, true]);
  });
});

describe("window.prepend", () => {
  const PAST = [past(98, "a"), past(99, "b"), past(100, "a")];

  /** A window that begins after e.100 and has `e.101` and `e.102`. */
  function begun(retention: Partial<Retention> = {}): Window {
    const window = makeWindow(retention, 100);
    for (const [id, channel] of [["e.101", "a"] as const, ["e.102", "b"] as const]) {
      window.append(id, stored(id, channel), 0);
    }
    return window;
  }

  it("puts entries before the first, with descending positions", () => {
    const window = begun();
    expect(window.start).toEqual({ id: "e.100", isHeld: false });
    const { bytes } = window;
    expect(window.prepend(PAST, "e.97", 0)).toBe(true);
    expect(window.start).toEqual({ id: "e.97", isHeld: false });
    expect(window).toMatchObject({ tail: 2, first: -2, size: 5 });
    expect(window.bytes).toBe(bytes + PAST.reduce((sum, { frame }) => sum + storedBytes(frame), 0));
    expect(after(window, -3, "a", "b")).toEqual([98, 99, 100, 101, 102]);
    expect(after(window, -1, "a", "b")).toEqual([100, 101, 102]);
    expect(after(window, -3, "b")).toEqual([99, 102]);
    expect(after(window, -3, "b", ...others)).toEqual([99, 102]);
    expect(window.idAt(-3)).toBe("e.97");
    expect(window.locate("e.99")).toBe(-1);
    expect(window.holdsAfter(-3)).toBe(true);
    expect(window.holdsAfter(-4)).toBe(false);
    expect(window.latestStarts(["a"], 2, 10).get("a")).toBe(-1);
  });

  it("continues from its start, and holds its first entry if no older id may be reported", () => {
    const window = makeWindow({}, 100);
    window.prepend(PAST.slice(1), undefined, 0);
    expect(window.start).toEqual({ id: "e.99", isHeld: true });
    expect(window.locate("e.98", everything("c"))).toBe("trimmed");
    window.prepend(PAST.slice(0, 1), undefined, 0);
    expect(window.start).toEqual({ id: "e.98", isHeld: true });
    expect(after(window, -3, "a", "b")).toEqual([98, 99, 100]);
  });

  it("takes the newest entries that fit, by number, bytes and age, and begins after the next", () => {
    const each = storedBytes((PAST[1] as PastFrame).frame);
    const old = [past(98, "a", 0), past(99, "b", 10), past(100, "a", 11)];
    const limits: [Partial<Retention>, number, number][] = [
      [{ maxEvents: 2 }, 0, 2],
      [{ maxBytes: 2 * each + 5 }, 0, 2],
      [{ maxAgeMs: 10 }, 11, 2],
      [{ maxAgeMs: 10 }, 21, 1],
      [{ maxAgeMs: 10 }, 22, 0],
    ];
    for (const [retention, now, size] of limits) {
      const window = makeWindow(retention, 100);
      expect(window.prepend(old, "e.97", now), JSON.stringify(retention)).toBe(false);
      expect(window.size).toBe(size);
      expect(window.start).toEqual({ id: numberedId(100 - size), isHeld: false });
      expect(window.locate(numberedId(100 - size))).toBe(window.first - 1);
      expect(after(window, window.first - 1, "a", "b")).toHaveLength(size);
    }
  });

  it("drops the oldest first, as always", () => {
    const window = makeWindow({ maxEvents: 4 }, 100);
    window.prepend(PAST, "e.97", 0);
    for (const id of ["e.101", "e.102"]) window.append(id, stored(id, "a"), 0);
    expect(window.size).toBe(4);
    expect(window.start).toEqual({ id: "e.98", isHeld: false });
    expect(window.holdsAfter(-3)).toBe(false);
    expect(after(window, -2, "a")).toEqual([100, 101, 102]);
  });

  it("forgets dropped entries before the new start", () => {
    const window = makeWindow({ maxEvents: 3 }, 100);
    for (let id = 101; id <= 108; id++) append(window, ["a"]);
    // `append` counts from 1: the ids do not matter here.
    window.reset("e.200");
    window.prepend([past(199, "a"), past(200, "b")], "e.198", 0);
    expect(window.locate("e.197", everything("c"))).toBe("trimmed");
    expect(window.locate("e.198", everything("c"))).toBe(window.first - 1);
    expect(window.holdsAfter(window.first - 2, everything("c"))).toBe(false);
  });

  it("distinguishes channels whose names have the same hash", () => {
    const window = makeWindow({}, 100, 1);
    const names = ["a", "b", "c", "d", "e", "f"];
    window.prepend(
      names.map((name, index) => past(95 + index, name)),
      "e.94",
      0,
    );
    window.prepend(
      names.map((name, index) => past(89 + index, name)),
      "e.88",
      0,
    );
    for (const [index, name] of names.entries()) {
      expect(after(window, -100, name)).toEqual([89 + index, 95 + index]);
    }
  });
});

describe("window.turnoverMs", () => {
  it("is infinite without new entries", () => {
    expect(makeWindow().turnoverMs(5)).toBe(Infinity);
  });

  it("is the time to fill the window at the present rate, by number or bytes", () => {
    const byNumber = makeWindow({ maxEvents: 10 });
    append(byNumber, ["a", "a", "a", "a", "a"], 100);
    expect(byNumber.turnoverMs(200)).toBe(200);
    const byBytes = makeWindow({ maxBytes: 200 });
    for (let n = 0; n < 2; n++) appendBytes(byBytes, 50);
    expect(byBytes.turnoverMs(200)).toBe(400);
  });
});

describe("window.isAging", () => {
  it("is false at the tail, however old", () => {
    const window = makeWindow({ maxAgeMs: 10 });
    append(window, ["a"]);
    expect(window.isAging(1, 1e9)).toBe(false);
  });

  it("is true in the older half by age of the next entry", () => {
    const window = makeWindow({ maxAgeMs: 100 });
    append(window, ["a"], 0);
    append(window, ["a"], 40);
    expect(window.isAging(1, 90)).toBe(false);
    expect(window.isAging(1, 91)).toBe(true);
  });

  it("is true in the older half by number", () => {
    const window = makeWindow({ maxEvents: 10 });
    append(window, ["a", "a", "a", "a", "a", "a"]);
    expect(window.isAging(1, 0)).toBe(false);
    expect(window.isAging(0, 0)).toBe(true);
  });

  it("is true in the older half by bytes", () => {
    const window = makeWindow({ maxBytes: 1_000 });
    for (const bytes of [100, 100, 450]) appendBytes(window, bytes);
    expect(window.isAging(2, 0)).toBe(false);
    expect(window.isAging(1, 0)).toBe(true);
    appendBytes(window, 900);
    expect(window.isAging(3, 0)).toBe(true);
    expect(window.isAging(4, 0)).toBe(false);
  });

  it("is true for trimmed positions", () => {
    const window = makeWindow({ maxEvents: 4 });
    append(
      window,
      Array.from({ length: 20 }, () => "a"),
    );
    expect(window.isAging(3, 0)).toBe(true);
  });
});

describe("window.slice", () => {
  it("returns the entries of one channel after a position", () => {
    const window = makeWindow();
    append(window, ["a", "b", "a", "b", "a"]);
    const slice = window.slice(everything("a"), 1, 1_000);
    expect(slice).toMatchObject({ cursor: 5, last: 5 });
    expect(idsIn(slice)).toEqual([3, 5]);
  });

  it("moves the cursor to the tail if entries of others come last", () => {
    const window = makeWindow();
    append(window, ["a", "b"]);
    expect(window.slice(everything("a"), 0, 1_000)).toMatchObject({ cursor: 2, last: 1 });
    expect(window.slice(everything("c"), 0, 1_000)).toEqual({ frames: [], cursor: 2, last: 0 });
    expect(window.slice(new Map(), 0, 1_000)).toEqual({ frames: [], cursor: 2, last: 0 });
  });

  it.each([
    ["few", ["a"]],
    ["more than 16", ["a", ...others]],
  ])("does not exceed the given position, with %s channels", (_name, channels) => {
    const window = makeWindow();
    append(window, ["a", "b", "a", "b", "a"]);
    const slice = window.slice(everything(...channels), 0, 1_000, 4);
    expect(idsIn(slice)).toEqual([1, 3]);
    expect(slice).toMatchObject({ cursor: 4, last: 3 });
    expect(window.slice(everything(...channels), 4, 1_000, 3)).toEqual({
      frames: [],
      cursor: 4,
      last: 0,
    });
  });

  it("merges several channels in log order", () => {
    const window = makeWindow();
    append(window, ["b", "a", "c", "b", "a", "a", "b"]);
    expect(after(window, 1, "a", "b", "never")).toEqual([2, 4, 5, 6, 7]);
  });

  it("returns the same for more than 16 channels", () => {
    const window = makeWindow({ maxEvents: 30 });
    const mixed = Array.from({ length: 40 }, (_, n) =>
      n % 3 === 0 ? "one more" : (others[n % 20] as string),
    );
    append(window, mixed);
    const expected = mixed.flatMap((name, index) =>
      name === "one more" || index < 12 ? [] : [index + 1],
    );
    expect(after(window, 12, ...others)).toEqual(expected);
  });

  it.each([
    ["few", ["a", "b"]],
    ["more than 16", ["a", "b", ...others]],
  ])("includes each of %s channels only after its own start", (_name, channels) => {
    const window = makeWindow();
    append(window, ["a", "b", "a", "b", "a", "b"]);
    const since = new Map(channels.map((name) => [name, name === "b" ? 4 : 1]));
    expect(idsIn(window.slice(since, 0, 1_000))).toEqual([3, 5, 6]);
    expect(idsIn(window.slice(since, 5, 1_000))).toEqual([6]);
  });

  it("stops before the byte limit, and continues from there", () => {
    const window = makeWindow();
    append(window, ["a", "b", "a", "a"]);
    const two = 2 * sizeOf([stored("e.1", "a")]);
    const first = window.slice(everything("a"), 0, two);
    expect([idsIn(first), first.cursor, first.last]).toEqual([[1, 3], 3, 3]);
    const second = window.slice(everything("a"), first.cursor, two);
    expect([idsIn(second), second.cursor, second.last]).toEqual([[4], 4, 4]);
  });

  it("returns a single frame that exceeds the limit alone", () => {
    const window = makeWindow();
    for (const bytes of [50, 1_000, 50]) appendBytes(window, bytes);
    const taken: number[][] = [];
    for (let cursor = 0; cursor < window.tail;) {
      const slice = window.slice(everything("a"), cursor, 200);
      taken.push(idsIn(slice));
      ({ cursor } = slice);
    }
    expect(taken).toEqual([[1], [2], [3]]);
  });

  it("begins with the first entry for a position that was trimmed", () => {
    const window = makeWindow({ maxEvents: 2 });
    append(window, ["a", "a", "a"]);
    expect(after(window, 0, "a")).toEqual([2, 3]);
    expect(after(window, 0, "a", ...others)).toEqual([2, 3]);
  });
});

describe("window.latestStarts", () => {
  it.each([
    ["few", []],
    ["more than 16", others],
  ])("is where the newest entries of each of %s channels begin", (_name, more) => {
    const window = makeWindow();
    append(window, ["a", "b", "a", "c", "b", "a"]);
    const newest = (
      channels: string[],
      count: number,
      upTo = window.tail,
      most = 100,
    ): number[] => {
      const starts = window.latestStarts([...channels, ...more], count, most, upTo);
      const first = Math.min(upTo, ...starts.values());
      return idsIn(window.slice(starts, first, Infinity, upTo));
    };
    expect(newest(["a"], 2)).toEqual([3, 6]);
    expect(newest(["a", "b"], 2)).toEqual([2, 3, 5, 6]);
    expect(newest(["a", "c"], 1)).toEqual([4, 6]);
    expect(newest(["a", "b", "never"], 100)).toEqual([1, 2, 3, 5, 6]);
    expect(newest(["a", "b"], 1, 5)).toEqual([3, 5]);
    expect(newest(["a", "a"], 2)).toEqual([3, 6]);
    expect(newest(["a"], 0)).toEqual([]);
    expect(newest([], 3)).toEqual([]);
    // The newest of all channels together.
    expect(newest(["a", "b"], 2, 6, 3)).toEqual([3, 5, 6]);
    expect(newest(["a", "b", "c"], 3, 6, 4)).toEqual([3, 4, 5, 6]);
    expect(newest(["a", "b"], 3, 5, 2)).toEqual([3, 5]);
  });

  it("reports whether all of them are in the window", () => {
    const window = makeWindow();
    append(window, ["a", "b", "a", "c"]);
    expect(window.hasLatest(["a"], 2, 100, 4)).toBe(true);
    expect(window.hasLatest(["a"], 3, 100, 4)).toBe(false);
    expect(window.hasLatest(["a"], 2, 100, 2)).toBe(false);
    expect(window.hasLatest(["a", "b"], 2, 100, 4)).toBe(false);
    expect(window.hasLatest(["a", "b"], 2, 3, 4)).toBe(true);
    expect(window.hasLatest([], 2, 3, 4)).toBe(true);
  });
});

describe("window.reset", () => {
  it("voids all positions and continues after the new tail", () => {
    const window = makeWindow();
    append(window, ["a", "a"]);
    window.reset("e.50");
    expect(window).toMatchObject({ tailId: "e.50", size: 0, bytes: 0 });
    expect(window.holdsAfter(2)).toBe(false);
    expect(window.holdsAfter(2, everything("quiet"))).toBe(false);
    expect(window.holdsAfter(window.tail)).toBe(true);
    expect(window.locate("e.2")).toBe("trimmed");
    expect(window.locate("e.2", everything("quiet"))).toBe("trimmed");
    expect(window.locate("e.50")).toBe(window.tail);
    expect(window.idAt(window.tail)).toBe("e.50");
    const { tail } = window;
    expect(window.latestStarts(["a"], 5, 10, tail).get("a")).toBe(tail);
    window.append("e.51", stored("e.51", "a"), 0);
    expect(after(window, tail, "a")).toEqual([51]);
    expect(window.locate("e.50")).toBe(tail);
    expect(window.locate("e.51")).toBe(tail + 1);
  });

  it("treats ids past the new tail as unknown, because they belong to the lost history", () => {
    const window = makeWindow();
    append(window, ["a", "a", "a"]);
    window.reset("e.1");
    expect(window.locate("e.3")).toBe("unknown");
    expect(window.locate("e.0")).toBe("trimmed");
  });

  it("may be called twice", () => {
    const window = makeWindow();
    window.reset("e.5");
    const { tail } = window;
    window.reset("e.6");
    expect(window.holdsAfter(tail)).toBe(false);
    expect(window.locate("e.6")).toBe(window.tail);
  });
});

interface NaiveEntry {
  readonly position: number;
  readonly id: number;
  readonly channel: string;
  readonly bytes: number;
  readonly at: number;
}

/** The same with arrays: simple, slow, and without forgetting dropped entries. */
class NaiveWindow {
  entries: NaiveEntry[] = [];
  dropped: NaiveEntry[] = [];
  tail = 0;
  tailId: number;
  /** Position and id of the place before everything known. */
  floor: { position: number; id: number };
  readonly retention: Retention;

  constructor(retention: Retention, tailId: number) {
    this.retention = retention;
    this.tailId = tailId;
    this.floor = { position: 0, id: tailId };
  }

  get first(): number {
    return this.entries[0]?.position ?? this.tail + 1;
  }

  get bytes(): number {
    return this.entries.reduce((sum, entry) => sum + entry.bytes, 0);
  }

  append(channel: string, bytes: number, at: number): void {
    this.tail += 1;
    this.tailId += 1;
    this.entries.push({ position: this.tail, id: this.tailId, channel, bytes, at });
    this.trim(at);
  }

  /** @param past - Entries directly before the first, oldest first. */
  prepend(entries: readonly Omit<NaiveEntry, "position">[], now: number): void {
    const { maxAgeMs, maxEvents, maxBytes } = this.retention;
    let added = 0;
    for (const entry of entries.toReversed()) {
      const isOver = this.entries.length >= maxEvents || this.bytes + entry.bytes > maxBytes;
      if (isOver || now - entry.at > maxAgeMs) break;
      this.entries.unshift({ ...entry, position: this.first - 1 });
      added += 1;
    }
    if (added === 0) return;
    this.dropped = [];
    this.floor = { position: this.first - 1, id: (this.entries[0] as NaiveEntry).id - 1 };
  }

  trim(now: number): void {
    const { maxAgeMs, maxEvents, maxBytes } = this.retention;
    for (;;) {
      const [first] = this.entries;
      if (first === undefined) return;
      const isOver = this.entries.length > maxEvents || this.bytes > maxBytes;
      if (!(isOver && this.entries.length > 1) && now - first.at <= maxAgeMs) return;
      this.entries.shift();
      this.dropped.push(first);
    }
  }

  reset(): void {
    this.entries = [];
    this.dropped = [];
    this.tail += 1;
    this.tailId += 10;
    this.floor = { position: this.tail, id: this.tailId };
  }

  /** @param channels - `undefined` for all. */
  holdsAfter(position: number, channels: ReadonlyMap<string, number> | undefined): boolean {
    if (channels === undefined) {
      return (
        position >= this.floor.position && !this.dropped.some((entry) => entry.position > position)
      );
    }
    return [...channels].every(([channel, start]) => {
      const from = Math.max(position, start);
      const isMissed = this.dropped.some(
        (entry) => entry.channel === channel && entry.position > from,
      );
      return from >= this.floor.position && !isMissed;
    });
  }

  locate(
    id: number,
    channels: ReadonlyMap<string, number> | undefined,
  ): number | "trimmed" | "unknown" {
    if (id > this.tailId) return "unknown";
    // After the floor ids have no gaps. Before it only channels with a later start are known.
    const position = id < this.floor.id ? -Infinity : this.tail - (this.tailId - id);
    if (position >= this.first - 1) return position;
    return this.holdsAfter(position, channels) ? this.first - 1 : "trimmed";
  }

  after(channels: ReadonlyMap<string, number>, position: number): NaiveEntry[] {
    return this.entries.filter(
      (entry) => entry.position > Math.max(position, channels.get(entry.channel) ?? Infinity),
    );
  }
}

describe("A window and a plain array", () => {
  const names = ["a", "b", "user:1", "user:10", "\u4e00", "\ud800x", "\ud801x"];
  const channel = fc.constantFrom(...names);
  const action = fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({ append: channel, bytes: fc.integer({ min: 0, max: 90 }) }),
    },
    { weight: 10, arbitrary: fc.record({ wait: fc.integer({ min: 0, max: 15 }) }) },
    { weight: 5, arbitrary: fc.record({ trim: fc.constant(true) }) },
    { weight: 3, arbitrary: fc.record({ burst: fc.integer({ min: 10, max: 200 }) }) },
    {
      weight: 3,
      arbitrary: fc.record({ prepend: fc.array(channel, { minLength: 1, maxLength: 20 }) }),
    },
    { weight: 1, arbitrary: fc.record({ reset: fc.constant(true) }) },
  );
  const limits = fc.record({
    maxAgeMs: fc.constantFrom(5, 30, 1_000),
    // Remembers as many channels as events are kept: fewer than exist would blur the result.
    maxEvents: fc.constantFrom(names.length, 12, 20, 1_000),
    maxBytes: fc.constantFrom(1, 200, 2_000, 1_000_000),
  });
  const query = fc.record({
    channels: fc.uniqueArray(fc.tuple(channel, fc.nat(60)), { selector: ([name]) => name }),
    hasMany: fc.boolean(),
    after: fc.nat(40),
    upTo: fc.nat(10),
    maxBytes: fc.constantFrom(1, 80, 300, 10_000),
    count: fc.nat(10),
  });
  const BEGIN = 1_000;

  it("have the same content, whatever is appended, prepended, trimmed, reset and queried", () => {
    fc.assert(
      fc.property(
        limits,
        fc.array(action, { maxLength: 40 }),
        query,
        fc.constantFrom(1, 2, 30),
        (retention, actions, asked, bits) => {
          const window = makeWindow(retention, BEGIN, bits);
          const naive = new NaiveWindow(retention, BEGIN);
          let now = 0;
          const make = (id: number, name: string, size: number): StoredFrame =>
            stored(numberedId(id), name, "x".repeat(size));
          const add = (name: string, size: number): void => {
            const frame = make(naive.tailId + 1, name, size);
            naive.append(name, storedBytes(frame), now);
            window.append(numberedId(naive.tailId), frame, now);
          };
          for (const one of actions) {
            if ("append" in one) add(one.append, one.bytes);
            else if ("wait" in one) now += one.wait;
            else if ("burst" in one) {
              for (let n = 0; n < one.burst; n++) add(names[n % 5] as string, 3);
            } else if ("prepend" in one) {
              // The place before the first entry, whether or not it was here before.
              const end = naive.tailId - (naive.tail - naive.first + 1);
              const at = naive.entries[0]?.at ?? now;
              const before = one.prepend.map((name, index) => {
                const id = end - one.prepend.length + 1 + index;
                return { id, channel: name, frame: make(id, name, 5), at };
              });
              window.prepend(
                before.map(({ id, frame }) => ({ id: numberedId(id), frame, at })),
                numberedId(end - before.length),
                now,
              );
              naive.prepend(
                before.map(({ frame, ...entry }) => ({ ...entry, bytes: storedBytes(frame) })),
                now,
              );
            } else if ("reset" in one) {
              naive.reset();
              window.reset(numberedId(naive.tailId));
            } else {
              naive.trim(now);
              window.trim(now);
            }
          }
          expect(window).toMatchObject({
            tail: naive.tail,
            tailId: numberedId(naive.tailId),
            first: naive.first,
            size: naive.entries.length,
            bytes: naive.bytes,
          });
          expect(window.oldestAt).toBe(naive.entries[0]?.at);
          for (const entry of naive.entries.slice(0, 3)) {
            expect(window.idAt(entry.position)).toBe(numberedId(entry.id));
          }
          const newer = naive.entries.filter(({ position }) => position > naive.tail - 10);
          for (const { position } of newer) {
            const rest = naive.entries.filter((entry) => entry.position > position);
            const isOlderHalf =
              rest.length > retention.maxEvents / 2 ||
              rest.reduce((sum, { bytes }) => sum + bytes, 0) > retention.maxBytes / 2 ||
              now - (rest[0]?.at ?? now) > retention.maxAgeMs / 2;
            expect(window.isAging(position, now), `isAging ${position}`).toBe(isOlderHalf);
          }
          const base = Math.max(naive.first - 20, naive.tail - 40);
          const channels = new Map<string, number>(
            asked.channels.map(([name, start]) => [name, base + start - 20]),
          );
          const withMany = new Map(channels);
          if (asked.hasMany) for (const name of others) withMany.set(name, 0);
          // Dropped entries are distinguished by hash alone, which errs on the side of a reset.
          const isExact = bits === 30;
          for (let id = naive.tailId - 60; id <= naive.tailId + 2; id++) {
            const label = `locate ${id}`;
            expect(window.locate(numberedId(id)), label).toBe(naive.locate(id, undefined));
            const place = window.locate(numberedId(id), withMany);
            if (isExact || place !== "trimmed")
              expect(place, label).toBe(naive.locate(id, withMany));
          }
          for (let position = naive.tail - 60; position <= naive.tail; position++) {
            const label = `holdsAfter ${position}`;
            expect(window.holdsAfter(position), label).toBe(naive.holdsAfter(position, undefined));
            const isHeld = window.holdsAfter(position, withMany);
            if (isExact || isHeld) {
              expect(isHeld, label).toBe(naive.holdsAfter(position, withMany));
            }
          }
          const upTo = naive.tail - asked.upTo;
          const from = Math.min(base + asked.after, upTo);
          const isUpTo = ({ position }: NaiveEntry): boolean => position <= upTo;
          const expected = naive.after(channels, from).filter(isUpTo);
          const actual: number[] = [];
          for (let cursor = from; ;) {
            const slice = window.slice(withMany, cursor, asked.maxBytes, upTo);
            const isSmall = sizeOf(slice.frames) <= asked.maxBytes;
            expect(slice.frames.length === 1 || isSmall).toBe(true);
            const taken = expected.slice(actual.length, actual.length + slice.frames.length);
            expect(slice.last).toBe(taken.at(-1)?.position ?? 0);
            actual.push(...idsIn(slice));
            if (slice.cursor >= upTo) break;
            expect(slice.cursor).toBeGreaterThan(cursor);
            ({ cursor } = slice);
          }
          expect(actual).toEqual(expected.map(({ id }) => id));
          const starts = window.latestStarts(withMany.keys(), asked.count, Infinity, upTo);
          const first = Math.min(upTo, ...starts.values());
          const ofEach = [...channels.keys()].flatMap((name) =>
            naive
              .after(new Map([[name, -Infinity]]), -Infinity)
              .filter(isUpTo)
              .slice(asked.count === 0 ? Infinity : -asked.count),
          );
          expect(idsIn(window.slice(starts, first, Infinity, upTo))).toEqual(
            ofEach.toSorted((a, b) => a.position - b.position).map(({ id }) => id),
          );
          const has = window.hasLatest(channels.keys(), asked.count, Infinity, upTo);
          expect(has).toBe(ofEach.length === channels.size * asked.count);
        },
      ),
      { numRuns: Math.ceil(RUNS / 4) },
    );
  });
});
