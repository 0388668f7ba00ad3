import { createHub, createReader } from "@tidewire/core";
import type { ChannelMap, Log, Reader, ReadItem } from "@tidewire/core";
import type {
  LogEntry,
  LogFollower,
  LogMessage,
  LogPast,
  LogResetReason,
  PastRoom,
} from "@tidewire/core/log";
import * as fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../client.js";

/** An implementation of the Log interface, as the contract needs it. */
export interface LogUnderTest {
  readonly name: string;
  /** Creates a log with its own empty history. The contract closes it; `release` frees other resources. */
  open(): Promise<{
    readonly log: Log;
    /** Creates another log on the same history, as in another process; absent if that is impossible. */
    readonly other?: (() => Log) | undefined;
    /**
     * Makes each `append` fail until the returned function is called; absent if appends cannot fail while the log is
     * open.
     */
    readonly breakAppends?: (() => Promise<() => Promise<void>>) | undefined;
    release?(): Promise<void>;
  }>;
}

/** Records what a follower receives, in order. */
class Recorder implements LogFollower {
  readonly entriesSeen: LogEntry[] = [];
  readonly resets: { reason: LogResetReason; tail: string }[] = [];
  readonly faults: unknown[] = [];
  /** Number of entries in each call. */
  readonly batches: number[] = [];

  entries(entries: readonly LogEntry[]): boolean {
    this.batches.push(entries.length);
    this.entriesSeen.push(...entries);
    return true;
  }

  reset(reason: LogResetReason, tail: string): void {
    this.resets.push({ reason, tail });
  }

  failed(error: unknown): void {
    this.faults.push(error);
  }

  get ids(): string[] {
    return this.entriesSeen.map(({ id }) => id);
  }

  async until(count: number): Promise<void> {
    await eventually(`${count} entries`, () => this.entriesSeen.length >= count);
  }
}

/** Reads page by page and returns all entries in order. */
async function readAll(
  past: LogPast,
  after: string,
  upTo: string,
  room: PastRoom,
): Promise<LogEntry[]> {
  const found: LogEntry[] = [];
  let { hasUpTo } = room;
  let top = upTo;
  for (let isLast = false; !isLast;) {
    const page = await past.read(after, top, { ...room, hasUpTo });
    if (typeof page !== "object") throw new Error(`${page}: ${after} to ${top}`);
    for (const { ageMs } of page.entries) expect(ageMs).toBeGreaterThanOrEqual(0);
    found.unshift(...page.entries.map(({ ageMs: _, ...entry }) => entry));
    isLast = page.isLast;
    top = found[0]?.id ?? top;
    hasUpTo = true;
  }
  return found;
}

/** Takes items until there are enough. */
async function take(
  reading: AsyncIterable<ReadItem<ChannelMap, string>>,
  count: number,
): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of reading) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

const LEGAL_ID = /^[A-Za-z0-9._~-]{1,128}$/;

const GARBAGE = [
  "",
  " ",
  "~end",
  "0",
  "-1",
  "NaN",
  "1e3",
  "0x10",
  "-",
  ".",
  "..",
  "\0",
  "\n",
  "\u{1F600}",
  "\ud800",
  "__proto__",
  "constructor",
  "a".repeat(128),
  "9".repeat(129),
  "x".repeat(10_240),
];

/**
 * The requirements for every log, sentence by sentence as in `packages/core/src/log/log.ts`.
 *
 * @param subject - The implementation under test.
 */
