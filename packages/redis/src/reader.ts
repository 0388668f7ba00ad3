/** Follows the stream over a separate connection, and detects lost entries. */

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

/** Receives the reader's events. */
export interface ReaderObserver {
  /** Place of the stream when reading began. Called once. */
  started(place: Place): void;
  /** New entries in order, possibly none. @returns Whether any subscriber is waiting for them. */
  entries(entries: readonly LogEntry[]): boolean;
  /** The entries after the last place are lost; reading continues from another place. */
  reset(reason: LogResetReason, place: Place): void;
  /** The reader has read everything. */
  caughtUp(): void;
  behind(): void;
  down(error: unknown): void;
}

/** Redis answers within this many milliseconds if there is no new entry. */
const BLOCK_MS = 5_000;
/**
 * Silence beyond `BLOCK_MS` after which the connection counts as half dead. With a step of the deadline: two seconds.
 */
const LATE_MS = 1_750;
/** Interval of reads while much is published, in milliseconds: each read takes all entries since the last. */
const PACE_MS = 10;
/** Interval while no client here waits for any of them, in milliseconds. */
const LEISURE_MS = 25;
/** Entries that arrive at least within that interval. */
const MANY = 8;
/** Within this many milliseconds no more is published than one reply may hold. */
const FRESH_MS = 100;
/** Most entries in a reply that is limited by count. */
const MOST_FRESH = 256;
/** Size in bytes above which an entry is not transferred again only to confirm that it exists. */
const HEAVY = 4_096;

/** Larger than any entry. */
const ANYTHING = Number.MAX_SAFE_INTEGER;

/** Position of the reader. */
interface Cursor extends Place {
  /** Number of entries ever added to the stream up to this one; `undefined` if Redis does not count them. */
  readonly added: number | undefined;
}

/** Result of one read. */
interface Read {
  /** Entries after the cursor. */
  readonly entries: readonly StreamEntry[];
  readonly isMore: boolean;
}

/**
 * Follows the stream over a separate connection.
 *
 * Each read begins *with* the entry that was read last. If that entry still exists, with the same tag, the entries
 * after it are complete, because Redis drops only from the front. If not, either unread entries were dropped, or the
 * history was replaced: the stream was deleted, or a failover lost its end. Sessions then get a reset, and reading
 * continues from the tail. A gap is thus detected before any entry after it is delivered.
 *
 * A lost history leaves a mark in the new one. Every place before a mark is void, because a node or client there may
 * have missed entries that were lost.
 *
 * A blocking command signals that there are entries to read. Under load it is not needed, because every ten
 * milliseconds there are some. A read that may return much, because time has passed or because entries are large, is
 * limited by bytes, which takes Redis several times as long as a limit by count.
 */
export class Reader {
  readonly #key: string;
  readonly #commands: Commands;
  /** Key of a stream that is never written to. */
  readonly #paceKey: string;
  readonly #observer: ReaderObserver;
  readonly #connection: Connection;
  readonly #budget = new PageBudget();
  #cursor: Cursor | undefined;
  /** Size of the entry at the cursor; `Infinity` while unknown. */
  #cursorWeight = Infinity;
  /** Time of the last read that returned everything available. */
  #completeAt = -Infinity;
  /** Newest mark that was read, in the form of an id; `""` if there was none. */
  #mark = "";
  #resets = 0;
  /** Callers waiting until the cursor has reached a Redis id. */
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

  /** Whether a history is known to have been replaced: by this node, or by a mark. */
  get wasReplaced(): boolean {
    return this.#mark !== "";
  }

  /** Number of resets so far. */
  get resets(): number {
    return this.#resets;
  }

  /** Starts reading. */
  start(): void {
    this.#connection.start();
  }

