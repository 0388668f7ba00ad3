/** Turns of the event loop in which delivery works, so that it never holds the loop for long. */

import { runOutside } from "../outlet/async-context.js";

/** After so many milliseconds delivery lets other work have its turn. */
const TURN_MS = 3;

/** Calls a function in turns for as long as it has something to do. */
export class Turns {
  readonly #run: (end: number) => boolean;
  #isScheduled = false;

  /** @param run - Works until `end`, a time of `performance.now()`; returns whether there is more to do. */
  constructor(run: (end: number) => boolean) {
    this.#run = run;
  }

  /** There is something to do. */
  wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Otherwise all deliveries of the turn would run in the async context of the request that published first.
    runOutside(() => setImmediate(() => this.#turn()));
  }

  #turn(): void {
    this.#isScheduled = false;
    if (this.#run(performance.now() + TURN_MS)) this.wake();
  }
}