export function logContract({ name, open }: LogUnderTest): void {
  const closers: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  async function begin(): Promise<
    Awaited<ReturnType<LogUnderTest["open"]>> & { recorder: Recorder; tail: string }
  > {
    const opened = await open();
    closers.push(async () => opened.release?.());
    closers.push(() => opened.log.close());
    const recorder = new Recorder();
    const tail = await opened.log.start(recorder);
    return { ...opened, recorder, tail };
  }

  describe(`The log ${name}`, () => {
    it("returns the tail when it starts, an id like any other, and delivers nothing by itself", async () => {
      const { log, recorder, tail } = await begin();
      expect(tail).toMatch(LEGAL_ID);
      expect(log.compare(tail, tail)).toBe(0);
      expect(recorder.batches).toEqual([]);
      expect(recorder.resets).toEqual([]);
    });

    it("delivers appended events, with all fields and the channel", async () => {
      const { log, recorder } = await begin();
      const messages: [string, LogMessage][] = [
        ["a", { data: "" }],
        ["a", { event: "e", data: "one\r\ntwo\nthree\r", retry: 0 }],
        [
          "\u{1F600} \0\n{}",
          { event: "id: x", data: "\0\u2028\u{10FFFF} é", retry: 2_147_483_647 },
        ],
        ["c".repeat(256), { data: "x".repeat(300_000) }],
      ];
      const ids: string[] = [];
      for (const [channel, message] of messages) ids.push(await log.append(channel, message));
      await recorder.until(messages.length);
      expect(recorder.entriesSeen).toHaveLength(messages.length);
      for (const [index, [channel, { event, data, retry }]] of messages.entries()) {
        const entry = recorder.entriesSeen[index];
        expect(entry?.id).toBe(ids[index]);
        expect([entry?.channel, entry?.event, entry?.data, entry?.retry]).toEqual([
          channel,
          event,
          data,
          retry,
        ]);
      }
    });

    it("assigns ids of at most 128 legal characters, never `~end`", async () => {
      const { log } = await begin();
      for (let n = 0; n < 20; n++) {
        const id = await log.append("a", { data: String(n) });
        expect(id).toMatch(LEGAL_ID);
        expect(id).not.toBe("~end");
      }
    });

    it("MUST deliver entries in one total order: each id comes after the previous one and the tail", async () => {
      const { log, recorder, tail } = await begin();
      await Promise.all(
        Array.from({ length: 200 }, (_, n) => log.append(`c${n % 5}`, { data: String(n) })),
      );
      await recorder.until(200);
      const ids = [tail, ...recorder.ids];
      for (let n = 1; n < ids.length; n++) {
        expect(log.compare(ids[n - 1] as string, ids[n] as string)).toBeLessThan(0);
      }
    });

    it("MUST deliver entries in an order that is the same for every follower", async ({ skip }) => {
      const { log, recorder, other } = await begin();
      if (other === undefined) return skip(`${name} has one follower`);
      const second = other();
      closers.push(() => second.close());
      const witness = new Recorder();
      await second.start(witness);
      await Promise.all(
        Array.from({ length: 200 }, (_, n) =>
          (n % 2 === 0 ? log : second).append("a", { data: String(n) }),
        ),
      );
      await Promise.all([recorder.until(200), witness.until(200)]);
      expect(witness.entriesSeen).toEqual(recorder.entriesSeen);
      expect(second.compare(recorder.ids[0] as string, recorder.ids[1] as string)).toBeLessThan(0);
    });

    it("MUST deliver its own appends through the same path as those of others: each exactly once", async () => {
      const { log, recorder } = await begin();
      const ids = await Promise.all(
        Array.from({ length: 100 }, (_, n) => log.append("a", { data: String(n) })),
      );
      await recorder.until(100);
      await log.append("a", { data: "last" });
      await recorder.until(101);
      expect(recorder.ids.slice(0, 100).toSorted()).toEqual(ids.toSorted());
      expect(recorder.entriesSeen).toHaveLength(101);
    });

    it("keeps the order of one caller's appends, even without waiting", async () => {
      const { log, recorder } = await begin();
      const appends: Promise<string>[] = [];
      for (let n = 0; n < 100; n++) appends.push(log.append("a", { data: String(n) }));
      const ids = await Promise.all(appends);
      await recorder.until(100);
      expect(recorder.ids).toEqual(ids);
      expect(recorder.entriesSeen.map(({ data }) => Number(data))).toEqual(
        Array.from({ length: 100 }, (_, n) => n),
      );
    });

    it("MUST NOT deliver an id twice", async () => {
      const { log, recorder } = await begin();
      for (let n = 0; n < 300; n++) void log.append("a", { data: String(n) });
      await recorder.until(300);
      await log.append("b", { data: "last" });
      await recorder.until(301);
      expect(new Set(recorder.ids).size).toBe(recorder.ids.length);
    });

    it("MUST NOT deliver an append that it has rejected", async ({ skip }) => {
      const { log, recorder, breakAppends } = await begin();
      if (breakAppends === undefined) return skip(`${name} rejects nothing while it is open`);
      const mend = await breakAppends();
      await expect(log.append("a", { data: "rejected" })).rejects.toMatchObject({
        code: "ERR_SSE_LOG_REJECTED",
      });
      await mend();
      await log.append("a", { data: "taken" });
      await recorder.until(1);
      expect(recorder.entriesSeen.map(({ data }) => data)).toEqual(["taken"]);
    });

    it("MUST NOT call the follower after close has resolved, and rejects later appends", async () => {
      const { log, recorder, other } = await begin();
      await log.append("a", { data: "1" });
      await recorder.until(1);
      await log.close();
      const told = recorder.batches.length;
      await expect(log.append("a", { data: "late" })).rejects.toMatchObject({ name: "SseError" });
      if (other !== undefined) {
        const second = other();
        closers.push(() => second.close());
        const witness = new Recorder();
        await second.start(witness);
        await second.append("a", { data: "of another" });
        await witness.until(1);
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
      expect(recorder.batches).toHaveLength(told);
      expect(recorder.entriesSeen.map(({ data }) => data)).toEqual(["1"]);
    });

    it("may be closed twice, and before it is started", async () => {
      const { log } = await begin();
      await Promise.all([log.close(), log.close()]);
      await expect(log.close()).resolves.toBeUndefined();
      const unused = await open();
      closers.push(async () => unused.release?.());
      await expect(unused.log.close()).resolves.toBeUndefined();
    });

    it("adds one of the events published with the same dedupeKey, and returns its id for all", async () => {
      const { log, recorder } = await begin();
      const append = (data: string, dedupeKey: string): Promise<string> =>
        log.append("a", { data }, { dedupeKey });
      const first = await append("1", "x");
      const again = await Promise.all([append("2", "x"), append("3", "x")]);
      const other = await append("4", "y\0\n{}\u{1F600}");
      await recorder.until(2);
      expect(again).toEqual([first, first]);
      expect(recorder.ids).toEqual([first, other]);
      expect(recorder.entriesSeen.map(({ data }) => data)).toEqual(["1", "4"]);
    });

    it("is live while it has every published event, and closed after close", async () => {
      const { log, recorder } = await begin();
      await log.append("a", { data: "1" });
      await recorder.until(1);
      await eventually("the log to be live", () => log.health().state === "live");
      expect(log.health()).toMatchObject({ lagMs: 0, reconnects: 0 });
      await log.close();
      expect(log.health().state).toBe("closed");
      expect(recorder.faults).toEqual([]);
    });

    it("reads back from any of its entries to any older one, page by page", async ({ skip }) => {
      const { log, recorder, tail } = await begin();
      const { past } = log;
      if (past === undefined) return skip(`${name} keeps nothing but what it has delivered`);
      for (let n = 0; n < 10; n++) await log.append(`c${n % 2}`, { data: String(n) });
      await recorder.until(10);
      const places = [tail, ...recorder.ids];
      for (const [older, after] of places.entries()) {
        for (let newer = older; newer < places.length; newer++) {
          for (const isFirst of [true, false]) {
            // Excludes the newest entry if the caller has it.
            const wanted = recorder.entriesSeen.slice(older, isFirst ? newer : newer - 1);
            const found = await readAll(past, after, places[newer] as string, {
              hasUpTo: !isFirst,
            });
            expect(found).toEqual(older < newer ? wanted : []);
          }
        }
      }
    });

    it("reads back as far as possible if no older place is given", async ({ skip }) => {
      const { log, recorder } = await begin();
      const { past } = log;
      if (past === undefined) return skip(`${name} keeps nothing but what it has delivered`);
      for (let n = 0; n < 3; n++) await log.append("a", { data: String(n) });
      await recorder.until(3);
      const page = await past.read(undefined, recorder.ids[2] as string);
      expect(page).toMatchObject({
        entries: recorder.entriesSeen.map(({ id, data }) => ({ id, data })),
        isLast: true,
      });
    });

    it("reads no more than the caller has room for, but at least one entry", async ({ skip }) => {
      const { log, recorder } = await begin();
      const { past } = log;
      if (past === undefined) return skip(`${name} keeps nothing but what it has delivered`);
      const data = "x".repeat(1_000);
      for (let n = 0; n < 10; n++) await log.append("a", { data });
      await recorder.until(10);
      const [from, to] = [recorder.ids[0] as string, recorder.ids[9] as string];
      for (const room of [{ maxEntries: 2 }, { maxBytes: 2_500 }, { maxBytes: 0 }]) {
        const page = await past.read(from, to, { ...room, hasUpTo: true });
        if (typeof page !== "object") throw new Error(page);
        expect(page.entries.length).toBeGreaterThan(0);
        // A log may have a smaller limit.
        expect(page.entries.length).toBeLessThanOrEqual(3);
        expect(page.entries.at(-1)?.id).toBe(recorder.ids[8]);
        expect(await readAll(past, from, to, { ...room, hasUpTo: true })).toEqual(
          recorder.entriesSeen.slice(1, 9),
        );
      }
    });

    it("finds ids that it has assigned, many at once, and reports the age of the next entry", async ({
      skip,
    }) => {
      const { log, recorder, tail } = await begin();
      const { past } = log;
      if (past === undefined) return skip(`${name} keeps nothing but what it has delivered`);
      for (let n = 0; n < 3; n++) await log.append("a", { data: String(n) });
      await recorder.until(3);
      const ids = [tail, ...recorder.ids];
      const asked = ids.flatMap((id) => [id, "no id", id]);
      const found = (await past.find(asked)) ?? [];
      expect(found).toHaveLength(asked.length);
      const held: unknown = { missedMs: expect.any(Number) };
      expect(found).toEqual(asked.map((id) => (id === "no id" ? "unknown" : held)));
      expect(await past.find([])).toEqual([]);
    });

    it("reports when everything that was in the log has been delivered", async ({ skip }) => {
      const { log, recorder, other } = await begin();
      const { past } = log;
      if (past === undefined) return skip(`${name} always has delivered all`);
      await past.sync();
      const writer = other === undefined ? log : other();
      closers.push(() => writer.close());
      for (let round = 1; round <= 20; round++) {
        await writer.append("a", { data: String(round) });
        await past.sync();
        expect(recorder.entriesSeen).toHaveLength(round);
      }
      await Promise.all(Array.from({ length: 10 }, () => past.sync()));
    });

    it("reads nothing, and does not reject, for text that cannot be one of its ids", async ({
      skip,
    }) => {
      const { log, recorder } = await begin();
      const { past } = log;
      if (past === undefined) return skip(`${name} keeps nothing but what it has delivered`);
      await log.append("a", { data: "1" });
      await recorder.until(1);
      const upTo = recorder.ids[0] as string;
      for (const id of GARBAGE) expect(await past.read(id, upTo)).toBe("unknown");
      expect(await past.find(GARBAGE)).toEqual(GARBAGE.map(() => "unknown"));
    });

    it("closes within the given time, also twice and with less time", async () => {
      const { log } = await begin();
      await log.append("a", { data: "1" });
      const slow = log.close(10_000);
      await log.close(0);
      await slow;
      await expect(log.append("a", { data: "2" })).rejects.toMatchObject({
        code: "ERR_SSE_CLOSED",
      });
    });

    it("gives readers exactly what was published, live, after a position and from its past, in every process", async () => {
      const opened = await open();
      closers.push(async () => opened.release?.());
      const hub = createHub({ log: opened.log });
      closers.push(() => hub.close());
      const start = await hub.position();
      const live = hub.read(["a", "b"]);
      const published = [
        ["a", "1"],
        ["b", 1],
        ["a", '{"n":1}'],
        ["a", { n: 1 }],
        ["b", "two\nlines\n"],
        ["a", null],
        ["b", ""],
      ] as const;
      const expected: unknown[] = [];
      for (const [index, [channel, data]] of published.entries()) {
        const event = index % 2 === 0 ? "message" : "update";
        const message = index % 2 === 0 ? { data } : { event, data };
        const { id } = await hub.publish(channel, message);
        await hub.publish("c", "not read");
        expected.push({ type: "event", id, channel, event, data });
      }
      const count = published.length;
      expect(await take(live, count)).toEqual(expected);
      const readers = [hub];
      const workers: Reader[] = [];
      if (opened.other !== undefined && opened.log.past !== undefined) {
        const other = createHub({ log: opened.other() });
        readers.push(other);
        closers.push(() => other.close());
        const worker = createReader({ log: opened.other() });
        workers.push(worker);
        closers.push(() => worker.close());
      }
      for (const worker of workers) {
        expect(await take(worker.read(["a", "b"], { after: start }), count)).toEqual(expected);
      }
      const [first] = expected as { readonly id: string }[];
      for (const reader of readers) {
        const behind = reader.read(["a", "b"], { after: first?.id });
        expect(await take(behind, count - 1)).toEqual(expected.slice(1));
        const latest = reader.read("b", { latest: 2 });
        expect(await take(latest, 2)).toEqual([expected[4], expected[6]]);
        // A position is the same in every process, also in one that has not got as far yet.
        const before = await hub.publish("a", "before");
        const ahead = reader.read("a", { after: before.id });
        const next = ahead.next();
        const { id } = await hub.publish("a", "next");
        expect((await next).value).toMatchObject({ id, data: "next" });
      }
    });

    it("returns NaN when comparing text that cannot be one of its ids, on either side", async () => {
      const { log, tail } = await begin();
      const id = await log.append("a", { data: "1" });
      for (const text of GARBAGE) {
        expect([log.compare(text, id), log.compare(id, text)], JSON.stringify(text)).toEqual([
          NaN,
          NaN,
        ]);
        expect(log.compare(text, text)).toBeNaN();
      }
      for (const suffix of [" ", "\n", "\0", ".", "x", "-0", "9".repeat(128)]) {
        expect(log.compare(`${id}${suffix}`, tail), JSON.stringify(suffix)).toBeNaN();
      }
      expect(log.compare(` ${id}`, tail)).toBeNaN();
    });

    it("compares arbitrary text without throwing, and never equates it with one of its ids", async () => {
      const { log } = await begin();
      const id = await log.append("a", { data: "1" });
      fc.assert(
        fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
          if (text === id) return;
          const order = log.compare(text, id);
          expect(typeof order).toBe("number");
          expect(order).not.toBe(0);
        }),
      );
    });

    it("compares its ids in a total order", async () => {
      const { log, recorder, tail } = await begin();
      for (let n = 0; n < 30; n++) await log.append("a", { data: String(n) });
      await recorder.until(30);
      const ids = [tail, ...recorder.ids];
      for (const [i, a] of ids.entries()) {
        for (const [j, b] of ids.entries())
          expect(Math.sign(log.compare(a, b))).toBe(Math.sign(i - j));
      }
    });
  });
}
