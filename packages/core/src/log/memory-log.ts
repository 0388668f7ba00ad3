import { randomBytes } from "node:crypto";
import { SseError } from "../errors.js";
import type { Log, LogFollower, LogHealth, LogMessage, PublishOptions } from "./log.js";

/** How long a `dedupeKey` is remembered, in milliseconds. */
const DEDUPE_WINDOW_MS = 120_000;

/**
 * Makes the log of a single process, with nothing to install.
 *
 * Ids are an epoch drawn here and a counter, so that an id from before a restart is recognised as
 * foreign. The log keeps nothing itself: the hub holds what `retention` says.
 *
 * @returns A log for one hub.
 */
export function memoryLog(): Log {
  return new MemoryLog();
}

class MemoryLog implements Log {
  readonly #epoch = randomBytes(6).toString("base64url");
  #count = 0;
  #isStarted = false;
  /** Those that have a `dedupeKey`, oldest first; `undefined` while there was none. */
  #deduped: Map<string, { readonly id: string; readonly until: number }> | undefined;
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
    return this.#id(this.#count);
  }

  async append(channel: string, message: LogMessage, options?: PublishOptions): Promise<string> {
    if (this.#follower === undefined) throw new SseError("ERR_SSE_CLOSED", "The log is closed");
    const dedupeKey = options?.dedupeKey;
    const known = dedupeKey === undefined ? undefined : this.#idOf(dedupeKey);
    if (known !== undefined) return known;
    const id = this.#id(++this.#count);
    if (dedupeKey !== undefined) {
      this.#deduped ??= new Map();
      this.#deduped.set(dedupeKey, { id, until: performance.now() + DEDUPE_WINDOW_MS });
    }
    const { event, data, retry } = message;
    this.#follower.entries([{ id, channel, event, data, retry }]);
    return id;
  }

  compare(a: string, b: string): number {
    return this.#counter(a) - this.#counter(b);
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
    const now = performance.now();
    for (const [key, { until }] of this.#deduped ?? []) {
      if (until > now) break;
      this.#deduped?.delete(key);
    }
    return this.#deduped?.get(dedupeKey)?.id;
  }

  #id(count: number): string {
    return `${this.#epoch}.${count}`;
  }

  /** @returns The counter of an id of this epoch, `NaN` for any other text. */
  #counter(id: string): number {
    const { length } = this.#epoch;
    if (id.length > length + 17 || id[length] !== "." || !id.startsWith(this.#epoch)) return NaN;
    const digits = id.slice(length + 1);
    const counter = /^(0|[1-9]\d*)$/.test(digits) ? Number(digits) : NaN;
    // Past the safe integers two different ids would be equal.
    return Number.isSafeInteger(counter) ? counter : NaN;
  }
}
