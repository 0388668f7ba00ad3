/** Follows the stream over a connection of its own, and finds out when entries are lost. */

import type { LogEntry, LogResetReason } from "@tidewire/core/log";
import type { Client } from "./client.js";
import { Commands } from "./commands.js";
import type { Send, StreamInfo, Tail } from "./commands.js";
import { Connection } from "./connection.js";
import type { Deadline } from "./deadline.js";
import {
  compareStreamIds,
  decodeEntry,
  drawTag,
  formatId,
  isAt,
  isMark,
  placeOf,
  weightOf,
} from "./entry.js";
import type { Place, StreamEntry } from "./entry.js";
import { siblingKey } from "./key.js";
import type { Locator } from "./locator.js";
import { PageBudget } from "./page-budget.js";

/** What a reader tells the log. */
export interface ReaderObserver {
  /** Where the stream stood when reading began. Once. */
  started(place: Place): void;
  /** What came, in order; there may be none. @returns Whether anybody is waiting for any of it. */
  entries(entries: readonly LogEntry[]): boolean;
  /** What came after the last place is lost; reading goes on from another. */
  reset(reason: LogResetReason, place: Place): void;
  /** Whether the reader has all there is, or is without a connection. */
  caughtUp(): void;
  behind(): void;
  down(error: unknown): void;
}

/** Redis answers after so many milliseconds at the latest when nothing comes. */
const BLOCK_MS = 5_000;
/** If nothing is received for so much longer, the connection is half dead: with the step of a deadline, two seconds. */
const LATE_MS = 1_750;
/** Reads while much is published are so far apart, in milliseconds: each takes what came meanwhile. */
const PACE_MS = 10;
/** And so far while nobody here waits for any of it, */
const LEISURE_MS = 25;
/** and at least so many entries come in the meantime. */
const MANY = 8;
/** Within so many milliseconds no more is published than one reply may hold. */
const FRESH_MS = 100;
/** The most entries of a reply that is limited by count. */
const MOST_FRESH = 256;
/** An entry that weighs more is not transferred again just to see that it is there, in bytes. */
const HEAVY = 4_096;

/** More than any entry weighs. */
const ANYTHING = Number.MAX_SAFE_INTEGER;

/** Where the reader stands. */
interface Cursor extends Place {
  /** Number of entries that were ever added to the stream, up to this one; `undefined` where Redis does not count. */
  readonly added: number | undefined;
}

/** What one read gave. */
interface Read {
  /** The entries behind the cursor. */
  readonly entries: readonly StreamEntry[];
  readonly isMore: boolean;
}

/**
 * Follows the stream over a connection of its own.
 *
 * Each read begins *with* the entry that was read last. As long as it is there, with the tag that it had, what comes
 * behind it is complete: Redis drops only from the front. If it is not there, then something was dropped unread, or
 * the history is another one: the stream was deleted, or a failover lost its end. Sessions get a reset, and reading
 * goes on from the tail. Thus a hole is found before anything behind it is delivered.
 *
 * A lost history leaves a mark in the new one. Every place before a mark is void, because what a node or a client there
 * has seen may lack what was lost.
 *
 * A command that blocks tells when there is something to read. While much is published it is not needed: every ten
 * milliseconds there is. A read that may find much, because some time has passed or because entries are large, is
 * limited in bytes, which takes Redis several times as long as one that is limited by count.
 */
export class Reader {
  readonly #key: string;
  readonly #commands: Commands;
  /** Of a stream to which nobody ever writes. */
  readonly #paceKey: string;
  readonly #observer: ReaderObserver;
  readonly #connection: Connection;
  readonly #budget = new PageBudget();
  #cursor: Cursor | undefined;
  /** What the entry at the cursor weighs; `Infinity` while that is not known. */
  #cursorWeight = Infinity;
  /** When the last read came that found all there was. */
  #completeAt = -Infinity;
  /** The newest mark at or before the cursor, in the form of an id; `""` if there is none. */
  #mark = "";
  /** Those who wait until the cursor is at an id of Redis, or past it. */
  #waiting: { readonly streamId: string; readonly resolve: () => void }[] = [];
  #isClosed = false;

