import type { RunState, Tapes } from "@tidewire/runs";
import { encodeKey } from "@tidewire/runs/tapes";
import type {
  CancelReason,
  RunEnd,
  TapeItem,
  TapeReader,
  TapeTerms,
  TapeWriter,
} from "@tidewire/runs/tapes";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, within } from "../client.js";

/** An implementation of the Tapes interface, as the contract needs it. */
export interface TapesUnderTest {
  readonly name: string;
  /** Creates an empty store. The contract closes it; `release` frees other resources. */
  open(): Promise<{
    readonly tapes: Tapes;
    /** Opens the same store again, as in another process; absent if that is impossible. */
    readonly other?: (() => Tapes) | undefined;
    release?(): Promise<void>;
  }>;
  /** Most milliseconds after which other nodes know that a follower came or left. */
  readonly presenceMs?: number | undefined;
}

const TERMS: TapeTerms = { keepMs: 60_000, abandonMs: false };
const RUN_ID = /^[A-Za-z0-9._~-]{3,110}$/;

const KEYS = [
  "a",
  "chat:4711",
  "an answer/with spaces",
  "Überfluß",
  "\u{1F600}",
  "\0\n\r",
  "~end",
  "a.b.1",
  "..",
  "__proto__",
  "constructor",
  "{tag}key",
  "*",
  "x".repeat(96),
  "ä".repeat(16),
];

/** A run with what its store told its producer. */
interface Begun {
  readonly writer: TapeWriter;
  readonly cancels: CancelReason[];
}

/** Begins a run that must not exist yet. */
export async function begin(tapes: Tapes, key: string, terms: TapeTerms = TERMS): Promise<Begun> {
  const cancels: CancelReason[] = [];
  const writer = await within(
    `the run ${key}`,
    tapes.create(key, terms, (why) => void cancels.push(why)),
  );
  if (writer === undefined) throw new Error(`A run of ${key} is going on`);
  return { writer, cancels };
}

/** Opens a tape that must exist. */
export async function openTape(tapes: Tapes, key: string): Promise<TapeReader> {
  const reader = await within(`the tape of ${key}`, tapes.open(key));
  if (reader === undefined) throw new Error(`There is no tape of ${key}`);
  return reader;
}

/** Waits for a tape to have a number of items, and returns all it has. */
export async function itemsOf({ tape }: TapeReader, least: number): Promise<TapeItem[]> {
  await eventually(
    () => `${least} items, there are ${tape.length}`,
    () => tape.length >= least,
  );
  return Array.from({ length: tape.length }, (_, index) => tape.at(index + 1)!);
}

/** Waits for the end of a tape. */
export async function endOf({ tape }: TapeReader): Promise<RunEnd> {
  await eventually("the end of a tape", () => tape.end !== undefined);
  return tape.end!;
}

/** Numbered items. */
export function items(count: number, from = 1): TapeItem[] {
  return Array.from({ length: count }, (_, index) => ({ data: `item ${from + index}` }));
}

/** An item without the fields that are not set: a store may leave them out. */
function plain({ event, data, retry }: TapeItem): TapeItem {
  return JSON.parse(JSON.stringify({ event, data, retry })) as TapeItem;
}

function plainState(state: RunState | undefined): unknown {
  return state === undefined ? undefined : JSON.parse(JSON.stringify(state));
}

/**
 * The requirements for every store of tapes, as in `packages/runs/src/tapes.ts`.
 *
 * @param subject - The implementation under test.
 */
