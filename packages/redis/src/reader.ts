import type { LogEntry, LogResetReason } from "@tidewire/core";
import type { RedisClient, RedisClientSource } from "./client.js";
import { Connection } from "./connection.js";
import {
  compareStreamIds,
  decodeEntry,
  drawTag,
  encodeFork,
  encodeMark,
  isAt,
  lostBefore,
  placeOf,
} from "./entry.js";
import type { Place, StreamEntry } from "./entry.js";
import { siblingKey } from "./key.js";
import { PageSize } from "./page-size.js";
import { NEWEST } from "./scripts.js";

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
/** A reply that is so much later than it has to be will not come: the connection is half dead. */
const LATE_MS = 2_000;
/** All nodes find out the same loss within this time, in milliseconds. */
const SAME_FORK_MS = 30_000;
/** Reads while much is published are so far apart, in milliseconds: each takes what came meanwhile. */
const PACE_MS = 10;
/** And so far while nobody here waits for any of it, */
const LEISURE_MS = 25;
/** and at least so many entries come in the meantime. */
const MANY = 8;

/** Where the reader stands. */
interface Cursor extends Place {
  /** Number of entries that were ever added to the stream, up to this one; `undefined` where Redis does not count. */
  readonly added: number | undefined;
}

/**
 * Follows the stream over a connection of its own.
 *
 * Each read begins *with* the entry that was read last. As long as it is there, with the tag that it had, all that
 * comes behind it is all there is: Redis drops only from the front. If it is not, something was dropped that was not
 * read yet, or the history is another one: the stream was deleted, or a failover lost its end. Sessions are told, and
 * reading goes on from the tail. So a hole is found before anything behind it is delivered.
 *
 * A command that blocks tells when there is something to read. While much is published it is not needed: every ten
 * milliseconds there is.
 */
export class Reader {
  readonly #key: string;
  /** Of a stream to which nobody ever writes. */
  readonly #paceKey: string;
  readonly #observer: ReaderObserver;
  readonly #connection: Connection;
  readonly #pageSize = new PageSize();
  #cursor: Cursor | undefined;
  /** Where it has read from without a break: the beginning, or the last reset. */
  #since: string | undefined;
  /** Until then what other nodes tell of a loss is the one that is known already. */
  #deafUntil = 0;
  /** Those who wait until the cursor is at an id of Redis, or past it. */
  #waiting: { readonly streamId: string; readonly resolve: () => void }[] = [];
  #isClosed = false;

