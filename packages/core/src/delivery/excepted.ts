/** Events that one session must not get: `publish(…, { except })`. Exists only while one of them lies ahead. */

import type { WindowEntry } from "./window.js";

/** The events that a subscription skips. */
export class Excepted {
  /** Publishes whose position in the log is not known yet. */
  #pendingCount = 0;
  /** Positions ahead of the cursor. */
  readonly #positions: Set<number> = new Set();

  /** Whether an upcoming entry may be one whose position is unknown. Nothing is written meanwhile. */
  get isPending(): boolean {
    return this.#pendingCount > 0;
  }

  /** Whether no skipped event lies ahead. */
  get isOver(): boolean {
    return this.#pendingCount === 0 && this.#positions.size === 0;
  }

  /** An event is being published. */
  begin(): void {
    this.#pendingCount += 1;
  }

  /**
   * The publish has settled.
   *
   * @param position - Its position; `undefined` if it is not ahead or not in the log.
   */
  end(position: number | undefined): void {
    this.#pendingCount -= 1;
    if (position !== undefined) this.#positions.add(position);
  }

  /** @returns The entries that the session gets. */
  without(entries: readonly WindowEntry[]): WindowEntry[] {
    return entries.filter(({ position }) => !this.#positions.has(position));
  }

  /** The cursor has reached a position. */
  passed(cursor: number): void {
    for (const position of this.#positions) {
      if (position <= cursor) this.#positions.delete(position);
    }
  }

  /** A reset of the log has voided all positions. */
  clear(): void {
    this.#positions.clear();
  }
}
