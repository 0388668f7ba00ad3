import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { sizeOf } from "../../src/wire/shared-frames.js";
import type { StoredFrame } from "../../src/wire/shared-frames.js";
import { Window } from "../../src/delivery/window.js";
import type { Retention, Slice } from "../../src/delivery/window.js";
import { compareNumbered, numberedId } from "../memory-subscriber.js";

const RUNS = Number(process.env["FAST_CHECK_RUNS"] ?? 2_000);
const LARGE: Retention = { maxAgeMs: 1_000_000, maxEvents: 1_000_000, maxBytes: 1e9 };

function makeWindow(retention: Partial<Retention> = {}): Window {
  return new Window({ ...LARGE, ...retention }, numberedId(0), compareNumbered);
}

/** Appends entries, each a channel; their frames name their positions. */
function append(window: Window, channels: readonly string[], now = 0): void {
  for (const channel of channels) {
    const position = window.tail + 1;
    window.append(numberedId(position), channel, stored(Buffer.from(`<${position}>`)), now);
  }
}

/** Appends one entry of so many bytes. */
function appendBytes(window: Window, bytes: number, channel = "a"): void {
  window.append(numberedId(window.tail + 1), channel, stored(Buffer.alloc(bytes)), 0);
}

/** A frame that has its memory for itself. */
function stored(slab: Buffer): StoredFrame {
  return { slab, start: 0, end: slab.byteLength };
}

function textOf({ frames }: Slice): string {
  return frames.map(({ slab, start, end }) => slab.toString("utf8", start, end)).join("");
}

function everything(...channels: string[]): Map<string, number> {
  return new Map(channels.map((channel) => [channel, 0]));
}

describe("a new window", () => {
  it("has a tail but no entries", () => {
    const window = makeWindow();
    expect(window).toMatchObject({ tail: 0, tailId: "e.0", size: 0, bytes: 0 });
    expect(window.oldestAt).toBeUndefined();
    expect(window.slice(everything("a"), 0, 1_000)).toEqual({ frames: [], cursor: 0, last: 0 });
    expect(window.latest(["a"], 5)).toEqual([]);
    expect(window.idAt(0)).toBe("e.0");
    expect(window.holdsAfter(0)).toBe(true);
    expect(window.isAging(0, 1e9)).toBe(false);
    window.trim(1e9);
    expect(window.size).toBe(0);
  });
});

describe("window.append", () => {
  it("counts positions, bytes and time", () => {
    const window = makeWindow();
    const entry = window.append("e.7", "a", stored(Buffer.from("frame")), 12);
    expect(entry).toEqual({
      position: 1,
      id: "e.7",
      channel: "a",
      ...stored(Buffer.from("frame")),
      at: 12,
      endByte: 5,
    });
    appendBytes(window, 10);
    expect(window).toMatchObject({ tail: 2, tailId: "e.2", size: 2, bytes: 15, oldestAt: 12 });
  });

  it("keeps the very memory that it was given", () => {
    const window = makeWindow();
    const slab = Buffer.from("-x-");
    window.append("e.1", "a", { slab, start: 1, end: 2 }, 0);
    const [frame] = window.slice(everything("a"), 0, 1).frames;
    expect(frame?.slab).toBe(slab);
    expect(frame).toMatchObject({ start: 1, end: 2 });
  });
});

