/** One run's items in memory, in order, as all its followers in this process share them. */

/** One item of a run: an event as its followers get it, checked and with its data as text. */
export interface TapeItem {
  /** Event type; `undefined` for `"message"`. */
  readonly event?: string | undefined;
  /** The event's data as text. */
  readonly data: string;
  /** Reconnection time in milliseconds. */
  readonly retry?: number | undefined;
}

/**
 * How a run ended.
 *
 * - `done`: the source ended
 * - `failed`: the source or `map` threw, or the run exceeded `maxBytes`
 * - `stopped`: `stop` was called, or the run had no follower for `abandonMs`
 * - `lost`: the producer's process ended, was closed, or could not reach the tapes in time
 */
export type Outcome = "done" | "failed" | "stopped" | "lost";

/** The end of a run. */
export interface RunEnd {
  /** How the run ended. */
  readonly outcome: Outcome;
  /**
   * Message of the error that ended the run, at most 1 024 characters. Only for `failed`. It may contain details that
   * clients should not see: they get it only if the application sends it.
   */
  readonly error?: string | undefined;
}

/**
 * The items of one run, in order, and its end once that is known.
 *
 * A store adds to a tape; any number of followers read it by number and keep no copy. Items are numbered 1, 2, 3 …
 */
export class Tape {
  readonly #items: TapeItem[] = [];
  readonly #watchers = new Set<() => void>();
  #end: RunEnd | undefined;

  /** Number of the newest item; 0 while there is none. */
  get length(): number {
    return this.#items.length;
  }

  /** The end of the run; `undefined` until it is known. No item follows it. */
  get end(): RunEnd | undefined {
    return this.#end;
  }

  /**
   * @param number - Number of an item, from 1.
   * @returns The item; `undefined` if the tape does not have it yet.
   */
  at(number: number): TapeItem | undefined {
    return this.#items[number - 1];
  }

  /**
   * Adds items and calls the watchers. No effect after the end.
   *
   * @param items - The next items, in order.
   */
  add(items: readonly TapeItem[]): void {
    if (this.#end !== undefined || items.length === 0) return;
    for (const item of items) this.#items.push(item);
    this.#tell();
  }

  /**
   * Sets the end and calls the watchers. No effect after the first call.
   *
   * @param end - How the run ended.
   */
  finish(end: RunEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#tell();
  }

  /**
   * Calls a function after each change: added items, or the end.
   *
   * @param fn - Called without arguments. It must not throw.
   * @returns A function that removes it. Idempotent.
   */
  watch(fn: () => void): () => void {
    this.#watchers.add(fn);
    return () => void this.#watchers.delete(fn);
  }

  #tell(): void {
    for (const fn of this.#watchers) fn();
  }
}
