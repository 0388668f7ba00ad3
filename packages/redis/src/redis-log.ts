/** The log on a Redis stream: combines reader, writer and pager. */

import { SseError } from "@tidewire/core";
import type {
  Log,
  LogEntry,
  LogFollower,
  LogHealth,
  LogMessage,
  LogPast,
  LogResetReason,
  PastQuery,
  PublishOptions,
} from "@tidewire/core/log";
import { compareIds, formatId } from "./entry.js";
import type { Place } from "./entry.js";
import { resolveRedisLogOptions } from "./options.js";
import type { RedisLogOptions, ResolvedRedisLogOptions } from "./options.js";
import { Pager } from "./pager.js";
import { Reader } from "./reader.js";
import type { ReaderObserver } from "./reader.js";
import { Writer } from "./writer.js";

/**
 * Creates a log on a Redis stream, for hubs in several processes: `createHub({ log: redisLog({ url }) })`.
 *
 * All events published on any of these hubs go into one stream, which each hub reads: every session gets every event of
 * its channels in the same order wherever it is connected, and a client may come back to another process. Connections
 * open when they are needed: one follows the stream, one publishes from the first publish on, and one reads back while
 * clients wait for it.
 *
 * @param options - Location of Redis, and how much it keeps.
 * @returns A log for one hub or one publisher.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function redisLog(options: RedisLogOptions): Log {
  return new RedisLog(resolveRedisLogOptions(options));
}

class RedisLog implements Log, ReaderObserver {
  readonly past: LogPast;
  readonly #options: ResolvedRedisLogOptions;
  readonly #writer: Writer;
  readonly #pager: Pager;
  #reader: Reader | undefined;
  /** Set from `start` to `close`. */
  #follower: LogFollower | undefined;
  #started: ((tail: string) => void) | undefined;
  #notStarted: ((error: unknown) => void) | undefined;
  #state: LogHealth["state"] = "connecting";
  /** Time since which the reader may be missing entries; `undefined` while it has all of them. */
  #behindSince: number | undefined;
  /** When the reader last had everything. */
  #caughtUpAt = 0;
  #reconnects = 0;
  #hasStarted = false;
  /** Whether the connection was lost after the start and has not been restored yet. */
  #wasLost = false;
  #lastError: unknown;

  constructor(options: ResolvedRedisLogOptions) {
    this.#options = options;
    this.#writer = new Writer(options, (error) => void (this.#lastError = error));
    this.#pager = new Pager(options.key, options.locator);
    const wasReplaced = (): boolean => this.#reader?.wasReplaced === true;
    this.past = {
      get wasReplaced() {
        return wasReplaced();
      },
      find: (ids, query) => this.#pager.find(ids, query),
      read: (after, upTo, room) => this.#pager.read(after, upTo, room),
      sync: (query) => this.#sync(query),
    };
  }

  start(follower: LogFollower): Promise<string> {
    if (this.#state === "closed") throw closedError();
    if (this.#reader !== undefined) {
      throw new SseError(
        "ERR_SSE_INVALID_OPTION",
        "The log already belongs to a hub: create one log for each hub",
      );
    }
    this.#follower = follower;
    this.#caughtUpAt = performance.now();
    this.#behindSince = this.#caughtUpAt;
    this.#reader = new Reader(this.#options.key, this.#options.locator, this);
    return new Promise((resolve, reject) => {
      this.#started = resolve;
      this.#notStarted = reject;
      this.#reader?.start();
    });
  }

  append(channel: string, message: LogMessage, options?: PublishOptions): Promise<string> {
    return this.#writer.append(channel, message, options);
  }

  async #sync(query: PastQuery | undefined): Promise<void> {
    const resets = this.#reader?.resets;
    const newest = await this.#pager.newestId(query);
    // After a reset, the present history may take long to reach an id of the one before.
    if (newest !== undefined && resets === this.#reader?.resets) await this.#reader?.reach(newest);
  }

  compare(a: string, b: string): number {
    return compareIds(a, b);
  }

  health(): LogHealth {
    const health = this.#health();
    return this.#lastError === undefined ? health : { ...health, lastError: this.#lastError };
  }

  #health(): LogHealth {
    // A log that is never started, such as a publisher's, has the health of its writer.
    if (this.#reader === undefined && this.#state !== "closed") return this.#writer.health;
    const behindSince = this.#behindSince;
    const lagMs = behindSince === undefined ? 0 : Math.round(performance.now() - behindSince);
    return { state: this.#state, lagMs, reconnects: this.#reconnects };
  }

  close(withinMs?: number): Promise<void> {
    this.#follower = undefined;
    this.#reader?.close();
    this.#pager.close();
    this.#behindSince = undefined;
    this.#notStarted?.(closedError());
    this.#become("closed");
    return this.#writer.close(withinMs);
  }

  /** Called by the reader. */
  started(place: Place): void {
    this.#hasStarted = true;
    this.#started?.(formatId(place));
  }

  /** Called by the reader. */
  entries(entries: readonly LogEntry[]): boolean {
    return entries.length > 0 && this.#follower?.entries(entries) === true;
  }

  /** Called by the reader. */
  reset(reason: LogResetReason, place: Place): void {
    this.#follower?.reset(reason, formatId(place));
  }

  /** Called by the reader. */
  caughtUp(): void {
    this.#caughtUpAt = performance.now();
    this.#behindSince = undefined;
    if (this.#state === "live") return;
    if (this.#wasLost) this.#reconnects += 1;
    this.#wasLost = false;
    this.#become("live");
  }

  /** Called by the reader. */
  behind(): void {
    this.#behindSince ??= performance.now();
  }

  /** Called by the reader. */
  down(error: unknown): void {
    this.#lastError = error;
    this.#behindSince ??= this.#caughtUpAt;
    this.#wasLost = this.#hasStarted;
    if (this.#state === "down") return;
    // Reported once per outage, however many attempts to connect fail.
    this.#follower?.failed(error);
    this.#become("down");
  }

  #become(state: LogHealth["state"]): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    try {
      this.#options.onHealth?.(this.health());
    } catch (error) {
      this.#follower?.failed(error);
    }
  }
}

function closedError(): SseError {
  return new SseError("ERR_SSE_CLOSED", "The log is closed");
}
