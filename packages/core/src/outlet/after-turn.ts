/** The end of the present turn: the synchronous code, and the promise jobs that it leads to. */

/**
 * Calls a function when the present turn is over.
 *
 * Not after the present iteration of the event loop: which other callbacks share it depends on load.
 */
export function afterTurn(fn: () => void): void {
  // The second tick comes when the promise jobs that were there, and those that they led to, are done.
  process.nextTick(() => queueMicrotask(() => process.nextTick(fn)));
}