describe("window.trim", () => {
  it("keeps at most maxEvents", () => {
    const window = makeWindow({ maxEvents: 3 });
    append(window, ["a", "a", "a", "a", "a"]);
    expect(window.size).toBe(3);
    expect(textOf(window.slice(everything("a"), 2, 1_000))).toBe("<3><4><5>");
  });

  it("keeps at most maxBytes, but always the newest", () => {
    const window = makeWindow({ maxBytes: 25 });
    for (const bytes of [10, 10, 10]) appendBytes(window, bytes);
    expect([window.size, window.bytes]).toEqual([2, 20]);
    appendBytes(window, 25);
    expect([window.size, window.bytes]).toEqual([1, 25]);
    appendBytes(window, 1_000);
    expect([window.size, window.bytes]).toEqual([1, 1_000]);
    appendBytes(window, 1);
    expect([window.size, window.bytes]).toEqual([1, 1]);
  });

  it("drops an entry by age only when its successor is too old: until then nobody there misses anything", () => {
    const window = makeWindow({ maxAgeMs: 100 });
    append(window, ["a"], 0);
    append(window, ["a"], 50);
    append(window, ["a"], 60);
    window.trim(150);
    expect(window.size).toBe(3);
    window.trim(150.5);
    expect(window.size).toBe(2);
    expect(window.locate("e.2")).toBe(2);
    expect(window.locate("e.1")).toBe("trimmed");
    window.trim(1e9);
    expect(window.size).toBe(1);
    expect(window.locate("e.3")).toBe(3);
  });

  it("frees the index of a channel that has no entries any more", () => {
    const window = makeWindow({ maxEvents: 10 });
    for (let n = 0; n < 5_000; n++) append(window, [`channel ${n}`]);
    for (let n = 0; n < 4_990; n++) expect(window.latest([`channel ${n}`], 1)).toEqual([]);
    expect(window.latest(["channel 4999"], 1)).toHaveLength(1);
  });
});

