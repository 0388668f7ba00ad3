/** The events of this process that the log has taken and not handed back yet. */

import type { Window } from "./window.js";

/**
 * Events that this process has published and has yet to read.
 *
 * A log that many processes share answers a publish before the event has come round. `complete()` waits for that:
 * otherwise it would end the stream before an event whose `publish` has already resolved.
 */
export class OwnEvents {
  readonly #window: Window;
  /** The newest of them; `undefined` while there is none. */
  #newest: string | undefined;
  #waiting: (() => void)[] = [];

  constructor(window: Window) {
    this.#window = window;
  }

  /** An event of this process is in the log. */
  add(id: string): void {
    if (this.#window.isAhead(id, this.#newest)) this.#newest = id;
  }

  /** @returns Resolves once all events added until now were read; `undefined` if they have been. */
  whenRead(): Promise<void> | undefined {
    if (this.#newest === undefined) return undefined;
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Entries have come from the log. */
  look(): void {
    if (this.#newest !== undefined && !this.#window.isAhead(this.#newest)) this.clear();
  }

  /** Stops waiting: all of them were read, or the log has another history. */
  clear(): void {
    this.#newest = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
