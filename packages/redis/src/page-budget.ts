/** Limits how much to request from Redis at once. The reader and the pager have a budget each. */

import type { StreamEntry } from "./entry.js";
import { weightOf } from "./entry.js";

/** Most entries in a page. */
const MOST_ENTRIES = 1_000;
/** Bytes of the first page, when the speed of the link is still unknown. */
const FIRST_BYTES = 262_144;
/** Most bytes in a page. */
const MOST_BYTES = 1_048_576;
/** A full page that arrived within this many milliseconds may be followed by a larger one. */
const QUICK_MS = 250;
/** A page that took longer than this many milliseconds may be followed by a smaller one. */
const SLOW_MS = 1_000;

/**
 * Entries may have a few bytes or a million, and a link may carry a gigabyte or a hundred kilobytes a second. On any of
 * them a page should take less than a second. A page has at least one entry, whatever its size.
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

  /** Records a page and its duration. */
  took(page: readonly StreamEntry[], ms: number): void {
    if (ms > SLOW_MS) {
      this.#shrink(2);
    } else if (ms < QUICK_MS && this.#bytes < MOST_BYTES) {
      let size = 0;
      for (const entry of page) size += weightOf(entry);
      // A page that was not full says nothing about larger ones.
      if (size > this.#bytes / 2) this.#bytes = Math.min(MOST_BYTES, this.#bytes * 2);
    }
  }

  /** The connection was lost during a page: the next one is smaller, down to a single entry. */
  failed(): void {
    this.#shrink(4);
  }

  #shrink(divisor: number): void {
    this.#bytes = Math.max(1, Math.floor(this.#bytes / divisor));
  }
}
