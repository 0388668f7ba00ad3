/** One tick of the clock, as the page receives it. */
export interface Tick {
  /** Time in ISO 8601, UTC. */
  readonly time: string;
}

/**
 * Calls a function at every full second.
 *
 * @returns Stops the clock.
 */
export function startClock(onTick: (tick: Tick) => void): () => void {
  let timer: NodeJS.Timeout;
  const schedule = (): void => {
    // An interval would drift away from the full second and now and then skip one.
    timer = setTimeout(
      () => {
        onTick({ time: new Date().toISOString() });
        schedule();
      },
      1_000 - (Date.now() % 1_000),
    );
  };
  schedule();
  return () => clearTimeout(timer);
}
