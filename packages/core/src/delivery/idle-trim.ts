/** Drops what is too old from the window also while nothing is published. */

import { runOutside } from "../outlet/async-context.js";
import type { Window } from "./window.js";

/** The most that is dropped in one turn of the event loop. */
const MOST_PER_TURN = 2_000;
/** Time between two such turns, in milliseconds. */
const TURN_MS = 1;
/** Shortest time between two looks, in milliseconds. */
const LEAST_MS = 500;
/** Looks while the window is replaced: what is too old stays for an eighth of its age at most. */
const LOOKS_PER_WINDOW = 8;

/**
 * One timer for a window that has entries, and none for one that has none: a burst at noon must not hold its memory all
 * night. It keeps neither the process alive nor a hub that was dropped.
 */
export class IdleTrim {
  readonly #window: Window;
  readonly #maxAgeMs: number;
  readonly #isBusy: () => boolean;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param maxAgeMs - Age at which an entry is dropped.
   * @param isBusy - Whether entries are being handed over: what was not yet is not dropped for its age.
   */
  constructor(window: Window, maxAgeMs: number, isBusy: () => boolean) {
    this.#window = window;
    this.#maxAgeMs = maxAgeMs;
    this.#isBusy = isBusy;
    window.filled = () => this.#arm(this.#restMs());
  }

  /** No further entry is dropped. */
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

  /** Time until the next look. */
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