  constructor(key: string, locator: Locator, observer: ReaderObserver) {
    this.#key = key;
    this.#commands = new Commands(key);
    this.#paceKey = siblingKey(key, "pace");
    this.#observer = observer;
    this.#connection = new Connection(locator, false, {
      up: (client) => void this.#follow(client),
      down: (error) => observer.down(error),
    });
  }

  /** Begins to read. */
  start(): void {
    this.#connection.start();
  }

  /** Waits until all up to an id of Redis was handed over, or a reset has come instead. */
  reach(streamId: string): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ streamId, resolve });
      this.#reached();
    });
  }

  /** Reads no more; the observer is not called any more. */
  close(): void {
    this.#isClosed = true;
    this.#connection.close();
    this.#reached(true);
  }

  #reached(isOver = false): void {
    if (this.#waiting.length === 0) return;
    const at = this.#cursor?.streamId;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) {
      if (isOver || (at !== undefined && compareStreamIds(at, one.streamId) >= 0)) one.resolve();
      else this.#waiting.push(one);
    }
  }

  /** Reads until the connection is lost, and then has it made again. */
  async #follow(client: Client): Promise<void> {
    const deadline: Deadline = this.#connection.expectData(BLOCK_MS + LATE_MS);
    const send: Send = async <Reply>(args: readonly string[]): Promise<Reply> => {
      const reply = (await client.sendCommand(args)) as Reply;
      this.#connection.heard();
      return reply;
    };
    try {
      let cursor = this.#cursor ?? (await this.#begin(send));
      for (let wait: Wait = "nothing"; !this.#isClosed;) {
        const read = await this.#read(send, cursor, wait);
        if (this.#isClosed) return;
        const readAt = performance.now();
        if (read === undefined) {
          cursor = await this.#reset(cursor, send);
          wait = "nothing";
          continue;
        }
        const { entries, isMore } = read;
        const last = entries.at(-1);
        if (last !== undefined) {
          cursor = { ...placeOf(last), added: plus(cursor.added, entries.length) };
          this.#cursor = cursor;
          this.#cursorWeight = weightOf(last);
        }
        this.#connection.succeed();
        const isWanted = last !== undefined && this.#deliver(entries);
        this.#reached();
        if (isMore) {
          this.#observer.behind();
          wait = "nothing";
          continue;
        }
        this.#completeAt = readAt;
        this.#observer.caughtUp();
        if (last === undefined) wait = "entry";
        else if (!isWanted && entries.length >= MANY) wait = "leisure";
        else wait = await pause(readAt + PACE_MS - performance.now());
      }
    } catch (error) {
      this.#connection.fail(error);
    } finally {
      deadline.clear();
    }
  }

  /** @returns `undefined` if the entry at the cursor is not there any more. */
  async #read(send: Send, cursor: Place, wait: Wait): Promise<Read | undefined> {
    if (wait === "entry") return this.#readWhenThereIs(send, cursor);
    // Redis keeps commands until a blocking one before them is answered. What it then finds came just now.
    const isFresh = wait === "leisure" || performance.now() - this.#completeAt < FRESH_MS;
    const isLight = isFresh && this.#cursorWeight <= HEAVY;
    const [, read] = await Promise.all([
      wait === "leisure" ? send(blockFor(LEISURE_MS, this.#paceKey, "0")) : undefined,
      isLight ? this.#readByCount(send, cursor) : this.#readByWeight(send, cursor, wait),
    ]);
    return read;
  }

  /** Waits until there is something behind the cursor, but five seconds at most, and reads it. */
  async #readWhenThereIs(send: Send, cursor: Place): Promise<Read | undefined> {
    const { entries: most, bytes } = this.#budget;
    const [came, page] = await Promise.all([
      send<[string, StreamEntry[]][] | null>(blockFor(BLOCK_MS, this.#key, cursor.streamId)),
      this.#commands.readOn(send, cursor.streamId, most, bytes, HEAVY),
    ]);
    if (page === undefined || page.tag !== cursor.tag) return undefined;
    if (!page.isBare) return page;
    // The command that blocks has brought the first entry already: twice would be too much where it is large.
    const first = came?.[0]?.[1][0];
    const [bare, ...others] = page.entries;
    const isSame = first !== undefined && bare !== undefined && isAt(first, placeOf(bare));
    return isSame
      ? { entries: [first, ...others], isMore: page.isMore }
      : { entries: [], isMore: true };
  }

  async #readByCount(send: Send, cursor: Place): Promise<Read | undefined> {
    const range = ["XRANGE", this.#key, cursor.streamId, "+"];
    const page = await send<StreamEntry[]>([...range, "COUNT", String(MOST_FRESH + 1)]);
    const [first] = page;
    if (first === undefined || !isAt(first, cursor)) return undefined;
    return { entries: page.slice(1), isMore: page.length > MOST_FRESH };
  }

  async #readByWeight(send: Send, cursor: Place, wait: Wait): Promise<Read | undefined> {
    const { entries, bytes } = this.#budget;
    const askedAt = performance.now();
    try {
      const page = await this.#commands.readOn(send, cursor.streamId, entries, bytes, ANYTHING);
      if (page === undefined || page.tag !== cursor.tag) return undefined;
      // Behind a command that blocks, the time says nothing about the page.
      if (wait === "nothing") this.#budget.took(page.entries, performance.now() - askedAt);
      return page;
    } catch (error) {
      if (wait === "nothing") this.#budget.failed();
      throw error;
    }
  }

  /** @returns Whether anybody is waiting for any of it. */
  #deliver(entries: readonly StreamEntry[]): boolean {
    let events: LogEntry[] = [];
    let isWanted = false;
    for (const entry of entries) {
      const event = decodeEntry(entry);
      if (event !== undefined) {
        events.push(event);
      } else if (isMark(entry)) {
        // Another node has seen more of the lost history than this one, which did not notice: the entry where it stood
        // is in both.
        isWanted = this.#observer.entries(events) || isWanted;
        events = [];
        this.#mark = formatId(placeOf(entry));
        this.#startAnew(placeOf(entry), "fork");
      }
    }
    return this.#observer.entries(events) || isWanted;
  }

  #startAnew(place: Place, reason: LogResetReason): void {
    if (!this.#isClosed) this.#observer.reset(reason, place);
  }

  async #begin(send: Send): Promise<Cursor> {
    const tail = await this.#commands.start(send, drawTag());
    this.#stand(tail);
    if (!this.#isClosed) this.#observer.started(tail);
    return tail;
  }

  #stand(tail: Tail): void {
    this.#cursor = tail;
    this.#cursorWeight = Infinity;
    this.#mark = tail.mark;
  }

  async #reset(cursor: Cursor, send: Send): Promise<Cursor> {
    const reason = reasonFor(cursor, await this.#commands.inspect(send));
    const tail =
      reason === "fork"
        ? await this.#commands.mark(send, this.#mark, drawTag(), cursor.streamId)
        : await this.#commands.start(send, drawTag());
    this.#stand(tail);
    this.#startAnew(tail, reason);
    this.#reached(true);
    return tail;
  }
}

