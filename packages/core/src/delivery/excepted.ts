/** Events that one session is not to get: `publish(…, { except })`. Exists only while there is one of them ahead. */

import type { WindowEntry } from "./window.js";

/** What a subscription passes over. */
export class Excepted {
  /** Publishes of which it is not known yet where in the log they are. */
  #pendingCount = 0;
  /** Positions ahead of the cursor. */
  readonly #positions: Set<number> = new Set();

  /** Whether the next entries may have one that is not known yet: nothing is written meanwhile. */
  get isPending(): boolean {
    return this.#pendingCount > 0;
  }

  /** Whether nothing is ahead any more. */
  get isOver(): boolean {
    return this.#pendingCount === 0 && this.#positions.size === 0;
  }

  /** An event is being published. */
  begin(): void {
    this.#pendingCount += 1;
  }

  /**
   * The event is in the log, or is not.
   *
   * @param position - Where; `undefined` if it is not ahead.
   */
  end(position: number | undefined): void {
    this.#pendingCount -= 1;
    if (position !== undefined) this.#positions.add(position);
  }

  /** @returns Of the entries of a slice, those that the session gets. */
  without(entries: readonly WindowEntry[]): WindowEntry[] {
    return entries.filter(({ position }) => !this.#positions.has(position));
  }

  /** The cursor has reached a position. */
  passed(cursor: number): void {
    for (const position of this.#positions) {
      if (position <= cursor) this.#positions.delete(position);
    }
  }

  /** All positions are void. */
  clear(): void {
    this.#positions.clear();
  }
}
