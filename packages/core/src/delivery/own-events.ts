/** Events published by this process that the log has accepted but not delivered back yet. */

import type { Backfill } from "./backfill.js";
import type { Window } from "./window.js";

/** A caller that waits until an event has been read. */
interface Waiting {
  readonly id: string;
  readonly resolve: () => void;
}

/**
 * Events that this process has published but not read yet.
 *
 * A shared log answers a publish before the event comes back. `complete()` waits for it: otherwise it would end the
 * stream before an event whose `publish` has already resolved.
 */
export class OwnEvents {
  readonly #window: Window;
  readonly #backfill: Pick<Backfill, "isDoubtful" | "caughtUp"> | undefined;
  /** The newest of them; `undefined` if there is none. */
  #newest: string | undefined;
  #waiting: Waiting[] = [];

  /** @param backfill - `undefined` where the log keeps nothing older than the window. */
  constructor(window: Window, backfill?: Pick<Backfill, "isDoubtful" | "caughtUp">) {
    this.#window = window;
    this.#backfill = backfill;
  }

  /** An event of this process is in the log. */
  add(id: string): void {
    if (this.#window.isAhead(id, this.#newest)) this.#newest = id;
  }

  /**
   * Waits for events to be read back.
   *
   * @param id - Up to this added id; absent: all added until now.
   * @returns Resolves once they are read, or never will be; `undefined` if they already have been.
   */
  whenRead(id: string | undefined = this.#newest): Promise<void> | undefined {
    if (id === undefined || !this.#window.isAhead(id)) return undefined;
    return new Promise((resolve) => {
      const waiting = { id, resolve };
      this.#waiting.push(waiting);
      // An event of a lost history never comes, but later ones may have lower ids for hours.
      if (this.#backfill?.isDoubtful(id) === true) void this.#catchUp(waiting, this.#backfill);
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

  /** An event in the log has been read once everything that is in the log now has been. */
  async #catchUp(waiting: Waiting, backfill: Pick<Backfill, "caughtUp">): Promise<void> {
    await backfill.caughtUp(() => this.#waiting.includes(waiting));
    this.#tell((one) => one === waiting);
  }

  #tell(isRead: (waiting: Waiting) => boolean): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((one) => !isRead(one));
    for (const one of waiting) if (isRead(one)) one.resolve();
  }
}
