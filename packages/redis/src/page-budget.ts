/** How much to ask Redis for at once. The reader and the pager have a budget each. */

import type { StreamEntry } from "./entry.js";
import { weightOf } from "./entry.js";

/** The most entries in a page. */
const MOST_ENTRIES = 1_000;
/** Bytes of a first page: nobody knows the link yet. */
const FIRST_BYTES = 262_144;
/** The most bytes in a page. */
const MOST_BYTES = 1_048_576;
/** A full page that came sooner, in milliseconds, may be followed by a larger one, */
const QUICK_MS = 250;
/** and one that came later by a smaller one. */
const SLOW_MS = 1_000;

/**
 * Entries may be of a few bytes or of a million, and a link may carry a gigabyte a second or a hundred kilobytes. A page
 * should take less than a second on any of them. A page has at least one entry, whatever that weighs.
 */
export class PageBudget {
  #bytes = FIRST_BYTES;

  /** Most entries of the next page. */
  get entries(): number {
    return MOST_ENTRIES;
  }

  /** Most bytes of the next page. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes note of a page and of the time that it took. */
  took(page: readonly StreamEntry[], ms: number): void {
    if (ms > SLOW_MS) {
      this.#shrink(2);
    } else if (ms < QUICK_MS && this.#bytes < MOST_BYTES) {
      let size = 0;
      for (const entry of page) size += weightOf(entry);
      // A page that was not full says nothing about a larger one.
      if (size > this.#bytes / 2) this.#bytes = Math.min(MOST_BYTES, this.#bytes * 2);
    }
  }

  /** The connection was lost while a page was under way: the next one is smaller, down to a single entry. */
  failed(): void {
    this.#shrink(4);
  }

  #shrink(divisor: number): void {
    this.#bytes = Math.max(1, Math.floor(this.#bytes / divisor));
  }
}
