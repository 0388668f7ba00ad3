import type { Sample } from "./stats.js";
import type { Tick } from "./clock.js";
import type { Weather } from "./weather.js";

/** The channels of the showcase and their events, which the compiler checks. */
export type Channels = {
  clock: { time: Tick };
  weather: { weather: Weather };
  stats: { stats: Sample };
  news: { headline: Headline };
  [user: `user:${string}`]: { notification: Notification };
};

/** @returns The channel of a user. Lower case, so that `Ada` and `ada` are the same user. */
export function channelOf(user: string): `user:${string}` {
  return `user:${user.toLowerCase()}`;
}

/** A headline for all pages. */
export interface Headline {
  /** Time in ISO 8601, UTC. */
  readonly at: string;
  readonly text: string;
  /** Name of the server that published it. */
  readonly by: string;
}

/** A message to one user. */
export interface Notification {
  /** Time in ISO 8601, UTC. */
  readonly at: string;
  readonly text: string;
  /** Name of the sender. */
  readonly from: string;
}
