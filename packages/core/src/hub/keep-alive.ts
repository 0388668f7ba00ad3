/** Keeps the process alive, without connections or timers of the log doing so. */

import { MAX_MS } from "../options/check.js";

/** A reason for the process to stay alive. */
export class KeepAlive {
  /** A timer that has no other effect; `undefined` while there is no reason. */
  #timer: NodeJS.Timeout | undefined;

  /** @param isBusy - Whether there is a reason from now on. */
  set(isBusy: boolean): void {
    if (isBusy) {
      this.#timer ??= setInterval(() => {}, MAX_MS);
    } else {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }
}
