import type { HubStats } from "@tidewire/core";

/** One second of both servers, as the page receives it. */
export interface Sample {
  /** Time in ISO 8601, UTC. */
  readonly at: string;
  /** Number of open streams. */
  readonly sessions: number;
  /** Number of events delivered in this second, over all streams. */
  readonly events: number;
}

/** Number of samples kept: the last minute. */
const SAMPLES = 60;

/** Statistics of a hub, second by second. */
export interface StatsSource {
  /** Samples of the last minute, oldest first. Never empty. */
  history(): readonly Sample[];
  stop(): void;
}

/**
 * Samples a hub's statistics once a second, from now on.
 *
 * @param onSample - Receives the sample of each second.
 */
export function startStats(
  hub: { stats(): HubStats },
  onSample: (sample: Sample) => void,
): StatsSource {
  const samples: Sample[] = [{ at: new Date().toISOString(), sessions: 0, events: 0 }];
  let before = 0;
  const timer = setInterval(() => {
    const { sessions, delivered } = hub.stats();
    const at = new Date().toISOString();
    const sample = { at, sessions: sessions.open, events: delivered - before };
    before = delivered;
    samples.push(sample);
    if (samples.length > SAMPLES) samples.shift();
    onSample(sample);
  }, 1_000);
  return { history: () => samples, stop: () => clearInterval(timer) };
}
