import { describe, expect, it } from "vitest";
import { Backfill } from "../../src/delivery/backfill.js";
import type { PastLog } from "../../src/delivery/backfill.js";
import { encodeMessage } from "../../src/wire/encode.js";
import { FrameSlab } from "../../src/wire/frame-slab.js";
import type { LogPage } from "../../src/log/log.js";
import { Window } from "../../src/delivery/window.js";
import type { Retention } from "../../src/delivery/window.js";

const RETENTION: Retention = { maxAgeMs: 60_000, maxEvents: 1_000, maxBytes: 1_000_000 };

function numberOf(id: string): number {
  return /^n\d+$/.test(id) ? Number(id.slice(1)) : NaN;
}

/** A past of `n1` to `n<count>`, of which the first ones may be gone, read in pages of three. */
class Past implements PastLog {
  readonly window: Window;
  readonly backfill: Backfill;
  readonly reports: unknown[] = [];
  /** Each read: from where, up to where. */
  readonly reads: (readonly [string | undefined, string])[] = [];
  first = 1;
  ageMs = 1_000;
  failure: Error | undefined;
  syncs = 0;
  /** Called before a `sync` is done. */
  onSync: () => void = () => {};
  /** Called before a reply. */
  onRead: () => void = () => {};
  readonly #slab = new FrameSlab();

  constructor(count: number, retention: Retention = RETENTION) {
    this.window = new Window(retention, `n${count}`, (a, b) => this.compare(a, b));
    this.backfill = new Backfill(this, this.window, (error) => void this.reports.push(error));
  }

  async sync(): Promise<void> {
    this.syncs += 1;
    await Promise.resolve();
    this.onSync();
  }

  compare(a: string, b: string): number {
    return numberOf(a) - numberOf(b);
  }

  async read(after: string | undefined, upTo: string): Promise<LogPage | "trimmed" | "unknown"> {
    this.reads.push([after, upTo]);
    await Promise.resolve();
    this.onRead();
    if (this.failure !== undefined) throw this.failure;
    const from = after === undefined ? this.first - 1 : numberOf(after);
    if (after !== undefined && from < this.first) return "trimmed";
    const to = numberOf(upTo);
    const start = Math.max(from + 1, to - 3);
    const entries = [];
    for (let n = start; n <= to; n++) {
      entries.push({ id: `n${n}`, channel: `c${n % 2}`, data: String(n), ageMs: this.ageMs });
    }
    return { entries, isLast: start === from + 1 };
  }

  append(n: number): void {
    const frame = this.#slab.write(encodeMessage({ id: `n${n}`, data: String(n) }));
    this.window.append(`n${n}`, `c${n % 2}`, frame, performance.now());
  }

  /** What a client at a position would be sent. */
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

describe("Backfill", () => {
  it("puts what is older in front of the window, page by page, until the position is there", async () => {
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

  it("goes on seamlessly into what is published meanwhile", async () => {
    const past = new Past(10);
    let next = 11;
    past.onRead = () => past.append(next++);
    const position = await past.backfill.locate("n4");
    past.append(next);
    const all = Array.from({ length: next - 4 }, (_, index) => String(5 + index));
    expect(past.after(position as number)).toEqual(all);
  });

  it("reads once for all who wait, as far back as the oldest of them", async () => {
    const past = new Past(30);
    const ids = Array.from({ length: 1_000 }, (_, n) => `n${5 + (n % 24)}`);
    const positions = await Promise.all(ids.map((id) => past.backfill.locate(id)));
    expect(past.reads.length).toBeLessThanOrEqual(10);
    for (const [index, id] of ids.entries()) {
      expect(past.after(positions[index] as number)[0]).toBe(String(numberOf(id) + 1));
    }
  });

  it("says trimmed for what the log has not any more, and unknown for what lies between its ids", async () => {
    const past = new Past(10);
    past.first = 4;
    expect(await past.backfill.locate("n3")).toBe("trimmed");
    expect(typeof (await past.backfill.locate("n4"))).toBe("number");
    expect(past.after(past.window.locate("n4") as number)).toEqual(["5", "6", "7", "8", "9", "10"]);
  });

  it("takes no more than the window may hold, and says trimmed for what is older", async () => {
    const past = new Past(10, { ...RETENTION, maxEvents: 5 });
    expect(await past.backfill.locate("n2")).toBe("trimmed");
    expect(past.window.size).toBe(5);
    expect(past.after(past.window.locate("n6") as number)).toEqual(["7", "8", "9", "10"]);
  });

  it("takes nothing that is too old", async () => {
    const past = new Past(10);
    past.ageMs = RETENTION.maxAgeMs + 1;
    expect(await past.backfill.locate("n2")).toBe("trimmed");
    // An entry is as good as the one behind it: the newest is kept.
    expect(past.window.size).toBe(1);
  });

  it("does not chase a window that drops entries while it is read for", async () => {
    const past = new Past(10, { ...RETENTION, maxEvents: 3 });
    for (let n = 11; n <= 13; n++) past.append(n);
    let next = 14;
    past.onRead = () => past.append(next++);
    expect(await past.backfill.locate("n2")).toBe("trimmed");
    expect(past.reads).toHaveLength(1);
  });

  it("tells nobody anything that has waited since before a reset", async () => {
    const past = new Past(10);
    past.onRead = () => {
      past.onRead = () => {};
      past.window.reset("n50");
      past.backfill.reset();
    };
    let isTold = false;
    void past.backfill.locate("n2").then(() => (isTold = true));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    expect(isTold).toBe(false);
    expect(past.window.size).toBe(0);
    // Whoever comes then is served.
    expect(typeof (await past.backfill.locate("n45"))).toBe("number");
  });

  it("reports a log that refuses to be read, and lets nobody wait for ever", async () => {
    const past = new Past(10);
    past.failure = new Error("no");
    expect(await past.backfill.locate("n2")).toBe("unknown");
    expect(past.reports).toEqual([past.failure]);
    past.failure = undefined;
    expect(typeof (await past.backfill.locate("n2"))).toBe("number");
  });

  it("has a client that is ahead wait until all was delivered, one wait for all", async () => {
    const past = new Past(10);
    past.onSync = () => {
      past.onSync = () => {};
      past.append(11);
      past.append(12);
    };
    const ids = ["n11", "n12", "n13", "n11"];
    const places = await Promise.all(ids.map((id) => past.backfill.locate(id)));
    expect(places).toEqual([1, 2, "unknown", 1]);
    // The first one did not wait for the others.
    expect(past.syncs).toBe(2);
    expect(past.reads).toEqual([]);
  });

  it("asks the log a few times, and not for each, when thousands come for what was trimmed", async () => {
    const past = new Past(1_000);
    past.first = 900;
    const ids = Array.from({ length: 999 }, (_, n) => `n${n + 1}`);
    const places = await Promise.all(ids.map((id) => past.backfill.locate(id)));
    expect(places.map((place) => typeof place)).toEqual(
      ids.map((id) => (numberOf(id) < 900 ? "string" : "number")),
    );
    // Some to find out where it begins, and those that read a hundred entries in pages of three.
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
    expect(past.window.latest(["c0", "c1"], 4).map(({ id }) => id)).toEqual([
      "n7",
      "n8",
      "n9",
      "n10",
    ]);
    expect(past.window.size).toBe(10);
    expect(past.window.tail).toBe(0);
  });
});
