/** One timer by the clock on the wall, which goes on while the machine sleeps. */

/** How often the clock is read. */
const TICK_MS = 5_000;

/** A larger jump of the clock is a sleep. Browsers delay the timers of hidden pages by up to a minute. */
const SLEEP_MS = 90_000;

/** A single timer. */
export interface Alarm {
  /**
   * Sets the alarm, in place of the previous one. It rings once: when the time is over by the clock, or as soon as the
   * clock has jumped, because the machine was asleep or the clock was set.
   *
   * @param ms - `Infinity` for an alarm that only rings when the clock has jumped.
   */
  set(ms: number, ring: () => void): void;
  clear(): void;
}

/** Creates an alarm that is not set. */
export function createAlarm(): Alarm {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const clear = (): void => clearTimeout(timer);
  const set = (ms: number, ring: () => void): void => {
    const before = Date.now();
    clear();
    // A timer stands still while the machine sleeps. Therefore a long time is cut into short ones.
    timer = setTimeout(
      () => {
        const passedMs = Date.now() - before;
        if (passedMs >= ms || Math.abs(passedMs) >= SLEEP_MS) ring();
        else set(ms - passedMs, ring);
      },
      Math.min(ms, TICK_MS),
    );
  };
  return { set, clear };
}
