/** A time limit that excludes time during which this process could not have received an answer. */

/** Step in which the limit is counted, in milliseconds. */
const STEP_MS = 250;
/** Most that a step counts, in milliseconds. It takes longer if the process was stopped or busy. */
const MOST_MS = 500;

/** Options of a deadline. */
export interface DeadlineOptions {
  readonly ms: number;
  /** Called once, unless the deadline is cleared first. */
  readonly expired: () => void;
  /** A number that changes with all data received, which restarts the limit. Absent: it is never restarted. */
  readonly progress?: (() => number) | undefined;
  /** Whether the process may exit before the limit. */
  readonly isBackground: boolean;
}

/**
 * Calls a function when an answer is overdue.
 *
 * After a stop or a busy period, the process runs overdue timers before it reads data that arrived meanwhile. A pause
 * therefore counts as half a second at most, and the event loop reads once more before the deadline expires.
 */
export class Deadline {
  readonly #options: DeadlineOptions;
  #leftMs: number;
  #seen: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Set during the last read of the event loop. */
  #last: NodeJS.Immediate | undefined;

  constructor(options: DeadlineOptions) {
    this.#options = options;
    this.#leftMs = options.ms;
    this.#seen = options.progress?.();
    this.#arm();
  }

  /** Cancels the deadline: `expired` is not called any more. */
  clear(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#last);
  }

  #arm(): void {
    const ms = Math.min(STEP_MS, this.#leftMs);
    const armedAt = performance.now();
    this.#timer = setTimeout(() => {
      const tookMs = performance.now() - armedAt;
      this.#step(Math.max(ms, Math.min(tookMs, MOST_MS)));
    }, ms);
    if (this.#options.isBackground) this.#timer.unref();
  }

  #step(ms: number): void {
    this.#leftMs -= ms;
    if (this.#hasMoved() || this.#leftMs > 0) return this.#arm();
    // The event loop reads from its sockets after the timers, and only then runs this.
    this.#last = setImmediate(() => {
      if (this.#hasMoved()) this.#arm();
      else this.#options.expired();
    });
  }

  #hasMoved(): boolean {
    const seen = this.#options.progress?.();
    if (seen === this.#seen) return false;
    this.#seen = seen;
    this.#leftMs = this.#options.ms;
    return true;
  }
}
