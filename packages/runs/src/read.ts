/** Reads a run in server code, as an async iterable. */

import { unexpected } from "@tidewire/core/adapter";
import { checkOptions } from "./check-options.js";
import { openCursor } from "./cursor.js";
import type { Cursor } from "./cursor.js";
import { checkAfter, closedError, positionOf } from "./follow.js";
import type { FollowParts } from "./follow.js";
import type { Outcome } from "./tape.js";

/** Options of `read`. */
export interface RunReadOptions {
  /**
   * The last item that the reader has: its id, or its number in the run. The number may be text such as `"17"`, as it
   * stands in a query. `""` and 0 stand for the beginning. Any other text is the position of no run: the loop ends at
   * once.
   *
   * @defaultValue `""`
   */
  readonly after?: string | number | undefined;
  /**
   * Ends the iteration when it aborts, without an error.
   *
   * @defaultValue none
   */
  readonly signal?: AbortSignal | undefined;
}

/** One step of `read`: the items of a run, then its end. */
export type RunEvent =
  | {
      readonly type: "item";
      /** Position of the item: the id that clients get, and a value for `after`. */
      readonly id: string;
      /** Event type; `"message"` if the item has none. */
      readonly event: string;
      /**
       * The event's data as text, whatever the source produced: `serialize` has made text of it for the tape, and a tape
       * does not tell text that was an object from text that was a string. Parse it as a client would.
       */
      readonly data: string;
      /** Reconnection time in milliseconds. */
      readonly retry?: number | undefined;
    }
  | {
      readonly type: "end";
      /** How the run ended. */
      readonly outcome: Outcome;
      /** Message of the error of a run that has failed. It may contain details that clients should not see. */
      readonly error?: string | undefined;
    };

type Result = IteratorResult<RunEvent, undefined>;

const DONE: Result = { done: true, value: undefined };

/** The iterator of `read`. Unlike a generator it ends at once when it is left while it waits. */
export class RunReader implements AsyncIterableIterator<RunEvent> {
  readonly #parts: FollowParts;
  readonly #key: string;
  readonly #after: string | number;
  readonly #signal: AbortSignal | undefined;
  /** `undefined` before the first `next`. */
  #cursor: Cursor | undefined;
  #isOver = false;
  /** The latest `next`, which the following one waits for. */
  #latest: Promise<unknown> = Promise.resolve();

  /** @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid. */
  constructor(parts: FollowParts, key: string, options: RunReadOptions) {
    checkOptions("read", options, ["after", "signal"]);
    const { after, signal } = options;
    checkAfter(after);
    if (signal !== undefined && typeof signal?.addEventListener !== "function") {
      throw unexpected("signal", "an AbortSignal", signal);
    }
    this.#parts = parts;
    this.#key = key;
    this.#after = positionOf(after ?? "");
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    const result = this.#latest.then(() => this.#next());
    this.#latest = result.catch(() => {});
    return result;
  }

  async return(): Promise<Result> {
    this.#close();
    return DONE;
  }

  async #next(): Promise<Result> {
    if (this.#isOver || this.#signal?.aborted === true) return this.#close();
    const cursor = this.#cursor ?? (await this.#open());
    if (cursor === undefined) return this.#close();
    for (;;) {
      if (this.#isOver) return DONE;
      const placed = cursor.next();
      if (placed !== undefined) {
        const { id, item } = placed;
        const { event = "message" } = item;
        return { done: false, value: { type: "item", id, ...item, event } };
      }
      const { end } = cursor;
      if (end !== undefined) {
        this.#close();
        return { done: false, value: { type: "end", ...end } };
      }
      if (this.#parts.isClosed()) return this.#close();
      await cursor.wait();
    }
  }

  async #open(): Promise<Cursor | undefined> {
    const { tapes, followers, isClosed, reading } = this.#parts;
    if (isClosed()) throw closedError();
    const cursor = await openCursor(tapes, this.#key, this.#after);
    if (cursor === undefined) return undefined;
    this.#cursor = cursor;
    followers.add(cursor.wake);
    reading(1);
    this.#signal?.addEventListener("abort", this.#close);
    // Left while it was being opened.
    if (this.#isOver || this.#signal?.aborted === true) this.#close();
    return cursor;
  }

  /** Gives the tape back and ends the iteration. Idempotent. */
  readonly #close = (): Result => {
    this.#isOver = true;
    const cursor = this.#cursor;
    if (cursor !== undefined) {
      this.#cursor = undefined;
      this.#parts.followers.delete(cursor.wake);
      this.#parts.reading(-1);
      this.#signal?.removeEventListener("abort", this.#close);
      cursor.close();
    }
    return DONE;
  };
}