export function tapesContract({ name, open, presenceMs = 0 }: TapesUnderTest): void {
  const closers: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  /** Two views of one store: two processes if the store can be shared, otherwise twice the same. */
  async function openStore(): Promise<{ tapes: Tapes; other: Tapes }> {
    const { tapes, other: openOther, release } = await open();
    if (release !== undefined) closers.push(() => release());
    closers.push(() => within("the store to close", tapes.close()));
    if (openOther === undefined) return { tapes, other: tapes };
    const other = openOther();
    closers.push(() => within("the other store to close", other.close()));
    return { tapes, other };
  }

  describe(`A store of tapes: ${name}`, () => {
    it.each(KEYS)("begins a run of any key with a new id: %j", async (key) => {
      const { tapes, other } = await openStore();
      const { writer } = await begin(tapes, key);
      expect(writer.runId).toMatch(RUN_ID);
      expect(writer.runId.startsWith(`${encodeKey(key)}.`)).toBe(true);
      const reader = await openTape(other, key);
      expect(reader.runId).toBe(writer.runId);
      expect(reader.tape.length).toBe(0);
      expect((await other.state(key))?.key).toBe(key);
      reader.close();
    });

    it("lets one run of a key go on at a time", async () => {
      const { tapes, other } = await openStore();
      const { writer } = await begin(tapes, "a");
      expect(await tapes.create("a", TERMS, () => {})).toBeUndefined();
      expect(await other.create("a", TERMS, () => {})).toBeUndefined();
      await begin(other, "b");
      await writer.end({ outcome: "done" });
      await begin(other, "a");
    });

    it("begins one run for many calls at once", async () => {
      const { tapes, other } = await openStore();
      const calls = Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? tapes : other).create("a", TERMS, () => {}),
      );
      const writers = await within("all calls", Promise.all(calls));
      expect(writers.filter((writer) => writer !== undefined)).toHaveLength(1);
    });

    it("gives every reader the same items in order, whenever it comes", async () => {
      const { tapes, other } = await openStore();
      const { writer } = await begin(tapes, "a");
      const early = await openTape(other, "a");
      await writer.append(items(3));
      const middle = await openTape(tapes, "a");
      for (const item of items(200, 4)) void writer.append([item]);
      await writer.append(items(2, 204));
      const late = await openTape(other, "a");
      for (const reader of [early, middle, late]) {
        expect((await itemsOf(reader, 205)).map(plain)).toEqual(items(205));
        expect(reader.tape.end).toBeUndefined();
      }
      await writer.end({ outcome: "done" });
      for (const reader of [early, middle, late]) {
        expect(await endOf(reader)).toMatchObject({ outcome: "done" });
        expect(reader.tape.length).toBe(205);
        reader.close();
      }
    });

    it("keeps every field of an item", async () => {
      const { tapes, other } = await openStore();
      const given: TapeItem[] = [
        { data: "" },
        { data: "two\nlines", event: "token" },
        { data: "\u{1F600} \0 \r\n", event: "ä", retry: 0 },
        { data: "x".repeat(100_000), retry: 2_147_483_647 },
        { event: undefined, data: '{"a":1}', retry: undefined },
      ];
      const { writer } = await begin(tapes, "a");
      await writer.append(given);
      const reader = await openTape(other, "a");
      expect((await itemsOf(reader, given.length)).map(plain)).toEqual(given.map(plain));
      reader.close();
    });

    it("puts the end behind items that are still on their way", async () => {
      const { tapes, other } = await openStore();
      const { writer } = await begin(tapes, "a");
      const reader = await openTape(other, "a");
      const taken = items(50).map(async (item) => writer.append([item]));
      await Promise.all(taken);
      await writer.end({ outcome: "done" });
      await endOf(reader);
      expect((await itemsOf(reader, 50)).map(plain)).toEqual(items(50));
      reader.close();
    });

    it.each<RunEnd>([
      { outcome: "done" },
      { outcome: "stopped" },
      { outcome: "lost" },
      { outcome: "failed", error: "The model\nhas failed: \u{1F600}" },
    ])("tells every reader how the run has ended: $outcome", async (end) => {
      const { tapes, other } = await openStore();
      const { writer, cancels } = await begin(tapes, "a");
      const early = await openTape(other, "a");
      await writer.append(items(1));
      await writer.end(end);
      const late = await openTape(other, "a");
      for (const reader of [early, late]) {
        expect(await endOf(reader)).toMatchObject(end);
        expect(reader.tape.length).toBe(1);
        reader.close();
      }
      expect(await other.state("a")).toMatchObject({ state: end.outcome });
      expect((await other.state("a"))?.error).toBe(end.error);
      expect(cancels).toEqual([]);
    });

    it("keeps a tape for keepMs after its end, and not longer", async () => {
      const { tapes, other } = await openStore();
      const { writer } = await begin(tapes, "a", { keepMs: 400, abandonMs: false });
      await writer.append(items(2));
      await writer.end({ outcome: "done" });
      const kept = await openTape(other, "a");
      expect(await itemsOf(kept, 2)).toHaveLength(2);
      kept.close();
      const end = performance.now() + 5_000;
      while ((await other.state("a")) !== undefined && performance.now() < end) {
        await new Promise((resolve) => {
          setTimeout(resolve, 20);
        });
      }
      expect(await other.open("a")).toBeUndefined();
      expect(await other.state("a")).toBeUndefined();
      expect(await other.list({ prefix: "", limit: 10 })).toEqual([]);
    });

    it("replaces a run that has ended: those at it read it to its end, new ones get the new run", async () => {
      const { tapes, other } = await openStore();
      const first = await begin(tapes, "a");
      const atFirst = await openTape(other, "a");
      await first.writer.append(items(3));
      await itemsOf(atFirst, 3);
      await first.writer.end({ outcome: "done" });
      const second = await begin(other, "a");
      expect(second.writer.runId).not.toBe(first.writer.runId);
      await second.writer.append(items(1, 100));
      const atSecond = await openTape(tapes, "a");
      expect(atSecond.runId).toBe(second.writer.runId);
      expect((await itemsOf(atSecond, 1)).map(plain)).toEqual(items(1, 100));
      expect(await endOf(atFirst)).toMatchObject({ outcome: "done" });
      expect((await itemsOf(atFirst, 3)).map(plain)).toEqual(items(3));
      expect(atFirst.runId).toBe(first.writer.runId);
      atFirst.close();
      atSecond.close();
    });

    it("knows nothing of a key without a run", async () => {
      const { tapes } = await openStore();
      expect(await tapes.open("a")).toBeUndefined();
      expect(await tapes.state("a")).toBeUndefined();
      expect(await tapes.stop("a")).toBe(false);
      expect(await tapes.list({ prefix: "", limit: 10 })).toEqual([]);
    });

    it("stops a run from any node: its producer is cancelled once, its readers get the end", async () => {
      const { tapes, other } = await openStore();
      const { writer, cancels } = await begin(tapes, "a");
      await writer.append(items(2));
      const reader = await openTape(other, "a");
      expect(await other.stop("a")).toBe(true);
      expect(await endOf(reader)).toMatchObject({ outcome: "stopped" });
      await eventually("the producer to be told", () => cancels.length > 0);
      expect(cancels).toEqual(["stopped"]);
      expect(await other.stop("a")).toBe(false);
      expect(await tapes.state("a")).toMatchObject({ state: "stopped", items: 2 });
      reader.close();
    });

    it("adds nothing after a stop, and lets another run begin at once", async () => {
      const { tapes, other } = await openStore();
      const { writer } = await begin(tapes, "a");
      await writer.append(items(2));
      const reader = await openTape(tapes, "a");
      expect(await other.stop("a")).toBe(true);
      const second = await begin(other, "a");
      // Items that a producer adds before it learns of the stop may be refused or dropped.
      await Promise.allSettled([writer.append(items(1, 3))]);
      await second.writer.append(items(1, 100));
      const atSecond = await openTape(tapes, "a");
      expect((await itemsOf(atSecond, 1)).map(plain)).toEqual(items(1, 100));
      expect(await endOf(reader)).toMatchObject({ outcome: "stopped" });
      expect((await itemsOf(reader, 2)).map(plain)).toEqual(items(2));
      expect(await tapes.state("a")).toMatchObject({ state: "running" });
      reader.close();
      atSecond.close();
    });

    it("has cancelled a producer of its own once stop resolves", async () => {
      const { tapes } = await openStore();
      const { cancels } = await begin(tapes, "a");
      expect(await tapes.stop("a")).toBe(true);
      expect(cancels).toEqual(["stopped"]);
    });

    it("cancels the producer of a run that is stopped while it begins", async () => {
      const { tapes, other } = await openStore();
      await begin(tapes, "another one");
      for (let round = 0; round < 30; round++) {
        const key = `a/${round}`;
        const begun = begin(tapes, key);
        while (!(await other.stop(key))) {
          // It has not begun yet.
        }
        const { cancels } = await begun;
        // Without the notice it would go on until its lease is renewed.
        await eventually("the producer to be told", () => cancels.length > 0, 1_000);
        expect(cancels).toEqual(["stopped"]);
      }
    });

    it("does not stop a run that has ended", async () => {
      const { tapes } = await openStore();
      const { writer, cancels } = await begin(tapes, "a");
      await writer.end({ outcome: "done" });
      expect(await tapes.stop("a")).toBe(false);
      expect(await tapes.state("a")).toMatchObject({ state: "done" });
      expect(cancels).toEqual([]);
    });

    it("counts the time without a follower from the start, and from when the last one left", async () => {
      const { tapes, other } = await openStore();
      const pause = (ms: number): Promise<void> =>
        new Promise((resolve) => {
          setTimeout(resolve, ms);
        });
      const before = performance.now();
      const { writer } = await begin(tapes, "a");
      await pause(50);
      const atFirst = await writer.unfollowedMs();
      expect(atFirst).toBeGreaterThanOrEqual(45 - presenceMs);
      expect(atFirst).toBeLessThanOrEqual(performance.now() - before + 1);

      const one = await openTape(other, "a");
      const two = await openTape(tapes, "a");
      await pause(presenceMs);
      expect(await writer.unfollowedMs()).toBe(0);
      one.close();
      one.close();
      await pause(presenceMs + 20);
      expect(await writer.unfollowedMs()).toBe(0);

      const leaving = performance.now();
      two.close();
      await pause(presenceMs + 30);
      const since = await writer.unfollowedMs();
      expect(since).toBeGreaterThan(0);
      expect(since).toBeLessThanOrEqual(performance.now() - leaving + 1);
    });

    it("describes a run", async () => {
      const { tapes, other } = await openStore();
      const before = Date.now();
      const { writer } = await begin(tapes, "a");
      await writer.append(items(3));
      const running = await other.state("a");
      expect(plainState(running)).toEqual({
        key: "a",
        runId: writer.runId,
        state: "running",
        items: 3,
        startedAt: expect.any(Number),
      });
      // The clock of the store may differ from that of this process.
      expect(Math.abs(running!.startedAt - before)).toBeLessThan(5_000);
      await writer.end({ outcome: "failed", error: "no" });
      expect(plainState(await other.state("a"))).toEqual({
        key: "a",
        runId: writer.runId,
        state: "failed",
        error: "no",
        items: 3,
        startedAt: running!.startedAt,
        endedAt: expect.any(Number),
      });
    });

    it("lists the newest run of each key by the beginning of the key", async () => {
      const { tapes, other } = await openStore();
      for (const key of ["chat:1", "chat:2", "chat*", "export:1"]) await begin(tapes, key);
      await (await begin(other, "chat:3")).writer.end({ outcome: "done" });
      const keysOf = async (prefix: string, limit = 100): Promise<string[]> =>
        (await other.list({ prefix, limit })).map(({ key }) => key).toSorted();
      expect(await keysOf("chat:")).toEqual(["chat:1", "chat:2", "chat:3"]);
      expect(await keysOf("chat*")).toEqual(["chat*"]);
      expect(await keysOf("no")).toEqual([]);
      expect(await keysOf("")).toHaveLength(5);
      expect(await keysOf("", 2)).toHaveLength(2);
      const [ended] = await other.list({ prefix: "chat:3", limit: 1 });
      expect(ended).toMatchObject({ key: "chat:3", state: "done", items: 0 });
    });

    it("ends the runs of a process that closes as lost", async () => {
      const { tapes, other } = await openStore();
      const { cancels } = await begin(tapes, "a");
      const reader = await openTape(other, "a");
      await within("the store to close", tapes.close());
      expect(await endOf(reader)).toMatchObject({ outcome: "lost" });
      expect(cancels).toEqual(["lost"]);
      await within("the store to close again", tapes.close());
      await expect(tapes.create("b", TERMS, () => {})).rejects.toMatchObject({
        code: "ERR_SSE_CLOSED",
        statusCode: 503,
      });
    });
  });
}