  constructor(key: string, source: RedisClientSource, observer: ReaderObserver) {
    this.#key = key;
    this.#paceKey = siblingKey(key, "pace");
    this.#observer = observer;
    this.#connection = new Connection(source, true, {
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
  async #follow(client: RedisClient): Promise<void> {
    const watchdog = setTimeout(() => {
      this.#connection.fail(new Error("Redis did not answer in time: the connection is half dead"));
    }, BLOCK_MS + LATE_MS).unref();
    const send = async <Reply>(args: readonly string[]): Promise<Reply> => {
      watchdog.refresh();
      return (await client.sendCommand(args)) as Reply;
    };
    try {
      let cursor = this.#cursor ?? (await this.#begin(send));
      for (let wait: Wait = "nothing"; !this.#isClosed;) {
        const entries = await this.#next(send, cursor, wait);
        if (this.#isClosed) return;
        const readAt = performance.now();
        const count = this.#pageSize.count;
        this.#pageSize.saw(entries);
        const [first] = entries;
        if (first === undefined || !isAt(first, cursor)) {
          cursor = await this.#reset(cursor, send);
          wait = "nothing";
          continue;
        }
        const last = entries.at(-1) ?? first;
        cursor = { ...placeOf(last), added: plus(cursor.added, entries.length - 1) };
        this.#cursor = cursor;
        this.#connection.succeed();
        const isWanted = entries.length > 1 && this.#deliver(entries.slice(1));
        this.#reached();
        // There may be more behind a page that is full.
        if (entries.length > count) {
          this.#observer.behind();
          wait = "nothing";
          continue;
        }
        this.#observer.caughtUp();
        if (entries.length === 1) wait = "entry";
        else if (!isWanted && entries.length > MANY) wait = "leisure";
        else wait = await pause(readAt + PACE_MS - performance.now(), watchdog);
      }
    } catch (error) {
      this.#connection.fail(error);
    } finally {
      clearTimeout(watchdog);
    }
  }

  /** @returns The entry at the cursor, if it is still there, and those behind it. */
  async #next(send: Send, { streamId }: Place, wait: Wait): Promise<StreamEntry[]> {
    const count = String(this.#pageSize.count + 1);
    // Both at once: Redis keeps the second until the first is answered.
    const [, entries] = await Promise.all([
      wait === "nothing" ? undefined : send(this.#block(wait, streamId)),
      send<StreamEntry[]>(["XRANGE", this.#key, streamId, "+", "COUNT", count]),
    ]);
    return entries;
  }

  /** A command that is answered when there is something behind the cursor, but after five seconds at most; or after a time. */
  #block(wait: "entry" | "leisure", streamId: string): string[] {
    // That Redis keeps the time saves the node every other wake-up. It does so
    // exactly only while it has enough to do; therefore not where anybody waits.
    const [ms, key, after] =
      wait === "entry" ? [BLOCK_MS, this.#key, streamId] : [LEISURE_MS, this.#paceKey, "0"];
    return ["XREAD", "COUNT", "1", "BLOCK", String(ms), "STREAMS", key, after];
  }

  /** @returns Whether anybody is waiting for any of it. */
  #deliver(entries: readonly StreamEntry[]): boolean {
    let events: LogEntry[] = [];
    let isWanted = false;
    for (const entry of entries) {
      const event = decodeEntry(entry);
      if (event !== undefined) {
        events.push(event);
      } else if (this.#tellsOfLoss(entry)) {
        isWanted = this.#observer.entries(events) || isWanted;
        events = [];
        this.#startAnew(placeOf(entry), "fork");
      }
    }
    return this.#observer.entries(events) || isWanted;
  }

  /**
   * Whether another node has seen more of the lost history than this one, which did not notice: what it stands on is in
   * both. It has missed what was lost.
   */
  #tellsOfLoss(entry: StreamEntry): boolean {
    const lost = lostBefore(entry);
    if (lost === undefined || performance.now() < this.#deafUntil) return false;
    return this.#since !== undefined && compareStreamIds(lost, this.#since) >= 0;
  }

  #startAnew(place: Place, reason: LogResetReason): void {
    this.#since = place.streamId;
    if (reason === "fork") this.#deafUntil = performance.now() + SAME_FORK_MS;
    if (!this.#isClosed) this.#observer.reset(reason, place);
  }

  async #begin(send: Send): Promise<Cursor> {
    const cursor = await this.#newest(send);
    this.#cursor = cursor;
    this.#since = cursor.streamId;
    if (!this.#isClosed) this.#observer.started(cursor);
    return cursor;
  }

  async #newest(send: Send): Promise<Cursor> {
    const [entries, { added }] = await Promise.all([
      send<StreamEntry[]>(["EVAL", NEWEST, "1", this.#key, ...encodeMark(drawTag())]),
      this.#inspect(send),
    ]);
    const [newest] = entries;
    if (newest === undefined) throw new Error("Redis keeps no entry");
    return { ...placeOf(newest), added };
  }

  async #reset(cursor: Cursor, send: Send): Promise<Cursor> {
    const stream = await this.#inspect(send);
    const reason = reasonFor(cursor, stream);
    const next = reason === "fork" ? await this.#mark(cursor, send) : await this.#newest(send);
    this.#cursor = next;
    this.#startAnew(next, reason);
    this.#reached(true);
    return next;
  }

  /**
   * Leaves a mark in the new history. What it has in common with the old one looks good in both: a client that was
   * there would go on without what is lost, on any node, unless it is told by the mark.
   */
  async #mark(lost: Place, send: Send): Promise<Cursor> {
    const tag = drawTag();
    const streamId = await send<string>(["XADD", this.#key, "*", ...encodeFork(tag, lost)]);
    return { streamId, tag, added: (await this.#inspect(send)).added };
  }

  async #inspect(send: Send): Promise<Stream> {
    const exists = (await send<number>(["EXISTS", this.#key])) === 1;
    if (!exists) return {};
    const reply = await send<unknown[]>(["XINFO", "STREAM", this.#key]);
    const info = new Map<unknown, unknown>();
    for (let at = 0; at + 1 < reply.length; at += 2) info.set(reply[at], reply[at + 1]);
    const first = info.get("first-entry") as StreamEntry | null | undefined;
    return {
      lastId: String(info.get("last-generated-id")),
      firstId: first?.[0],
      // Redis counts from 7.0 on.
      added: info.has("entries-added") ? Number(info.get("entries-added")) : undefined,
    };
  }
}

/** What Redis says of a stream; nothing if there is none. */
interface Stream {
  readonly lastId?: string;
  readonly firstId?: string | undefined;
  readonly added?: number | undefined;
}

/** What to wait for before the next read: that there is something; that more has come, which nobody is waiting for. */
type Wait = "nothing" | "entry" | "leisure";

type Send = <Reply>(args: readonly string[]) => Promise<Reply>;

function plus(added: number | undefined, more: number): number | undefined {
  return added === undefined ? undefined : added + more;
}

/** The cursor's entry is not there any more: because it was dropped with all before it, or because the history is another. */
function reasonFor(cursor: Cursor, { lastId, firstId, added }: Stream): LogResetReason {
  if (lastId === undefined || firstId === undefined) return "fork";
  if (compareStreamIds(lastId, cursor.streamId) < 0) return "fork";
  if (added !== undefined && cursor.added !== undefined && added < cursor.added) return "fork";
  return compareStreamIds(firstId, cursor.streamId) > 0 ? "trimmed" : "fork";
}

/** The process may exit meanwhile. */
async function pause(ms: number, watchdog: NodeJS.Timeout): Promise<"nothing"> {
  watchdog.refresh();
  if (ms > 0) {
    await new Promise((resolve) => {
      setTimeout(resolve, ms).unref();
    });
  }
  return "nothing";
}
