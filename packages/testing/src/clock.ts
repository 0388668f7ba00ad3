/** The real clock: taken when the package is loaded, so that the deadlines of waits run under fake timers too. */

import { performance } from "node:perf_hooks";
import timers from "node:timers";

/** The real `setTimeout`. */
export const startTimer: typeof timers.setTimeout = timers.setTimeout;
/** The real `clearTimeout`. */
export const stopTimer: typeof timers.clearTimeout = timers.clearTimeout;
/** Milliseconds on a clock that never goes back. */
export const now: () => number = performance.now.bind(performance);
