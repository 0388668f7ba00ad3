/** One tick of the clock, as the page receives it. */
export interface Tick {
  /** 1, 2, 3 and so on. The number shows a page whether it has missed a tick or got one twice. */
  readonly number: number;
  /** Time in ISO 8601, UTC. */
  readonly at: string;
}

/**
 * Calls a function at every full second.
 *
 * @returns Function that stops the clock.
 */
export function startClock(onTick: (tick: Tick) => void): () => void {
  let next = Math.ceil(Date.now() / 1_000) * 1_000;
  let number = 0;
  let timer: NodeJS.Timeout;
  const schedule = (): void => {
    // An interval would drift away from the full second and sometimes skip one.
    timer = setTimeout(tick, next - Date.now());
  };
  const tick = (): void => {
    // The scheduled time: a timer may fire a millisecond early, and would then report the previous second twice.
    number += 1;
    onTick({ number, at: new Date(next).toISOString() });
    next = Math.max(next, Math.floor(Date.now() / 1_000) * 1_000) + 1_000;
    schedule();
  };
  schedule();
  return () => clearTimeout(timer);
}
