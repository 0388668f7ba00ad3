/** The error with which a session's `signal` aborts. */

import type { CloseReason } from "./session.js";

/** Marks aborts of sessions, including those of another copy of the package. */
const ABORT: unique symbol = Symbol.for("tidewire.abort");

/** Creates the abort reason of `signal`: an `AbortError`, which error handlers usually ignore. */
export function abortOf(reason: CloseReason): DOMException {
  const abort = new DOMException(`The event stream has closed: ${reason}`, {
    name: "AbortError",
    cause: reason,
  });
  return Object.defineProperty(abort, ABORT, { value: true });
}

/**
 * Tells whether an error only says that a session has closed: the abort reason of its `signal`, or an error with that
 * as its cause, as timers produce.
 *
 * @param error - Any value, usually what a handler failed with.
 */
export function isSessionAbort(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  if (ABORT in error) return true;
  const { cause } = error as { readonly cause?: unknown };
  return typeof cause === "object" && cause !== null && ABORT in cause;
}
