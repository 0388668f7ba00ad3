/** Entries that are asked for at first. */
const FIRST = 32;
/** The most that are asked for. */
const MOST = 1_000;
/** What a reply may be expected to weigh, in characters. */
const TARGET_LENGTH = 1_048_576;

/**
 * How many entries to ask Redis for at once: it counts entries, and these may be of a few bytes or of a million.
 */
export class PageSize {
  #count = FIRST;

  /** Entries to ask for next. */
  get count(): number {
    return this.#count;
  }

  /** Takes note of what a reply weighed. */
  saw(entries: readonly (readonly [string, readonly string[]])[]): void {
    if (entries.length === 0) return;
    let length = 0;
    for (const [, fields] of entries) for (const field of fields) length += field.length;
    const fitting = Math.floor((TARGET_LENGTH * entries.length) / Math.max(1, length));
    // It grows by steps, so that one page of small entries does not ask for a thousand large ones.
    this.#count = Math.max(1, Math.min(fitting, this.#count * 2, MOST));
  }
}
