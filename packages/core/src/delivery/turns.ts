/** Limits how long delivery holds the event loop in one turn. */

import { runOutside } from "../outlet/async-context.js";

/** Time after which delivery yields to other work, in milliseconds. */
const TURN_MS = 3;

/** Calls a function once per turn of the event loop, for as long as it has more to do. */
export class Turns {
  readonly #run: (end: number) => boolean;
  #isScheduled = false;

  /** @param run - Works until `end` (on the clock of `performance.now()`); returns whether more work is left. */
  constructor(run: (end: number) => boolean) {
    this.#run = run;
  }

  /** Work has arrived. */
  wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Otherwise all deliveries of the turn would run in the async context of the first request that published.
    runOutside(() => setImmediate(() => this.#turn()));
  }

  #turn(): void {
    this.#isScheduled = false;
    if (this.#run(performance.now() + TURN_MS)) this.wake();
  }
}