describe("window.locate", () => {
  it("knows the origin while nothing after it was trimmed", () => {
    const window = makeWindow({ maxEvents: 2 });
    append(window, ["a", "a"]);
    expect(window.locate("e.0")).toBe(0);
    append(window, ["a"]);
    expect(window.locate("e.0")).toBe("trimmed");
  });

  it("knows every entry, the first and the tail included", () => {
    const window = makeWindow({ maxEvents: 3 });
    append(window, ["a", "b", "a", "c", "a"]);
    expect(["e.3", "e.4", "e.5"].map((id) => window.locate(id))).toEqual([3, 4, 5]);
    expect(window.locate("e.2")).toBe("trimmed");
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
  ])("gives for an id that is %s", (_name, id, place) => {
    const window = makeWindow({ maxEvents: 3 });
    append(window, ["a", "b", "a", "c", "a"]);
    expect(window.locate(id)).toBe(place);
  });

  it("takes an id between two entries for none of this log", () => {
    const window = makeWindow();
    for (const id of ["e.10", "e.20", "e.30"]) window.append(id, "a", stored(Buffer.from("x")), 0);
    expect(window.locate("e.20")).toBe(2);
    expect(window.locate("e.15")).toBe("unknown");
    expect(window.locate("e.5")).toBe("trimmed");
    expect(window.locate("e.31")).toBe("unknown");
  });

  it("looks at few entries, however many there are", () => {
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

describe("window.idAt", () => {
  it("gives the ids of positions that are here, of the origin and of the tail", () => {
    const window = makeWindow({ maxEvents: 3 });
    expect(window.idAt(0)).toBe("e.0");
    append(window, ["a", "a"]);
    expect([0, 1, 2].map((position) => window.idAt(position))).toEqual(["e.0", "e.1", "e.2"]);
  });

  it("gives none for a position that was trimmed", () => {
    const window = makeWindow({ maxEvents: 2 });
    append(window, ["a", "a", "a", "a"]);
    expect(window.idAt(1)).toBeUndefined();
    expect(window.idAt(2)).toBeUndefined();
    expect(window.idAt(3)).toBe("e.3");
  });
});

describe("window.holdsAfter", () => {
  it("is true for positions after which nothing was trimmed", () => {
    const window = makeWindow({ maxEvents: 2 });
    append(window, ["a", "a"]);
    expect(window.holdsAfter(0)).toBe(true);
    append(window, ["a"]);
    expect([0, 1, 2, 3].map((position) => window.holdsAfter(position))).toEqual([
      false,
      true,
      true,
      true,
    ]);
  });
});

describe("window.prepend", () => {
  const PAST = ["-2", "-1", "0"].map((number) => ({
    id: `e.${number}`,
    channel: number === "-1" ? "b" : "a",
    frame: stored(Buffer.from(`<${number}>`)),
    at: 0,
  }));

  it("puts entries before the first, at positions that count down", () => {
    const window = makeWindow();
    append(window, ["a", "b"]);
    expect(window.start).toEqual({ id: "e.0", isHeld: false });
    expect(window.prepend(PAST, "e.-3", 0)).toBe(true);
    expect(window.start).toEqual({ id: "e.-3", isHeld: false });
    expect(window).toMatchObject({ tail: 2, size: 5, bytes: 17 });
    const all = new Map([
      ["a", -1_000],
      ["b", -1_000],
    ]);
    expect(textOf(window.slice(all, -3, 1_000))).toBe("<-2><-1><0><1><2>");
    expect(textOf(window.slice(all, -1, 1_000))).toBe("<0><1><2>");
    expect(textOf(window.slice(new Map([["b", -1_000]]), -3, 1_000))).toBe("<-1><2>");
    expect(window.idAt(-3)).toBe("e.-3");
    expect(window.holdsAfter(-3)).toBe(true);
    expect(window.holdsAfter(-4)).toBe(false);
    expect(window.latest(["a"], 2).map(({ id }) => id)).toEqual(["e.0", "e.1"]);
  });

  it("goes on where it began, and holds its first entry if nothing older may be reported", () => {
    const window = makeWindow();
    window.prepend(PAST.slice(1), undefined, 0);
    expect(window.start).toEqual({ id: "e.-1", isHeld: true });
    window.prepend(PAST.slice(0, 1), undefined, 0);
    expect(window.start).toEqual({ id: "e.-2", isHeld: true });
    const all = new Map([
      ["a", -1_000],
      ["b", -1_000],
    ]);
    expect(textOf(window.slice(all, -3, 1_000))).toBe("<-2><-1><0>");
  });

  it("takes the newest that fit, by number, bytes and age", () => {
    const limits: [Partial<Retention>, number, number][] = [
      [{ maxEvents: 2 }, 0, 2],
      [{ maxBytes: 7 }, 0, 2],
      [{ maxAgeMs: 10 }, 11, 1],
    ];
    for (const [retention, now, size] of limits) {
      const window = makeWindow(retention);
      expect(window.prepend(PAST, "e.-3", now), JSON.stringify(retention)).toBe(false);
      expect(window.size).toBe(size);
      expect(window.start.isHeld).toBe(true);
    }
  });

  it("lets the oldest go first, as always", () => {
    const window = makeWindow({ maxEvents: 4 });
    window.prepend(PAST, "e.-3", 0);
    append(window, ["a", "a"]);
    expect(window.size).toBe(4);
    expect(window.start).toEqual({ id: "e.-1", isHeld: true });
    expect(window.holdsAfter(-3)).toBe(false);
    expect(textOf(window.slice(new Map([["a", -1_000]]), -2, 1_000))).toBe("<0><1><2>");
  });
});

describe("window.turnoverMs", () => {
  it("is endless while nothing comes", () => {
    expect(makeWindow().turnoverMs(5)).toBe(Infinity);
  });

  it("is how long all that fits takes to come at the pace of what is here, by number or bytes", () => {
    const byNumber = makeWindow({ maxEvents: 10 });
    append(byNumber, ["a", "a", "a", "a", "a"], 100);
    expect(byNumber.turnoverMs(200)).toBe(200);
    const byBytes = makeWindow({ maxBytes: 12 });
    append(byBytes, ["a", "a"], 100);
    expect(byBytes.turnoverMs(200)).toBe(200);
  });
});

describe("window.isAging", () => {
  it("is false at the tail, however old", () => {
    const window = makeWindow({ maxAgeMs: 10 });
    append(window, ["a"]);
    expect(window.isAging(1, 1e9)).toBe(false);
  });

  it("is true in the older half by age, of what comes next", () => {
    const window = makeWindow({ maxAgeMs: 100 });
    append(window, ["a"], 0);
    append(window, ["a"], 40);
    expect(window.isAging(1, 90)).toBe(false);
    expect(window.isAging(1, 91)).toBe(true);
  });

  it("is true in the older half by number", () => {
    const window = makeWindow({ maxEvents: 10 });
    append(
      window,
      Array.from({ length: 6 }, () => "a"),
    );
    expect(window.isAging(1, 0)).toBe(false);
    expect(window.isAging(0, 0)).toBe(true);
  });

  it("is true in the older half by bytes", () => {
    const window = makeWindow({ maxBytes: 100 });
    for (const bytes of [10, 10, 45]) appendBytes(window, bytes);
    expect(window.isAging(2, 0)).toBe(false);
    expect(window.isAging(1, 0)).toBe(true);
  });

  it("is true for what was trimmed", () => {
    const window = makeWindow({ maxEvents: 4 });
    append(
      window,
      Array.from({ length: 20 }, () => "a"),
    );
    expect(window.isAging(3, 0)).toBe(true);
  });
});

describe("window.slice", () => {
  const names = Array.from({ length: 20 }, (_, index) => `channel ${index}`);

  it("gives the entries of one channel after a position", () => {
    const window = makeWindow();
    append(window, ["a", "b", "a", "b", "a"]);
    const slice = window.slice(everything("a"), 1, 1_000);
    expect(slice).toMatchObject({ cursor: 5, last: 5 });
    expect(textOf(slice)).toBe("<3><5>");
  });

  it("moves the cursor to the tail when others come last", () => {
    const window = makeWindow();
    append(window, ["a", "b"]);
    expect(window.slice(everything("a"), 0, 1_000)).toMatchObject({ cursor: 2, last: 1 });
    expect(window.slice(everything("c"), 0, 1_000)).toEqual({ frames: [], cursor: 2, last: 0 });
    expect(window.slice(new Map(), 0, 1_000)).toEqual({ frames: [], cursor: 2, last: 0 });
  });

  it("merges several channels in the order of the log", () => {
    const window = makeWindow();
    append(window, ["b", "a", "c", "b", "a", "a", "b"]);
    expect(textOf(window.slice(everything("a", "b", "never"), 1, 1_000))).toBe("<2><4><5><6><7>");
  });

  it("gives the same for more than 16 channels", () => {
    const window = makeWindow({ maxEvents: 30 });
    const mixed = Array.from({ length: 40 }, (_, n) => (n % 3 === 0 ? "other" : names[n % 20]!));
    append(window, mixed);
    const expected = mixed
      .map((name, index) => (name === "other" || index < 12 ? "" : `<${index + 1}>`))
      .join("");
    expect(textOf(window.slice(everything(...names), 12, 1_000))).toBe(expected);
  });

  it.each([
    ["few", ["a", "b"]],
    ["more than 16", ["a", "b", ...names]],
  ])("counts each of %s channels only after its own place", (_name, channels) => {
    const window = makeWindow();
    append(window, ["a", "b", "a", "b", "a", "b"]);
    const since = new Map(channels.map((name) => [name, name === "b" ? 4 : 1]));
    expect(textOf(window.slice(since, 0, 1_000))).toBe("<3><5><6>");
    expect(textOf(window.slice(since, 5, 1_000))).toBe("<6>");
  });

  it("stops before it takes too many bytes, and goes on from there", () => {
    const window = makeWindow();
    append(window, ["a", "b", "a", "a"]);
    const first = window.slice(everything("a"), 0, 6);
    expect([textOf(first), first.cursor, first.last]).toEqual(["<1><3>", 3, 3]);
    const second = window.slice(everything("a"), first.cursor, 6);
    expect([textOf(second), second.cursor, second.last]).toEqual(["<4>", 4, 4]);
  });

  it("takes one frame that is too large, alone", () => {
    const window = makeWindow();
    for (const bytes of [5, 100, 5]) appendBytes(window, bytes);
    const sizes: number[][] = [];
    for (let cursor = 0; cursor < window.tail;) {
      const slice = window.slice(everything("a"), cursor, 20);
      sizes.push(slice.frames.map(({ start, end }) => end - start));
      ({ cursor } = slice);
    }
    expect(sizes).toEqual([[5], [100], [5]]);
  });

  it("begins with the first entry for a position that was trimmed", () => {
    const window = makeWindow({ maxEvents: 2 });
    append(window, ["a", "a", "a"]);
    expect(textOf(window.slice(everything("a"), 0, 1_000))).toBe("<2><3>");
    expect(textOf(window.slice(everything("a", ...names), 0, 1_000))).toBe("<2><3>");
  });
});

describe("window.latest", () => {
  it("gives the newest of these channels together, oldest first", () => {
    const window = makeWindow();
    append(window, ["a", "b", "a", "c", "b", "a"]);
    const positions = (channels: string[], count: number): number[] =>
      window.latest(channels, count).map(({ position }) => position);
    expect(positions(["a"], 2)).toEqual([3, 6]);
    expect(positions(["a", "b"], 3)).toEqual([3, 5, 6]);
    expect(positions(["a", "b", "never"], 100)).toEqual([1, 2, 3, 5, 6]);
    expect(positions(["a"], 0)).toEqual([]);
    expect(positions([], 3)).toEqual([]);
  });
});

describe("window.reset", () => {
  it("voids all positions and goes on after the new tail", () => {
    const window = makeWindow();
    append(window, ["a", "a"]);
    window.reset("e.50");
    expect(window).toMatchObject({ tailId: "e.50", size: 0, bytes: 0 });
    expect(window.holdsAfter(2)).toBe(false);
    expect(window.holdsAfter(window.tail)).toBe(true);
    expect(window.locate("e.2")).toBe("trimmed");
    expect(window.locate("e.50")).toBe(window.tail);
    expect(window.idAt(window.tail)).toBe("e.50");
    expect(window.latest(["a"], 5)).toEqual([]);
    const { tail } = window;
    window.append("e.51", "a", stored(Buffer.from("x")), 0);
    expect(textOf(window.slice(everything("a"), tail, 100))).toBe("x");
    expect(window.locate("e.50")).toBe(tail);
    expect(window.locate("e.51")).toBe(tail + 1);
  });

  it("calls ids past the new tail unknown: they are of the history that was lost", () => {
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

/** The same with an array, which is simple and slow. */
class NaiveWindow {
  entries: { position: number; id: number; channel: string; bytes: number; at: number }[] = [];
  tail = 0;
  tailId = 0;
  /** Positions up to here are lost. */
  lost = -1;
  originId: number | undefined = 0;
  readonly retention: Retention;

  constructor(retention: Retention) {
    this.retention = retention;
  }

  append(channel: string, bytes: number, at: number): void {
    this.tail += 1;
    this.tailId += 1;
    this.entries.push({ position: this.tail, id: this.tailId, channel, bytes, at });
    this.trim(at);
  }

  trim(now: number): void {
    const { maxAgeMs, maxEvents, maxBytes } = this.retention;
    for (;;) {
      const [first, second] = this.entries;
      if (first === undefined || second === undefined) return;
      const bytes = this.entries.reduce((sum, entry) => sum + entry.bytes, 0);
      const isOver = this.entries.length > maxEvents || bytes > maxBytes;
      if (!isOver && now - second.at <= maxAgeMs) return;
      this.lost = first.position - 1;
      this.originId = undefined;
      this.entries.shift();
    }
  }

  reset(): void {
    this.lost = this.tail;
    this.entries = [];
    this.tail += 1;
    this.tailId += 10;
    this.originId = this.tailId;
  }

  locate(id: number): number | "trimmed" | "unknown" {
    if (id === this.tailId) return this.tail;
    const found = this.entries.find((entry) => entry.id === id);
    if (found !== undefined) return found.position;
    const first = this.entries[0];
    if (id === this.originId) return (first?.position ?? this.tail + 1) - 1;
    return id < (first?.id ?? this.tailId) ? "trimmed" : "unknown";
  }

  after(channels: ReadonlyMap<string, number>, after: number): number[] {
    return this.entries
      .filter(
        ({ position, channel }) => position > Math.max(after, channels.get(channel) ?? Infinity),
      )
      .map(({ position }) => position);
  }
}

describe("A window and a plain array", () => {
  const channel = fc.constantFrom("a", "b", "c", "d");
  const action = fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({ append: channel, bytes: fc.integer({ min: 1, max: 9 }) }),
    },
    { weight: 10, arbitrary: fc.record({ wait: fc.integer({ min: 0, max: 15 }) }) },
    { weight: 5, arbitrary: fc.record({ trim: fc.constant(true) }) },
    { weight: 5, arbitrary: fc.record({ burst: fc.integer({ min: 100, max: 3_000 }) }) },
    { weight: 1, arbitrary: fc.record({ reset: fc.constant(true) }) },
  );
  const limits = fc.record({
    maxAgeMs: fc.constantFrom(5, 30, 1_000),
    maxEvents: fc.constantFrom(1, 2, 7, 1_000),
    maxBytes: fc.constantFrom(1, 10, 40, 100_000),
  });
  const query = fc.record({
    channels: fc.uniqueArray(fc.tuple(channel, fc.nat(60)), { selector: ([name]) => name }),
    hasMany: fc.boolean(),
    after: fc.nat(40),
    maxBytes: fc.constantFrom(1, 8, 20, 10_000),
    count: fc.nat(10),
  });

  it("hold the same, whatever is appended, trimmed, reset and asked for", () => {
    fc.assert(
      fc.property(
        limits,
        fc.array(action, { maxLength: 40 }),
        query,
        (retention, actions, asked) => {
          const window = new Window(retention, numberedId(0), compareNumbered);
          const naive = new NaiveWindow(retention);
          let now = 0;
          const add = (name: string, bytes: number): void => {
            naive.append(name, bytes, now);
            window.append(numberedId(naive.tailId), name, stored(Buffer.alloc(bytes, "x")), now);
          };
          for (const one of actions) {
            if ("append" in one) add(one.append, one.bytes);
            else if ("wait" in one) now += one.wait;
            else if ("burst" in one) {
              for (let n = 0; n < one.burst && retention.maxEvents < 100; n++)
                add("abcd"[n % 4]!, 3);
            } else if ("reset" in one) {
              naive.reset();
              window.reset(numberedId(naive.tailId));
            } else {
              naive.trim(now);
              window.trim(now);
            }
          }
          expect(window.tail).toBe(naive.tail);
          expect(window.tailId).toBe(numberedId(naive.tailId));
          expect(window.size).toBe(naive.entries.length);
          expect(window.bytes).toBe(naive.entries.reduce((sum, { bytes }) => sum + bytes, 0));
          expect(window.oldestAt).toBe(naive.entries[0]?.at);
          const from = Math.max(0, naive.tailId - 60);
          for (let id = from; id <= naive.tailId + 2; id++) {
            expect(window.locate(numberedId(id)), `locate ${id}`).toBe(naive.locate(id));
          }
          for (let position = Math.max(0, naive.tail - 30); position <= naive.tail; position++) {
            expect(window.holdsAfter(position), `holdsAfter ${position}`).toBe(
              position > naive.lost,
            );
          }
          const base = Math.max(0, naive.tail - 40);
          const channels = new Map<string, number>(
            asked.channels.map(([name, since]) => [name, base + since - 20]),
          );
          if (asked.hasMany) for (let n = 0; n < 20; n++) channels.set(`none ${n}`, 0);
          const expected = naive.after(channels, base + asked.after);
          const actual: number[] = [];
          const after = Math.min(base + asked.after, naive.tail);
          for (let cursor = after; ;) {
            const slice = window.slice(channels, cursor, asked.maxBytes);
            const bytes = sizeOf(slice.frames);
            expect(slice.frames.length === 1 || bytes <= asked.maxBytes).toBe(true);
            const taken = expected.slice(actual.length, actual.length + slice.frames.length);
            expect(slice.last).toBe(taken.at(-1) ?? 0);
            actual.push(...taken);
            if (slice.cursor >= window.tail) break;
            expect(slice.cursor).toBeGreaterThan(cursor);
            ({ cursor } = slice);
          }
          expect(actual).toEqual(expected);
          const newest = naive.entries.filter(({ channel: name }) => channels.has(name));
          expect(
            window.latest(channels.keys(), asked.count).map(({ position }) => position),
          ).toEqual(
            asked.count === 0 ? [] : newest.slice(-asked.count).map(({ position }) => position),
          );
        },
      ),
      { numRuns: RUNS },
    );
  });
});
