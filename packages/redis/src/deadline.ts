/** A time limit that counts only the time in which this process could have received an answer. */

/** The limit is counted in steps of so many milliseconds. */
const STEP_MS = 250;
/** A step that took longer, because the process was stopped or busy, counts for so many milliseconds. */
const MOST_MS = 500;

/** What a deadline is about. */
export interface DeadlineOptions {
  readonly ms: number;
  /** Called once, unless the deadline is cleared before. */
  readonly expired: () => void;
  /** A number that changes with everything that is received: then the time begins anew. Absent: it never does. */
  readonly progress?: (() => number) | undefined;
  /** Whether the process may exit before. */
  readonly isBackground: boolean;
}

/**
 * Calls a function when an answer is late.
 *
 * A process that was stopped or busy finds its timers due before it reads what has arrived meanwhile. Therefore a
 * pause counts for half a second at most, and the event loop reads once more before the time is over.
 */
export class Deadline {
  readonly #options: DeadlineOptions;
  #leftMs: number;
  #seen: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Set while the event loop reads for the last time. */
  #last: NodeJS.Immediate | undefined;

  constructor(options: DeadlineOptions) {
    this.#options = options;
    this.#leftMs = options.ms;
    this.#seen = options.progress?.();
    this.#arm();
  }

  /** Ends it: `expired` is not called any more. */
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
    // After the timers the loop reads from its sockets, and only then runs this.
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
