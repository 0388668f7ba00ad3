import { shareChunk, shareStored, sizeOf } from "../wire/shared-frames.js";
import { SLICE_BYTES } from "./subscription.js";
import type { DeliveredFrames, Subscription } from "./subscription.js";
import type { WindowEntry } from "./window.js";

/** The subscriptions of each channel that has any. */
export type Subscribers = ReadonlyMap<string, ReadonlySet<Subscription>>;

/** The entries of one turn, or of several while another batch was under way. */
export interface Batch {
  /** Position of the first entry. */
  readonly first: number;
  /** Position of the last entry. */
  readonly last: number;
  /** @returns The subscriptions that it concerns, each once. */
  targets(subscribers: Subscribers): Iterator<Subscription>;
  /**
   * @param subscription - One of its targets.
   * @returns What concerns it, joined once for all with the same channels; `undefined` if it is too much for one
   *   write.
   */
  framesFor(subscription: Subscription): DeliveredFrames | undefined;
}

/** @param entries - At least one, in the order of the log. */
export function createBatch(entries: readonly WindowEntry[]): Batch {
  const channel = entries[0]?.channel ?? "";
  return entries.every((entry) => entry.channel === channel)
    ? new ChannelBatch(entries, channel)
    : new MixedBatch(entries);
}

/** Entries of one channel: the same bytes for everybody. */
class ChannelBatch implements Batch {
  readonly first: number;
  readonly last: number;
  readonly #channel: string;
  readonly #frames: DeliveredFrames | undefined;

  constructor(entries: readonly WindowEntry[], channel: string) {
    this.first = entries[0]?.position ?? 0;
    this.last = entries.at(-1)?.position ?? 0;
    this.#channel = channel;
    this.#frames = join(entries);
  }

  targets(subscribers: Subscribers): Iterator<Subscription> {
    // As they are. Who joins meanwhile takes nothing from the batch: its cursor is past it.
    return subscriptionsOf(subscribers, this.#channel).values();
  }

  framesFor(): DeliveredFrames | undefined {
    return this.#frames;
  }
}

/** Entries of several channels. */
class MixedBatch implements Batch {
  readonly first: number;
  readonly last: number;
  readonly #entries: readonly WindowEntry[];
  readonly #byChannel = new Map<string, { entries: WindowEntry[]; frames?: Joined }>();
  /** Joined frames of several channels, by their names as JSON: a name may hold anything. */
  #ofChannels: Map<string, Joined> | undefined;

  constructor(entries: readonly WindowEntry[]) {
    this.#entries = entries;
    this.first = entries[0]?.position ?? 0;
    this.last = entries.at(-1)?.position ?? 0;
    for (const entry of entries) {
      const own = this.#byChannel.get(entry.channel);
      if (own === undefined) this.#byChannel.set(entry.channel, { entries: [entry] });
      else own.entries.push(entry);
    }
  }

  /** Marks each subscription with the channel that concerns it, if it is but one. */
  targets(subscribers: Subscribers): Iterator<Subscription> {
    const targets: Subscription[] = [];
    for (const channel of this.#byChannel.keys()) {
      for (const subscription of subscriptionsOf(subscribers, channel)) {
        if (subscription.batch === this.last) {
          subscription.channel = undefined;
        } else {
          subscription.batch = this.last;
          subscription.channel = channel;
          targets.push(subscription);
        }
      }
    }
    return targets.values();
  }

  framesFor({ channel, channels }: Subscription): DeliveredFrames | undefined {
    // Nearly all have one channel in a batch: for them nothing is computed but a look into a map.
    const own = channel === undefined ? undefined : this.#byChannel.get(channel);
    if (own !== undefined) {
      own.frames ??= { joined: join(own.entries) };
      return own.frames.joined;
    }
    const present = [...this.#byChannel.keys()].filter((name) => channels.has(name));
    const key = JSON.stringify(present);
    this.#ofChannels ??= new Map();
    let frames = this.#ofChannels.get(key);
    if (frames === undefined) {
      frames = { joined: join(this.#entries.filter((entry) => channels.has(entry.channel))) };
      this.#ofChannels.set(key, frames);
    }
    return frames.joined;
  }
}

/** What came of joining, which may be nothing. */
interface Joined {
  readonly joined: DeliveredFrames | undefined;
}

function join(entries: readonly WindowEntry[]): DeliveredFrames | undefined {
  if (entries.length > 1 && sizeOf(entries) > SLICE_BYTES) return undefined;
  const [first] = entries;
  const shared =
    first !== undefined && entries.length === 1 ? shareChunk(first) : shareStored(entries);
  return { shared, count: entries.length, last: entries.at(-1)?.position ?? 0 };
}

const NONE: ReadonlySet<Subscription> = new Set();

function subscriptionsOf(subscribers: Subscribers, channel: string): ReadonlySet<Subscription> {
  return subscribers.get(channel) ?? NONE;
}
