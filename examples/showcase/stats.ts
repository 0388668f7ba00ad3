import type { HubStats } from "@tidewire/core";

/** One second of both servers, as the page receives it. */
export interface Sample {
  /** Time in ISO 8601, UTC. */
  readonly at: string;
  /** Streams that are open. */
  readonly sessions: number;
  /** Events that were delivered in this second, to all of them. */
  readonly events: number;
}

/** Samples that are kept: the last minute. */
const SAMPLES = 60;

/** What a hub does, second by second. */
export interface StatsSource {
  /** The last minute, oldest first. */
  history(): readonly Sample[];
  stop(): void;
}

/**
 * Starts to watch a hub.
 *
 * @param onSample - Receives the sample of each second.
 */
export function startStats(
  hub: { stats(): HubStats },
  onSample: (sample: Sample) => void,
): StatsSource {
  const samples: Sample[] = [];
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