  /** Waits until all entries up to a Redis id have been handed over, or a reset was made instead. */
  reach(streamId: string): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ streamId, resolve });
      this.#reached();
    });
  }

  /** Stops reading; the observer is not called any more. */
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

  /** Reads until the connection is lost, which reopens it. */
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

  /** @returns `undefined` if the entry at the cursor is gone. */
  async #read(send: Send, cursor: Place, wait: Wait): Promise<Read | undefined> {
    if (wait === "entry") return this.#readWhenThereIs(send, cursor);
    // Redis holds back commands behind a blocking one, so the entries it then returns are new.
    const isFresh = wait === "leisure" || performance.now() - this.#completeAt < FRESH_MS;
    const isLight = isFresh && this.#cursorWeight <= HEAVY;
    const [, read] = await Promise.all([
      wait === "leisure" ? send(blockFor(LEISURE_MS, this.#paceKey, "0")) : undefined,
      isLight ? this.#readByCount(send, cursor) : this.#readByWeight(send, cursor, wait),
    ]);
    return read;
  }

  /** Waits at most five seconds for an entry after the cursor, then reads. */
  async #readWhenThereIs(send: Send, cursor: Place): Promise<Read | undefined> {
    const { entries: most, bytes } = this.#budget;
    const [came, page] = await Promise.all([
      send<[string, StreamEntry[]][] | null>(blockFor(BLOCK_MS, this.#key, cursor.streamId)),
      this.#commands.readOn(send, cursor.streamId, most, bytes, HEAVY),
    ]);
    if (page === undefined || page.tag !== cursor.tag) return undefined;
    if (!page.isBare) return page;
    // The blocking command has already returned the first entry: transferring a large one twice would be too much.
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
      // Behind a blocking command, the duration says nothing about the page.
      if (wait === "nothing") this.#budget.took(page.entries, performance.now() - askedAt);
      return page;
    } catch (error) {
      if (wait === "nothing") this.#budget.failed();
      throw error;
    }
  }

  /** @returns Whether any subscriber is waiting for them. */
  #deliver(entries: readonly StreamEntry[]): boolean {
    let events: LogEntry[] = [];
    let isWanted = false;
    for (const entry of entries) {
      const event = decodeEntry(entry);
      if (event !== undefined) {
        events.push(event);
      } else if (isMark(entry)) {
        // Another node has seen more of the lost history than this one, which did not notice because the entry at its
        // place is in both histories.
        isWanted = this.#observer.entries(events) || isWanted;
        events = [];
        this.#mark = formatId(placeOf(entry));
        this.#startAnew(placeOf(entry), "fork");
      }
    }
    return this.#observer.entries(events) || isWanted;
  }

  #startAnew(place: Place, reason: LogResetReason): void {
    this.#resets += 1;
    if (!this.#isClosed) this.#observer.reset(reason, place);
    this.#reached(true);
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
    // A mark that the stream no longer holds still says that a history was replaced.
    if (tail.mark !== "") this.#mark = tail.mark;
  }

  async #reset(cursor: Cursor, send: Send): Promise<Cursor> {
    const reason = reasonFor(cursor, await this.#commands.inspect(send));
    const tail =
      reason === "fork"
        ? await this.#commands.mark(send, this.#mark, drawTag(), cursor.streamId)
        : await this.#commands.start(send, drawTag());
    this.#stand(tail);
    this.#startAnew(tail, reason);
    return tail;
  }
}

/** What to wait for before the next read: nothing, an entry, or a pause in which more of them arrive. */
type Wait = "nothing" | "entry" | "leisure";

function plus(added: number | undefined, more: number): number | undefined {
  return added === undefined ? undefined : added + more;
}

/** The cursor's entry is gone: either it was dropped with all entries before it, or the history was replaced. */
function reasonFor(cursor: Cursor, { lastId, firstId, added }: StreamInfo): LogResetReason {
  if (lastId === undefined || firstId === undefined) return "fork";
  if (compareStreamIds(lastId, cursor.streamId) < 0) return "fork";
  if (added !== undefined && cursor.added !== undefined && added < cursor.added) return "fork";
  return compareStreamIds(firstId, cursor.streamId) > 0 ? "trimmed" : "fork";
}

/**
 * Builds a command that Redis answers when there is an entry after a place, or when a time has passed.
 *
 * Letting Redis keep the time, on a stream that is never written to, saves the node every other wake-up. Redis is exact
 * only while it is busy, so this is not used while a client waits.
 */
function blockFor(ms: number, key: string, after: string): string[] {
  return ["XREAD", "COUNT", "1", "BLOCK", String(ms), "STREAMS", key, after];
}

/** The process may exit during the pause. */
async function pause(ms: number): Promise<"nothing"> {
  if (ms > 0) {
    await new Promise((resolve) => {
      setTimeout(resolve, ms).unref();
    });
  }
  return "nothing";
}
