import { describe, expect, it, vi } from "vitest";
import { SseError } from "../../src/errors.js";
import { Backfill } from "../../src/delivery/backfill.js";
import type { PastLog } from "../../src/delivery/backfill.js";
import { encodeMessage } from "../../src/wire/encode.js";
import { FrameSlab } from "../../src/wire/frame-slab.js";
import type { FoundId, LogEntry, LogPage, LogPast, PastRoom } from "../../src/log/log.js";
import { Window } from "../../src/delivery/window.js";
import type { Retention } from "../../src/delivery/window.js";

const RETENTION: Retention = { maxAgeMs: 60_000, maxEvents: 1_000, maxBytes: 1_000_000 };

function numberOf(id: string): number {
  return /^n\d+$/.test(id) ? Number(id.slice(1)) : NaN;
}

/** A past of `n1` to `n<count>`, whose oldest entries may be gone, read in pages of three. */
class Past implements PastLog {
  readonly window: Window;
  readonly backfill: Backfill;
  readonly reports: unknown[] = [];
  /** The range of each read. */
  readonly reads: (readonly [string | undefined, string])[] = [];
  /** The ids of each lookup. */
  readonly finds: (readonly string[])[] = [];
  /** Plausible ids that were never assigned. */
  readonly madeUp = new Set<string>();
  /** The log entry with a number. */
  entryOf: (n: number) => LogEntry = (n) => ({
    id: `n${n}`,
    channel: `c${n % 2}`,
    data: String(n),
  });
  /** Number of entries in all pages. */
  transferred = 0;
  first = 1;
  ageMs = 1_000;
  failure: Error | undefined;
  syncs = 0;
  /** Called before a `sync` ends. */
  onSync: () => void = () => {};
  /** Called before a reply. */
  onRead: () => void = () => {};
  readonly #slab = new FrameSlab();

  constructor(count: number, retention: Retention = RETENTION, maxEventBytes?: number) {
    this.window = new Window(retention, `n${count}`, (a, b) => this.compare(a, b));
    const report = (error: unknown): void => void this.reports.push(error);
    this.backfill = new Backfill(this, this.window, report, maxEventBytes);
  }

  readonly past: LogPast & { wasReplaced: boolean } = {
    wasReplaced: false,
    find: (ids) => this.#find(ids),
    read: (after, upTo, room = {}) => this.#read(after, upTo, room),
    sync: async () => {
      this.syncs += 1;
      await Promise.resolve();
      this.onSync();
    },
  };

  compare(a: string, b: string): number {
    return numberOf(a) - numberOf(b);
  }

  async #find(ids: readonly string[]): Promise<readonly FoundId[]> {
    this.finds.push(ids);
    await Promise.resolve();
    if (this.failure !== undefined) throw this.failure;
    return ids.map((id) => {
      const n = numberOf(id);
      if (n < this.first) return "trimmed";
      return Number.isInteger(n) && !this.madeUp.has(id) ? { missedMs: this.ageMs } : "unknown";
    });
  }

  async #read(
    after: string | undefined,
    upTo: string,
    { hasUpTo = false, maxEntries = 3 }: PastRoom,
  ): Promise<LogPage | "trimmed" | "unknown"> {
    this.reads.push([after, upTo]);
    await Promise.resolve();
    this.onRead();
    if (this.failure !== undefined) throw this.failure;
    const from = after === undefined ? this.first - 1 : numberOf(after);
    if (after !== undefined && from < this.first) return "trimmed";
    const to = numberOf(upTo);
    const start = Math.max(from + 1, to - Math.min(3, maxEntries));
    const entries = [];
    for (let n = start; n <= (hasUpTo ? to - 1 : to); n++) {
      entries.push({ ...this.entryOf(n), ageMs: this.ageMs });
    }
    this.transferred += entries.length;
    return { entries, isLast: start === from + 1 };
  }

  append(n: number): void {
    const frame = this.#slab.write(encodeMessage({ id: `n${n}`, data: String(n) }), `c${n % 2}`);
    this.window.append(`n${n}`, frame, performance.now());
  }

  /** Events that a client at a position would be sent. */
  after(position: number): string[] {
    const { frames } = this.window.slice(
      new Map([
        ["c0", -(2 ** 30)],
        ["c1", -(2 ** 30)],
      ]),
      position,
      1_000_000,
    );
    const text = frames.map(({ slab, start, end }) => slab.toString("utf8", start, end)).join("");
    return text.match(/(?<=data: ).*/g) ?? [];
  }
}

