/** Waits with a deadline for something that becomes true with time. */

import { now, startTimer, stopTimer } from "./clock.js";

/** One wait. */
export interface Wait<T> {
  /** Name of the awaited thing, as in "No … within 3000 ms". */
  readonly what: string;
  /** Deadline in milliseconds from now. */
  readonly withinMs: number;
  /** Returns the result once it is there, and the message of an error if it can no longer come. */
  look(): { readonly value: T } | string | undefined;
}

/** All waits of one object, which calls `changed` whenever something has happened. */
export class Waits {
  readonly #looks = new Set<() => void>();
  readonly #fail: (message: string, stack: string | undefined) => Error;

  /** @param fail - Makes the error of a wait from its message, and the stack of its caller. */
  constructor(fail: (message: string, stack: string | undefined) => Error) {
    this.#fail = fail;
  }

  /**
   * Waits until `look` has a result.
   *
   * @param stack - Where the caller has called, from `stackOf`.
   * @returns The result. Rejects at the deadline, and with the string that `look` returns.
   */
  wait<T>(wait: Wait<T>, stack: string | undefined): Promise<T> {
    const { what, withinMs, look } = wait;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        stopTimer(timer);
        this.#looks.delete(check);
      };
      const check = (): void => {
        const found = look();
        if (found === undefined) return;
        settle();
        if (typeof found === "string") reject(this.#fail(found, stack));
        else resolve(found.value);
      };
      const begun = now();
      const timer = startTimer(() => {
        settle();
        // A busy process may not have read yet what has arrived: then the stream is not to blame.
        const lateMs = Math.round(now() - begun - withinMs);
        const late =
          lateMs > 250 ? ` (the process was busy: the deadline is ${lateMs} ms late)` : "";
        reject(this.#fail(`No ${what} within ${withinMs} ms${late}`, stack));
      }, withinMs);
      this.#looks.add(check);
      check();
    });
  }

  /** Something has happened: every wait looks again, the oldest first. */
  changed(): void {
    for (const look of this.#looks) look();
  }
}
