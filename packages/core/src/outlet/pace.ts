/** Yields to other work when a loop awaits one `send` after another and the client keeps up. */

import { runOutside } from "./async-context.js";

/** How long loops may continue within one turn of the event loop, in milliseconds. */
const TURN_MS = 10;
/** Calls between two checks of the clock. */
const LOOK_EVERY = 16;

/** `true` from the first call in a turn of the event loop to the end of that turn. */
let isCounting = false;
let startedAt = 0;
let calls = 0;
/** Set while a loop waits for the next turn. */
let next: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

/**
 * Says whether a loop should pause. Awaiting a promise that is already resolved does not let timers and sockets run: a
 * loop that awaits nothing else would block the process until it ends.
 *
 * @returns A promise to wait for, shared by all loops; `undefined` if the loop may continue.
 */
export function breathe(): Promise<void> | undefined {
  if (!isCounting) {
    isCounting = true;
    startedAt = performance.now();
    calls = 0;
    runOutside(() => setImmediate(endTurn));
    return undefined;
  }
  if (next === undefined) {
    calls += 1;
    if (calls % LOOK_EVERY !== 0 || performance.now() - startedAt < TURN_MS) return undefined;
    let resolve = (): void => {};
    const promise = new Promise<void>((settle) => {
      resolve = settle;
    });
    next = { promise, resolve };
  }
  return next.promise;
}

function endTurn(): void {
  isCounting = false;
  const waiting = next;
  next = undefined;
  waiting?.resolve();
}
