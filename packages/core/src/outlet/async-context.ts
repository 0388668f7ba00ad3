/** Async context (`AsyncLocalStorage`): callbacks run in that of their request, shared timers in that of no request. */

import { AsyncResource } from "node:async_hooks";

/** Made while the module loads, outside of any request. */
const OUTSIDE: AsyncResource = new AsyncResource("TidewireShared");

/** Remembers the async context of the caller. Make one only where a callback was given: it weighs some 100 bytes. */
export class Scope extends AsyncResource {
  constructor() {
    super("TidewireCallback");
  }
}

/**
 * Calls a function outside of any request's async context.
 *
 * A timer keeps the context in which it was made: a shared one would keep the first request alive and run the
 * callbacks of all others in its name.
 */
export function runOutside<Result>(fn: () => Result): Result {
  return OUTSIDE.runInAsyncScope(fn);
}
