/** Detects the end of the current turn: the synchronous code and the promise jobs it leads to. */

/**
 * Calls a function when the current turn has ended.
 *
 * Does not wait for the current iteration of the event loop: which other callbacks share that depends on load.
 */
export function afterTurn(fn: () => void): void {
  // The second tick runs after all present promise jobs and those that they queue.
  process.nextTick(() => queueMicrotask(() => process.nextTick(fn)));
}
