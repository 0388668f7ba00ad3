/** What a session's `signal` aborts with. */

import type { CloseReason } from "./session.js";

/** Marks aborts of sessions, also those of another copy of the package. */
const ABORT: unique symbol = Symbol.for("tidewire.abort");

/** What everybody rejects with who was given the `signal`: the abort that error handling everywhere passes over. */
export function abortOf(reason: CloseReason): DOMException {
  const abort = new DOMException(`The event stream has closed: ${reason}`, {
    name: "AbortError",
    cause: reason,
  });
  return Object.defineProperty(abort, ABORT, { value: true });
}

/**
 * Tells whether an error says no more than that a session has closed: what its `signal` has aborted with, or an error with
 * that as its cause, as timers give.
 *
 * @param error - Anything, usually what a handler has failed with.
 */
export function isSessionAbort(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  if (ABORT in error) return true;
  const { cause } = error as { readonly cause?: unknown };
  return typeof cause === "object" && cause !== null && ABORT in cause;
}
