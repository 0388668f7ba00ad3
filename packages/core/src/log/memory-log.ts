/** The log of a single process: it orders events and delivers them at once. */

import { randomBytes } from "node:crypto";
import { SseError } from "../errors.js";
import { detach } from "./detach.js";
import type { Log, LogFollower, LogHealth, LogMessage, PublishOptions } from "./log.js";

/** How long a `dedupeKey` is remembered, in milliseconds. */
const DEDUPE_WINDOW_MS = 120_000;

/** Events that may have the same millisecond in their ids. With it, a stamp is a safe integer until the year 2109. */
const PER_MS = 2_048;
/** The first of them has a number below this. */
const MOST_FIRST = 1_024;
/** Characters of an id's random tail: 30 bits. */
const TAIL_LENGTH = 5;
/** Random bytes that are drawn at once: a call for each event would take longer than all the rest. */
const RANDOM_BYTES = 3_840;
/** An id behind its epoch: milliseconds in base 36, counter, tail. */
const ID = /^(0|[1-9a-z][0-9a-z]{0,8})-(0|[1-9]\d{0,3})~[\w-]{5}$/;
/** Of an id with its epoch. */
const MAX_ID_LENGTH = 29;

/**
 * Makes the log of a single process, with nothing to install.
 *
 * Ids hold an epoch drawn here, so that an id from before a restart is recognised as foreign, the millisecond, a
 * counter within it that begins anywhere, and a random tail: an id does not tell how much is published that its client
 * may not see. The log keeps nothing itself: the hub holds what `retention` says.
 *
 * @returns A log for one hub.
 */
export function memoryLog(): Log {
  return new MemoryLog();
}

/** An id and when it is forgotten. */
interface Deduped {
  readonly id: string;
  readonly until: number;
}

class MemoryLog implements Log {
  readonly isLocal = true;
  /** The beginning of all ids. */
  readonly #prefix = `${randomBytes(6).toString("base64url")}.`;
  /** Milliseconds of the last id. Never goes back, whatever the clock does. */
  #ms = 0;
  /** Number of the last id within its millisecond. */
  #count = 0;
  /** What all ids of this millisecond begin with. */
  #msPrefix = `${this.#prefix}0-`;
  /** Random ends of ids. Each is taken once. */
  #tails: string[] = [];
  #isStarted = false;
  /** Those that have a `dedupeKey`, oldest first; `undefined` while there was none. */
  #deduped: Map<string, Deduped> | undefined;
  /** Walks `#deduped` as it grows. A new walk would pass the places of all that were deleted, each time. */
  #oldest: Iterator<[string, Deduped], undefined> | undefined;
  /** Where `#oldest` is: the next to be forgotten. */
  #next: [string, Deduped] | undefined;
  /** `undefined` before `start` and after `close`. */
  #follower: LogFollower | undefined;

  start(follower: LogFollower): string {
    if (this.#isStarted) {
      throw new SseError(
        "ERR_SSE_INVALID_OPTION",
        "The log has a hub already: make one for each hub",
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
    // Not one id but two with different tails, of which at most one is of this log: never equal.
    return order === 0 && a !== b ? (a < b ? -1 : 1) : order;
  }

  health(): LogHealth {
    const state = this.#follower !== undefined ? "live" : this.#isStarted ? "closed" : "connecting";
    return { state, lagMs: 0, reconnects: 0 };
  }

  async close(): Promise<void> {
    this.#follower = undefined;
  }

  /** @returns The id of the event that was published with a key; `undefined` if none was, or too long ago. */
  #idOf(dedupeKey: string): string | undefined {
    const deduped = this.#deduped;
    if (deduped === undefined) return undefined;
    const now = performance.now();
    for (;;) {
      this.#oldest ??= deduped.entries();
      this.#next ??= this.#oldest.next().value;
      // An iterator that has come to the end stays there.
      if (this.#next === undefined) this.#oldest = undefined;
      if (this.#next === undefined || this.#next[1].until > now) break;
      deduped.delete(this.#next[0]);
      this.#next = undefined;
    }
    return deduped.get(dedupeKey)?.id;
  }

  /** @returns An id past all before. */
  #nextId(): string {
    const now = Date.now();
    if (now > this.#ms) {
      this.#begin(now);
    } else if (++this.#count === PER_MS) {
      // Ahead of the clock: the next id comes after this one in any case.
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
    // From 0 on, one id would tell how much was published before it in this millisecond.
    this.#count = Math.floor(Math.random() * MOST_FIRST);
    this.#msPrefix = `${this.#prefix}${ms.toString(36)}-`;
  }

  /** @returns Millisecond and counter of an id of this epoch as one number, `NaN` for any other text. */
  #stampOf(id: string): number {
    if (id.length > MAX_ID_LENGTH || !id.startsWith(this.#prefix)) return NaN;
    const match = ID.exec(id.slice(this.#prefix.length));
    if (match === null) return NaN;
    const count = Number(match[2]);
    const stamp = Number.parseInt(match[1] as string, 36) * PER_MS + count;
    // Past the safe integers two different ids would be equal.
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
