/** One tick of the clock, as the page receives it. */
export interface Tick {
  /** Time in ISO 8601, UTC. */
  readonly at: string;
}

/**
 * Calls a function at every full second.
 *
 * @returns Stops the clock.
 */
export function startClock(onTick: (tick: Tick) => void): () => void {
  let next = Math.ceil(Date.now() / 1_000) * 1_000;
  let timer: NodeJS.Timeout;
  const schedule = (): void => {
    // An interval would drift away from the full second and now and then skip one.
    timer = setTimeout(tick, next - Date.now());
  };
  const tick = (): void => {
    // The second that was meant: a timer may fire a millisecond early, and the second before would show twice.
    onTick({ at: new Date(next).toISOString() });
    next = Math.max(next, Math.floor(Date.now() / 1_000) * 1_000) + 1_000;
    schedule();
  };
  schedule();
  return () => clearTimeout(timer);
}