describe("an id that the window has dropped, on channels that have missed nothing", () => {
  const quiet = new Map([["quiet", undefined]]);

  /** A process that has dropped `n31` to `n37` since it started at `n30`, all on other channels. */
  function outgrown(): Past {
    const past = new Past(30, { ...RETENTION, maxEvents: 3 });
    for (let n = 31; n <= 40; n++) past.append(n);
    return past;
  }

  it("is looked up, because it may be of a replaced history, in which other events had these numbers", async () => {
    const past = outgrown();
    past.madeUp.add("n33");
    expect(past.backfill.near("n33", quiet)).toBe("unconfirmed");
    expect(await past.backfill.locate("n33", quiet)).toBe("unknown");
    expect([past.finds, past.reads]).toEqual([[["n33"]], []]);
  });

  it("has a position if the log knows it, however old it is", async () => {
    const past = outgrown();
    past.ageMs = RETENTION.maxAgeMs + 1;
    const places = ["n33", "n30"].map((id) => past.backfill.locate(id, quiet));
    expect(await Promise.all(places)).toEqual([past.window.first - 1, past.window.first - 1]);
    expect([past.finds.flat(), past.reads]).toEqual([["n33", "n30"], []]);
  });

  it("has one also if the log no longer holds it, unless a history was replaced", async () => {
    const past = outgrown();
    past.first = 36;
    expect(await past.backfill.locate("n33", quiet)).toBe(past.window.first - 1);
    past.past.wasReplaced = true;
    expect(await past.backfill.locate("n34", quiet)).toBe("trimmed");
  });

  it("has none if the log cannot be read", async () => {
    const past = outgrown();
    past.failure = new Error("no log");
    expect(await past.backfill.locate("n33", quiet)).toBe("unknown");
    expect(past.reports).toEqual([past.failure]);
  });

  it("is not looked up if it is that of an entry in the window, or of the last one before", () => {
    const past = outgrown();
    for (const id of ["n37", "n38", "n40"]) {
      expect(past.backfill.near(id, quiet)).toEqual(expect.any(Number));
    }
  });
});

