/** Async context (`AsyncLocalStorage`): callbacks run in their request's, shared timers in none. */

import { AsyncResource } from "node:async_hooks";

/** Created while the module loads, outside of any request. */
const OUTSIDE: AsyncResource = new AsyncResource("TidewireShared");

/** Remembers the caller's async context. Create one only where a callback was given: it weighs about 100 bytes. */
export class Scope extends AsyncResource {
  constructor() {
    super("TidewireCallback");
  }
}

/**
 * Calls a function outside of any request's async context.
 *
 * A timer keeps the context in which it was created. A shared timer would keep the first request alive and run the
 * callbacks of all other requests in its context.
 */
export function runOutside<Result>(fn: () => Result): Result {
  return OUTSIDE.runInAsyncScope(fn);
}