/** What to wait for before the next read: that there is something; that more has come, which nobody is waiting for. */
type Wait = "nothing" | "entry" | "leisure";

function plus(added: number | undefined, more: number): number | undefined {
  return added === undefined ? undefined : added + more;
}

/** The cursor's entry is not there any more: because it was dropped with all before it, or because the history is another. */
function reasonFor(cursor: Cursor, { lastId, firstId, added }: StreamInfo): LogResetReason {
  if (lastId === undefined || firstId === undefined) return "fork";
  if (compareStreamIds(lastId, cursor.streamId) < 0) return "fork";
  if (added !== undefined && cursor.added !== undefined && added < cursor.added) return "fork";
  return compareStreamIds(firstId, cursor.streamId) > 0 ? "trimmed" : "fork";
}

/**
 * A command that is answered when there is something behind a place, but after a time at most.
 *
 * That Redis keeps the time, of a stream to which nobody writes, saves the node every other wake-up. It does so exactly
 * only while it has enough to do; therefore not where a client waits.
 */
function blockFor(ms: number, key: string, after: string): string[] {
  return ["XREAD", "COUNT", "1", "BLOCK", String(ms), "STREAMS", key, after];
}

/** The process may exit meanwhile. */
async function pause(ms: number): Promise<"nothing"> {
  if (ms > 0) {
    await new Promise((resolve) => {
      setTimeout(resolve, ms).unref();
    });
  }
  return "nothing";
}
