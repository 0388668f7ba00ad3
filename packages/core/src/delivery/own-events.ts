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
  /** Those who wait, each until an id was read. */
  #waiting: { readonly id: string; readonly resolve: () => void }[] = [];

  constructor(window: Window) {
    this.#window = window;
  }

  /** An event of this process is in the log. */
  add(id: string): void {
    if (this.#window.isAhead(id, this.#newest)) this.#newest = id;
  }

  /**
   * Waits for events to be read.
   *
   * @param id - Up to this one, which was added; absent: all that were added until now.
   * @returns Resolves once they are; `undefined` if they have been.
   */
  whenRead(id: string | undefined = this.#newest): Promise<void> | undefined {
    if (id === undefined || !this.#window.isAhead(id)) return undefined;
    return new Promise((resolve) => {
      this.#waiting.push({ id, resolve });
    });
  }

  /** Entries have come from the log. */
  look(): void {
    if (this.#newest === undefined) return;
    if (!this.#window.isAhead(this.#newest)) return this.clear();
    // Where events are published all the time, there is always one that was not read yet.
    if (this.#waiting.length > 0) this.#tell(({ id }) => !this.#window.isAhead(id));
  }

  /** Stops waiting: all of them were read, or the log has another history. */
  clear(): void {
    this.#newest = undefined;
    this.#tell(() => true);
  }

  #tell(isRead: (waiting: { readonly id: string }) => boolean): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((one) => !isRead(one));
    for (const one of waiting) if (isRead(one)) one.resolve();
  }
}
