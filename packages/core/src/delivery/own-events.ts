/** Events published by this process that the log has accepted but not delivered back yet. */

import type { Window } from "./window.js";

/**
 * Events that this process has published but not read yet.
 *
 * A shared log answers a publish before the event comes back. `complete()` waits for it: otherwise it would end the
 * stream before an event whose `publish` has already resolved.
 */
export class OwnEvents {
  readonly #window: Window;
  /** The newest of them; `undefined` if there is none. */
  #newest: string | undefined;
  /** Waiters, each until an id has been read. */
  #waiting: { readonly id: string; readonly resolve: () => void }[] = [];

  constructor(window: Window) {
    this.#window = window;
  }

  /** An event of this process is in the log. */
  add(id: string): void {
    if (this.#window.isAhead(id, this.#newest)) this.#newest = id;
  }

  /**
   * Waits for events to be read back.
   *
   * @param id - Up to this added id; absent: all added until now.
   * @returns Resolves once they are read; `undefined` if they already have been.
   */
  whenRead(id: string | undefined = this.#newest): Promise<void> | undefined {
    if (id === undefined || !this.#window.isAhead(id)) return undefined;
    return new Promise((resolve) => {
      this.#waiting.push({ id, resolve });
    });
  }

  /** New entries have come from the log. */
  look(): void {
    if (this.#newest === undefined) return;
    if (!this.#window.isAhead(this.#newest)) return this.clear();
    // Under continuous publishing there is always an event not read yet, so waiters go by id.
    if (this.#waiting.length > 0) this.#tell(({ id }) => !this.#window.isAhead(id));
  }

  /** Ends all waits: every event was read, or the log has a new history. */
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
