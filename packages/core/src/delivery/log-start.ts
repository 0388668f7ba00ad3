/** Starts a hub's log and, once its position is known, delivery. */

import { isSseError } from "../errors.js";
import type { Log, LogEntry, LogFollower, LogHealth, LogResetReason } from "../log/log.js";
import type { ResolvedOptions } from "../options/hub.js";
import type { DeliveryObserver } from "./audience.js";
import { Backfill } from "./backfill.js";
import type { PastLog } from "./backfill.js";
import { Delivery } from "./delivery.js";
import { IdleTrim } from "./idle-trim.js";
import { Window } from "./window.js";

/** A hub's log while it starts, and the delivery that follows. */
export class LogStart {
  readonly #log: Log;
  readonly #options: ResolvedOptions;
  readonly #observer: DeliveryObserver;
  #delivery: Delivery | undefined;
  #isSettled = false;
  /** Each is called once the log has a position or will never have one. */
  readonly #waiting: Set<() => void> = new Set();
  /** Set together with `#delivery`. */
  #idleTrim: IdleTrim | undefined;
  constructor(log: Log, options: ResolvedOptions, observer: DeliveryObserver) {
    this.#log = log;
    this.#options = options;
    this.#observer = observer;
    const follower = new EarlyFollower((error) => observer.report(error, "log"));
    const tail = log.start(follower);
    if (typeof tail === "string") {
      this.#isSettled = true;
      this.#begin(tail, follower);
      return;
    }
    const settle = (): void => {
      this.#isSettled = true;
      for (const fn of this.#waiting) fn();
      this.#waiting.clear();
    };
    void tail.then(
      (tailId) => {
        this.#begin(tailId, follower);
        settle();
      },
      (error: unknown) => {
        // Closed before it could start, which is not an error.
        if (!isSseError(error) || error.code !== "ERR_SSE_CLOSED") observer.report(error, "log");
        settle();
      },
    );
  }

  /** `undefined` until the log has reported its position, and forever if it cannot. */
  get delivery(): Delivery | undefined {
    return this.#delivery;
  }

  /** Whether the log has reported its position, or never will. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /**
   * Calls a function once the log has reported its position or never will; at once if it already has.
   *
   * @returns Cancels the call: a client that leaves must not wait for a log that cannot be reached.
   */
  whenSettled(fn: () => void): () => void {
    if (this.#isSettled) {
      fn();
      return () => {};
    }
    this.#waiting.add(fn);
    return () => void this.#waiting.delete(fn);
  }

  /** Health of the log. */
  get health(): LogHealth {
    return this.#log.health();
  }

  /** The log was closed. */
  close(): void {
    this.#idleTrim?.stop();
    this.#delivery?.own.clear();
  }

  #begin(tailId: string, follower: EarlyFollower): void {
    const log = this.#log;
    const window = new Window(this.#options.retention, tailId, (a, b) => log.compare(a, b));
    const report = (error: unknown): void => this.#observer.report(error, "log");
    const backfill = keepsPast(log)
      ? new Backfill(log, window, report, this.#options.maxEventBytes, (entry) =>
          this.#observer.control(entry, entry.ageMs),
        )
      : undefined;
    const delivery = new Delivery(window, this.#observer, this.#options, backfill);
    this.#delivery = delivery;
    const { maxAgeMs } = this.#options.retention;
    this.#idleTrim = new IdleTrim(window, maxAgeMs, () => delivery.isBusy);
    follower.handTo(delivery);
    // Most reconnecting clients, and most uses of `latest`, find what they need in it.
    void backfill?.warm();
  }
}

/** Keeps entries that the log delivers before its position is known: those after that position. */
class EarlyFollower implements LogFollower {
  readonly failed: (error: unknown) => void;
  #calls: ((follower: LogFollower) => void)[] | undefined = [];
  #follower: LogFollower | undefined;

  constructor(failed: (error: unknown) => void) {
    this.failed = failed;
  }

  entries(entries: readonly LogEntry[]): boolean {
    if (this.#follower !== undefined) return this.#follower.entries(entries);
    this.#calls?.push((follower) => void follower.entries(entries));
    return true;
  }

  reset(reason: LogResetReason, tail: string): void {
    if (this.#follower !== undefined) this.#follower.reset(reason, tail);
    else this.#calls?.push((follower) => follower.reset(reason, tail));
  }

  /** Hands everything, now and later, to another follower. */
  handTo(follower: LogFollower): void {
    this.#follower = follower;
    for (const call of this.#calls ?? []) call(follower);
    this.#calls = undefined;
  }
}

/** Whether a log can be read back beyond what it has delivered. */
function keepsPast(log: Log): log is Log & PastLog {
  return log.past !== undefined;
}