describe("Backfill", () => {
  it("puts older entries in front of the window, page by page, until the position is loaded", async () => {
    const past = new Past(10);
    const position = await past.backfill.locate("n2");
    expect(past.after(position as number)).toEqual(["3", "4", "5", "6", "7", "8", "9", "10"]);
    expect(past.reads).toEqual([
      ["n2", "n10"],
      ["n2", "n7"],
      ["n2", "n4"],
    ]);
    expect(past.window.locate("n2")).toBe(position);
    expect(past.window.locate("n5")).toBe((position as number) + 3);
  });

  it("continues seamlessly into events published meanwhile", async () => {
    const past = new Past(10);
    let next = 11;
    past.onRead = () => past.append(next++);
    const position = await past.backfill.locate("n4");
    past.append(next);
    const all = Array.from({ length: next - 4 }, (_, index) => String(5 + index));
    expect(past.after(position as number)).toEqual(all);
  });

  it("reads once for all waiting clients, back to the oldest of them", async () => {
    const past = new Past(30);
    const ids = Array.from({ length: 1_000 }, (_, n) => `n${5 + (n % 24)}`);
    const positions = await Promise.all(ids.map((id) => past.backfill.locate(id)));
    expect(past.reads.length).toBeLessThanOrEqual(10);
    for (const [index, id] of ids.entries()) {
      expect(past.after(positions[index] as number)[0]).toBe(String(numberOf(id) + 1));
    }
  });

  it("returns trimmed for ids that the log has dropped, and unknown for ids between its own", async () => {
    const past = new Past(10);
    past.first = 4;
    expect(await past.backfill.locate("n3")).toBe("trimmed");
    expect(typeof (await past.backfill.locate("n4"))).toBe("number");
    expect(past.after(past.window.locate("n4") as number)).toEqual(["5", "6", "7", "8", "9", "10"]);
  });

  it("loads no more than the window may hold, and returns trimmed for older ids", async () => {
    const past = new Past(10, { ...RETENTION, maxEvents: 5 });
    expect(await past.backfill.locate("n2")).toBe("trimmed");
    expect(past.window.size).toBe(5);
    expect(past.after(past.window.locate("n6") as number)).toEqual(["7", "8", "9", "10"]);
  });

  it("reads nothing for a client that was away for longer than the hub retains", async () => {
    const past = new Past(10);
    past.ageMs = RETENTION.maxAgeMs + 1;
    expect(await past.backfill.locate("n2")).toBe("trimmed");
    expect(past.finds).toEqual([["n2"]]);
    // Nor does it ask again for one that was away even longer.
    expect(await past.backfill.locate("n1")).toBe("trimmed");
    expect(past.finds).toHaveLength(1);
    expect(past.reads).toEqual([]);
  });

  it("looks up made-up ids, many at once, and reads nothing for them", async () => {
    const past = new Past(1_000);
    const ids = Array.from({ length: 500 }, (_, n) => `n${n + 1}`);
    for (const id of ids) past.madeUp.add(id);
    const places = await Promise.all(ids.map((id) => past.backfill.locate(id)));
    expect(new Set(places)).toEqual(new Set(["unknown"]));
    expect(past.reads).toEqual([]);
    // The first client did not wait for the others.
    expect(past.finds.map((asked) => asked.length)).toEqual([1, 128, 128, 128, 115]);
  });

  it("serves a client with a valid id between two lookups of made-up ones", async () => {
    const past = new Past(2_000);
    const ids = Array.from({ length: 1_500 }, (_, n) => `n${n + 1}`);
    for (const id of ids) past.madeUp.add(id);
    const first = ids.slice(0, 100).map((id) => past.backfill.locate(id));
    let finds = 0;
    const good = past.backfill.locate("n1995").then(() => (finds = past.finds.length));
    const rest = ids.slice(100).map((id) => past.backfill.locate(id));
    await Promise.all([...first, good, ...rest]);
    expect(finds).toBeLessThanOrEqual(4);
    expect(past.finds.length).toBeGreaterThan(10);
  });

  it("asks for no more than the window has room for, and never again for older entries", async () => {
    const past = new Past(10, { ...RETENTION, maxEvents: 5 });
    for (let n = 11; n <= 14; n++) past.append(n);
    expect(await past.backfill.locate("n2")).toBe("trimmed");
    // One entry, the entry at the start of the window, and the one before, whose id is a position.
    expect(past.transferred).toBe(3);
    const asked = past.reads.length + past.finds.length;
    for (let n = 1; n < 9; n++) expect(await past.backfill.locate(`n${n}`)).toBe("trimmed");
    expect(past.reads.length + past.finds.length).toBe(asked);
  });

  it("does not ask for entries older than a window that has dropped entries", async () => {
    const past = new Past(10, { ...RETENTION, maxEvents: 3 });
    for (let n = 11; n <= 30; n++) past.append(n);
    for (const id of ["n5", "n20", "n26"]) expect(await past.backfill.locate(id)).toBe("trimmed");
    for (let n = 31; n <= 50; n++) past.append(n);
    expect(await past.backfill.locate("n30")).toBe("trimmed");
    expect([past.finds, past.reads]).toEqual([[], []]);
    expect(past.window.locate("n48")).toBe(38);
  });

  it("abandons reads that no client waits for any more", async () => {
    const past = new Past(100);
    let isWanted = true;
    let isTold = false;
    past.onRead = () => {
      if (past.reads.length === 3) isWanted = false;
    };
    void past.backfill.locate("n2", undefined, () => isWanted).then(() => (isTold = true));
    await vi.waitFor(() => expect(past.reads).toHaveLength(3));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    expect(past.reads).toHaveLength(3);
    expect(isTold).toBe(false);
    expect(typeof (await past.backfill.locate("n50"))).toBe("number");
  });

  it("skips entries that cannot be sent to clients, and keeps their places", async () => {
    const past = new Past(10, RETENTION, 1_000);
    const { entryOf } = past;
    past.entryOf = (n) => {
      if (n >= 4 && n <= 6) return { ...entryOf(n), event: "sse-reset" };
      return n === 8 ? { ...entryOf(n), data: "x".repeat(1_000) } : entryOf(n);
    };
    const position = (await past.backfill.locate("n2")) as number;
    expect(past.after(position)).toEqual(["3", "7", "9", "10"]);
    // A node that accepts larger events may have sent it to a client.
    expect(past.window.locate("n8")).toBe(position + 6);
  });

  it("warms the window while clients are served and events are published", async () => {
    const past = new Past(100);
    let next = 101;
    past.onRead = () => past.append(next++);
    const [, position] = await Promise.all([
      past.backfill.warm(),
      past.backfill.locate("n70"),
      past.backfill.locate("n98"),
    ]);
    expect(past.after(position as number).slice(0, 3)).toEqual(["71", "72", "73"]);
    expect(past.after(position as number)).toHaveLength(next - 71);
    expect(past.reads.length).toBeLessThanOrEqual(10);
  });

  it("does not chase a window that drops entries during the read", async () => {
    const past = new Past(10, { ...RETENTION, maxEvents: 4 });
    for (let n = 11; n <= 13; n++) past.append(n);
    let next = 14;
    past.onRead = () => {
      past.append(next++);
      past.append(next++);
    };
    expect(await past.backfill.locate("n2")).toBe("trimmed");
    expect(past.reads).toHaveLength(1);
  });

  it("looks in the new history for a client that has waited since before a reset", async () => {
    const past = new Past(10);
    past.onSync = () => {
      past.madeUp.add("n2");
      past.window.reset("n50");
      past.backfill.reset();
    };
    const [lost, known] = [past.backfill.locate("n2"), past.backfill.locate("n45")];
    expect(await lost).toBe("unknown");
    expect(typeof (await known)).toBe("number");
    expect(past.window.tailId).toBe("n50");
  });

  it("has no place for a waiting client when the log is closed", async () => {
    const past = new Past(10);
    past.failure = new SseError("ERR_SSE_CLOSED", "closed");
    expect(await past.backfill.locate("n2")).toBe("unknown");
    expect(await past.backfill.locate("n3")).toBe("unknown");
    expect(past.reports).toEqual([]);
  });

  it("reports a log that refuses to be read, and does not leave clients waiting", async () => {
    const past = new Past(10);
    past.failure = new Error("no");
    expect(await past.backfill.locate("n2")).toBe("unknown");
    expect(past.reports).toEqual([past.failure]);
    past.failure = undefined;
    expect(typeof (await past.backfill.locate("n2"))).toBe("number");
  });

  it("makes clients that are ahead wait until everything is delivered, in one shared wait", async () => {
    const past = new Past(10);
    past.onSync = () => {
      past.onSync = () => {};
      past.append(11);
      past.append(12);
    };
    const ids = ["n11", "n12", "n13", "n11"];
    const places = await Promise.all(ids.map((id) => past.backfill.locate(id)));
    expect(places).toEqual([1, 2, "unknown", 1]);
    // The first client did not wait for the others.
    expect(past.syncs).toBe(2);
    expect(past.reads).toEqual([]);
  });

  it("asks the log a few times instead of for each client when thousands ask for trimmed entries", async () => {
    const past = new Past(1_000);
    past.first = 900;
    const ids = Array.from({ length: 999 }, (_, n) => `n${n + 1}`);
    const places = await Promise.all(ids.map((id) => past.backfill.locate(id)));
    expect(places.map((place) => typeof place)).toEqual(
      ids.map((id) => (numberOf(id) < 900 ? "string" : "number")),
    );
    // Some to find the start, and those that read a hundred entries in pages of three.
    expect(past.reads.length).toBeLessThan(15 + 100 / 3);
  });

  it("warms the window with a few pages", async () => {
    const long = new Past(100);
    await long.backfill.warm();
    expect(long.reads).toHaveLength(5);
    const past = new Past(10);
    await past.backfill.warm();
    expect(past.reads).toEqual([
      [undefined, "n10"],
      [undefined, "n7"],
      [undefined, "n4"],
    ]);
    const { tail } = past.window;
    expect([3, 2, 1, 0].map((back) => past.window.idAt(tail - back))).toEqual([
      "n7",
      "n8",
      "n9",
      "n10",
    ]);
    expect(past.window.latestStarts(["c0", "c1"], 2, 10).get("c1")).toBe(tail - 4);
    expect(past.window.size).toBe(10);
    expect(past.window.tail).toBe(0);
  });

  it("reads back until a caller has enough, once for all callers", async () => {
    const past = new Past(30);
    const has = (count: number) => (): boolean => past.window.size >= count;
    const done: string[] = [];
    const read = async (name: string, count: number): Promise<void> => {
      await past.backfill.readBack(has(count), () => true);
      done.push(`${name} ${past.window.size}`);
    };
    await Promise.all([read("few", 4), read("more", 10), read("few", 5)]);
    expect(done).toEqual(["few 4", "few 7", "more 10"]);
    expect(past.reads).toHaveLength(3);
    expect(past.backfill.readBack(has(10), () => true)).toBeUndefined();
    // More than exists: everything, and no page is read after that.
    await read("all", Infinity);
    expect(past.window.size).toBe(30);
    const { length } = past.reads;
    expect(past.backfill.readBack(has(Infinity), () => true)).toBeUndefined();
    expect(past.reads).toHaveLength(length);
  });

  it("reads back as far as the window can hold, and no further", async () => {
    const past = new Past(30, { ...RETENTION, maxEvents: 10 });
    await past.backfill.readBack(
      () => false,
      () => true,
    );
    expect(past.window.size).toBe(10);
    expect(
      past.backfill.readBack(
        () => false,
        () => true,
      ),
    ).toBeUndefined();
  });

  it("stops reading back when it is not wanted any more, or the log fails, and tries again later", async () => {
    const past = new Past(30);
    let isWanted = true;
    past.onRead = () => void (isWanted = past.reads.length < 2);
    void past.backfill.readBack(
      () => false,
      () => isWanted,
    );
    await new Promise(setImmediate);
    expect(past.reads).toHaveLength(2);
    past.failure = new Error("no log");
    await past.backfill.readBack(
      () => false,
      () => true,
    );
    expect(past.reports).toEqual([past.failure]);
    past.failure = undefined;
    await past.backfill.readBack(
      () => false,
      () => true,
    );
    expect(past.window.size).toBe(30);
  });

  it("ends all reads with a reset", async () => {
    const past = new Past(30);
    past.onRead = () => {
      past.onRead = () => {};
      past.window.reset("n30");
      past.backfill.reset();
    };
    const first = past.backfill.readBack(
      () => false,
      () => true,
    );
    await first;
    await past.backfill.readBack(
      () => past.window.size >= 3,
      () => true,
    );
    expect(past.window.size).toBe(4);
  });
});
