import type { Sample } from "./stats.js";
import type { Tick } from "./clock.js";
import type { Weather } from "./weather.js";

/** The channels of the showcase: what is published on each, so that the compiler checks it. */
export type Channels = {
  clock: { time: Tick };
  weather: { weather: Weather };
  stats: { stats: Sample };
  news: { headline: Headline };
  [user: `user:${string}`]: { notification: Notification };
};

/** @returns A user's channel: in small letters, nobody need know how Ada writes herself. */
export function channelOf(user: string): `user:${string}` {
  return `user:${user.toLowerCase()}`;
}

/** What somebody has published for everybody. */
export interface Headline {
  /** Time in ISO 8601, UTC. */
  readonly at: string;
  readonly text: string;
  /** Name of the server that it was posted to. */
  readonly by: string;
}

/** What somebody has sent to one user. */
export interface Notification {
  /** Time in ISO 8601, UTC. */
  readonly at: string;
  readonly text: string;
  /** Name of the user who has sent it. */
  readonly from: string;
}
