/** A log in memory that several nodes share, which delivers late and fails as a Redis does. */

import { SseError } from "../../src/errors.js";
import type { Log, LogEntry, LogFollower, LogHealth, LogMessage } from "../../src/log/log.js";

/** Random numbers in [0, 1). */
export type Random = () => number;

/** Random numbers that a seed determines (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Entries in one order. */
export class SharedLog {
  readonly random: Random;
  entries: LogEntry[] = [];
  readonly views: Set<LogView> = new Set();
  /** Share of the appends that fail. */
  failing = 0;
  /** Longest delay of an entry, in milliseconds. */
  lateMs = 30;
  #count = 0;

  constructor(random: Random) {
    this.random = random;
  }

  get tail(): string {
    return this.entries.at(-1)?.id ?? "0";
  }

  add(channel: string, message: LogMessage): string {
    const id = String(++this.#count);
    this.entries.push({ ...message, id, channel });
    for (const view of this.views) view.wake();
    return id;
  }

  /** Loses the last entries, as a failover does. Readers that had them are reset. */
  fork(lost: number): void {
    this.entries = this.entries.slice(0, Math.max(0, this.entries.length - lost));
    // Positions are never used twice.
    this.#count += 1;
    // Nodes add entries when they are reset.
    const { tail } = this;
    for (const view of this.views) view.forked(tail);
  }
}

/** The log of one node. */
export class LogView implements Log {
  readonly #shared: SharedLog;
  #follower: LogFollower | undefined;
  /** The last entry that was delivered. */
  position: number;
  /** Whether it cannot be reached. */
  isDown = false;
  #isAwake = false;
  #isClosed = false;

  constructor(shared: SharedLog) {
    this.#shared = shared;
    this.position = Number(shared.tail);
  }

  start(follower: LogFollower): string {
    this.#follower = follower;
    this.#shared.views.add(this);
    return String(this.position);
  }

  append(channel: string, message: LogMessage): Promise<string> {
    const { random, failing, lateMs } = this.#shared;
    return new Promise((resolve, reject) => {
      const fail = (code: "ERR_SSE_LOG_REJECTED" | "ERR_SSE_LOG_UNKNOWN"): void =>
        reject(new SseError(code, "The log fails"));
      if (this.isDown || this.#isClosed) return fail("ERR_SSE_LOG_REJECTED");
      const fate = random();
      if (fate >= failing) {
        resolve(this.#shared.add(channel, message));
      } else if (fate < failing / 3) {
        fail("ERR_SSE_LOG_REJECTED");
      } else {
        fail("ERR_SSE_LOG_UNKNOWN");
        // Some arrive nevertheless, perhaps after what is appended later.
        if (fate < (failing * 2) / 3) {
          setTimeout(() => this.#shared.add(channel, message), random() * 50 * lateMs);
        }
      }
    });
  }

  compare(a: string, b: string): number {
    return Number(a) - Number(b);
  }

  health(): LogHealth {
    return { state: this.isDown ? "down" : "live", lagMs: 0, reconnects: 0 };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#shared.views.delete(this);
  }

  wake(): void {
    if (this.#isAwake || this.isDown || this.#isClosed) return;
    this.#isAwake = true;
    setTimeout(() => {
      this.#isAwake = false;
      if (this.isDown || this.#isClosed) return;
      const left = this.#shared.entries.filter(({ id }) => Number(id) > this.position);
      const next = left.slice(0, 1 + Math.floor(this.#shared.random() * 10));
      if (next.length === 0) return;
      this.position = Number(next.at(-1)?.id);
      this.#follower?.entries(next);
      this.wake();
    }, this.#shared.random() * this.#shared.lateMs);
  }

  /** Entries that were not delivered are gone. */
  trim(): void {
    this.position = Number(this.#shared.tail);
    this.#follower?.reset("trimmed", this.#shared.tail);
  }

  /** Entries after `tail` are not part of the history. */
  forked(tail: string): void {
    if (this.position <= Number(tail)) return;
    this.position = Number(tail);
    this.#follower?.reset("fork", tail);
  }

  /** The connection is lost, or restored. */
  cut(isDown: boolean): void {
    this.isDown = isDown;
    if (!isDown) this.wake();
  }
}
