/** The default of `onError`: prints background errors without flooding the output. */

import { AsyncResource } from "node:async_hooks";

/** Time between two lines about the same stage, in milliseconds. */
const PAUSE_MS = 60_000;

/** State of one stage. */
interface Printed {
  /** Time of the last printed line. */
  at: number;
  /** Errors since then. */
  count: number;
  /** The latest of these errors; meaningless while `count` is 0. */
  latest: unknown;
}

/**
 * Creates an `onError` function that prints the first error of each stage at once, and later ones at most once a
 * minute, as a count and the latest error.
 *
 * All stages share one timer, which runs only while there is something to print and does not keep the process alive.
 */
export function printErrors(): (error: unknown, context: { readonly stage: string }) => void {
  const stages = new Map<string, Printed>();
  // A timer keeps the async context in which it was created: this one must not belong to a request.
  const outside = new AsyncResource("TidewireErrors");
  let isArmed = false;

  const arm = (): void => {
    isArmed = true;
    const due = Math.min(...counted().map(([, { at }]) => at + PAUSE_MS));
    outside.runInAsyncScope(() => setTimeout(tell, Math.max(1, due - performance.now())).unref());
  };
  const counted = (): [string, Printed][] => [...stages].filter(([, { count }]) => count > 0);
  const tell = (): void => {
    isArmed = false;
    const now = performance.now();
    for (const [stage, printed] of counted()) {
      // Timers may be a millisecond early.
      if (printed.at + PAUSE_MS > now + 1) continue;
      const { count, latest } = printed;
      stages.set(stage, { at: now, count: 0, latest: undefined });
      const errors =
        count === 1 ? "1 further background error" : `${count} further background errors`;
      console.error(`tidewire: ${errors} (${stage}) in the last minute, the latest:`, latest);
    }
    if (counted().length > 0) arm();
  };
  return (error, { stage }) => {
    const printed = stages.get(stage);
    const now = performance.now();
    if (printed === undefined || (printed.count === 0 && printed.at + PAUSE_MS <= now)) {
      stages.set(stage, { at: now, count: 0, latest: undefined });
      console.error(
        `tidewire: background error (${stage}); set the option onError to receive these. Further ones are printed once a minute:`,
        error,
      );
      return;
    }
    printed.count += 1;
    printed.latest = error;
    if (!isArmed) arm();
  };
}
