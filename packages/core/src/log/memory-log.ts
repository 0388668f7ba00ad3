/** The log of a single process: orders events and delivers them synchronously. */

import { randomBytes } from "node:crypto";
import { SseError } from "../errors.js";
import { detach } from "./detach.js";
import type { Log, LogFollower, LogHealth, LogMessage, PublishOptions } from "./log.js";

/** How long a `dedupeKey` is remembered, in milliseconds. */
const DEDUPE_WINDOW_MS = 120_000;

/** Ids available per millisecond. With this limit a stamp stays a safe integer until the year 2109. */
const PER_MS = 2_048;
/** The first counter of a millisecond is drawn below this. */
const MOST_FIRST = 1_024;
/** Characters of an id's random tail: 30 bits. */
const TAIL_LENGTH = 5;
/** Random bytes drawn at once: a call per event would take longer than everything else. */
const RANDOM_BYTES = 3_840;
/** An id after its epoch: milliseconds in base 36, counter, tail. */
const ID = /^(0|[1-9a-z][0-9a-z]{0,8})-(0|[1-9]\d{0,3})~[\w-]{5}$/;
/** Longest id, epoch included. */
const MAX_ID_LENGTH = 29;

/**
 * Creates the log of a single process. It needs no installation.
 *
 * An id consists of an epoch drawn here, by which ids from before a restart are recognized as foreign; the millisecond;
 * a counter that starts at a random number; and a random tail. It thus does not reveal how much is published on
 * channels that a client may not see. The log itself stores nothing: the hub keeps events as `retention` says.
 *
 * @returns A log, for one hub.
 */
export function memoryLog(): Log {
  return new MemoryLog();
}

/** An id and the time when it is forgotten. */
interface Deduped {
  readonly id: string;
  readonly until: number;
}

class MemoryLog implements Log {
  readonly isLocal = true;
  /** Start of all ids: the epoch. */
  readonly #prefix = `${randomBytes(6).toString("base64url")}.`;
  /** Milliseconds of the last id. Never decreases, even if the clock does. */
  #ms = 0;
  /** Counter of the last id. */
  #count = 0;
  /** Start of all ids of this millisecond. */
  #msPrefix = `${this.#prefix}0-`;
  /** Random tails of ids. Each is used once. */
  #tails: string[] = [];
  #isStarted = false;
  /** Events with a `dedupeKey`, oldest first; `undefined` until there is one. */
  #deduped: Map<string, Deduped> | undefined;
  /** A persistent iterator over `#deduped`. A new one would step over all deleted slots each time. */
  #oldest: Iterator<[string, Deduped], undefined> | undefined;
  /** Position of `#oldest`: the next key to forget. */
  #next: [string, Deduped] | undefined;
  /** `undefined` before `start` and after `close`. */
  #follower: LogFollower | undefined;

  start(follower: LogFollower): string {
    if (this.#isStarted) {
      throw new SseError(
        "ERR_SSE_INVALID_OPTION",
        "The log already belongs to a hub: create one log for each hub",
      );
    }
    this.#isStarted = true;
    this.#follower = follower;
    return this.#nextId();
  }

  async append(channel: string, message: LogMessage, options?: PublishOptions): Promise<string> {
    if (this.#follower === undefined) throw new SseError("ERR_SSE_CLOSED", "The log is closed");
    const dedupeKey = options?.dedupeKey;
    const known = dedupeKey === undefined ? undefined : this.#idOf(dedupeKey);
    if (known !== undefined) return known;
    const id = this.#nextId();
    if (dedupeKey !== undefined) {
      this.#deduped ??= new Map();
      const until = performance.now() + DEDUPE_WINDOW_MS;
      this.#deduped.set(detach(dedupeKey), { id, until });
    }
    const { event, data, isString, retry } = message;
    this.#follower.entries([{ id, channel, event, data, isString, retry }]);
    return id;
  }

  compare(a: string, b: string): number {
    const order = this.#stampOf(a) - this.#stampOf(b);
    // Different tails: at most one of the two ids belongs to this log, so they are never equal.
    return order === 0 && a !== b ? (a < b ? -1 : 1) : order;
  }

  health(): LogHealth {
    const state = this.#follower !== undefined ? "live" : this.#isStarted ? "closed" : "connecting";
    return { state, lagMs: 0, reconnects: 0 };
  }

  async close(): Promise<void> {
    this.#follower = undefined;
  }

  /** @returns The id of the event published with a key; `undefined` if there is none or it is too old. */
  #idOf(dedupeKey: string): string | undefined {
    const deduped = this.#deduped;
    if (deduped === undefined) return undefined;
    const now = performance.now();
    for (;;) {
      this.#oldest ??= deduped.entries();
      this.#next ??= this.#oldest.next().value;
      // A finished iterator stays finished.
      if (this.#next === undefined) this.#oldest = undefined;
      if (this.#next === undefined || this.#next[1].until > now) break;
      deduped.delete(this.#next[0]);
      this.#next = undefined;
    }
    return deduped.get(dedupeKey)?.id;
  }

  /** @returns An id greater than all before. */
  #nextId(): string {
    const now = Date.now();
    if (now > this.#ms) {
      this.#begin(now);
    } else if (++this.#count === PER_MS) {
      // Runs ahead of the clock: the next id has to be greater in any case.
      this.#begin(this.#ms + 1);
    }
    let tail = this.#tails.pop();
    if (tail === undefined) {
      this.#tails = drawTails();
      tail = this.#tails.pop() ?? "";
    }
    return this.#msPrefix + this.#count + tail;
  }

  #begin(ms: number): void {
    this.#ms = ms;
    // Counting from 0 would reveal how much was published before in this millisecond.
    this.#count = Math.floor(Math.random() * MOST_FIRST);
    this.#msPrefix = `${this.#prefix}${ms.toString(36)}-`;
  }

  /** @returns Millisecond and counter of an id of this epoch as one number; `NaN` for any other text. */
  #stampOf(id: string): number {
    if (id.length > MAX_ID_LENGTH || !id.startsWith(this.#prefix)) return NaN;
    const match = ID.exec(id.slice(this.#prefix.length));
    if (match === null) return NaN;
    const count = Number(match[2]);
    const stamp = Number.parseInt(match[1] as string, 36) * PER_MS + count;
    // Beyond safe integers, two different ids could be equal.
    return count < PER_MS && Number.isSafeInteger(stamp) ? stamp : NaN;
  }
}

function drawTails(): string[] {
  const text = randomBytes(RANDOM_BYTES).toString("base64url");
  const tails: string[] = [];
  for (let at = 0; at < text.length; at += TAIL_LENGTH) {
    tails.push(`~${text.slice(at, at + TAIL_LENGTH)}`);
  }
  return tails;
}
