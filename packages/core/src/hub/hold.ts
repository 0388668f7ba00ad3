/** How long answers are held back for a log that is starting. */

import type { LogStart } from "../delivery/log-start.js";

/** In milliseconds. Then the answer is given without a position. */
export const HOLD_MS = 1_000;

/** @returns Resolves once the log has started or never will, and after {@link HOLD_MS} at the latest. */
export function startedOrHeld(start: LogStart): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      clearTimeout(timer);
      forget();
      resolve();
    };
    const timer = setTimeout(settle, HOLD_MS);
    const forget = start.whenSettled(settle);
  });
}
