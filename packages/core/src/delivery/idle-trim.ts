/** Trims entries past their maximum age from the window while nothing is published. */

import { runOutside } from "../outlet/async-context.js";
import type { Window } from "./window.js";

/** Most entries dropped in one turn of the event loop. */
const MOST_PER_TURN = 2_000;
/** Time between two trimming turns, in milliseconds. */
const TURN_MS = 1;
/** Shortest time between two checks, in milliseconds. */
const LEAST_MS = 500;
/** Checks within `maxAgeMs`: an entry stays at most an eighth longer than its age allows. */
const LOOKS_PER_WINDOW = 8;

/**
 * One timer while the window has entries, none while it is empty: memory from a burst at noon must not be held all
 * night. The timer keeps neither the process nor a dropped hub alive.
 */
export class IdleTrim {
  readonly #window: Window;
  readonly #maxAgeMs: number;
  readonly #isBusy: () => boolean;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param maxAgeMs - Age at which an entry is dropped.
   * @param isBusy - Whether entries are being handed over: entries not delivered yet are not dropped for their age.
   */
  constructor(window: Window, maxAgeMs: number, isBusy: () => boolean) {
    this.#window = window;
    this.#maxAgeMs = maxAgeMs;
    this.#isBusy = isBusy;
    window.filled = () => this.#arm(this.#restMs());
  }

  /** Stops trimming. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#window.filled = () => {};
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer);
    const ref = new WeakRef(this);
    const look = (): void => {
      const self = ref.deref();
      if (self !== undefined) self.#look();
    };
    this.#timer = runOutside(() => setTimeout(look, ms).unref());
  }

  /** Time until the next check. */
  #restMs(): number {
    const dueMs = (this.#window.oldestAt ?? 0) + this.#maxAgeMs + 1 - performance.now();
    return Math.ceil(Math.max(dueMs, LEAST_MS, this.#maxAgeMs / LOOKS_PER_WINDOW));
  }

  #look(): void {
    const isMore = !this.#isBusy() && this.#window.trim(performance.now(), MOST_PER_TURN);
    if (isMore) this.#arm(TURN_MS);
    else if (this.#window.size > 0) this.#arm(this.#restMs());
  }
}
