/** The window's index: positions of each channel's entries, under a number instead of the channel's name. */

import {
  channelOf,
  hashChannelOf,
  hashName,
  haveSameChannel,
  isOnChannel,
} from "../wire/frame-slab.js";
import type { StoredFrame } from "../wire/shared-frames.js";
import { Deque } from "./deque.js";
import type { Searchable } from "./deque.js";

/** Longest list that is copied when it grows. Longer lists get spare capacity, which short ones would waste. */
const MAX_EXACT = 8;

/** Positions in ascending order. */
export type Positions = Searchable<number>;

/** Positions of one channel. Most channels have one entry, for which a list would weigh as much as the entry. */
type Bucket = number | readonly number[] | Deque<number>;

const NONE: Positions = [];

/**
 * Positions by channel. Names are not stored, because the window has them next to its frames.
 *
 * A channel's key is a hash of its name, 0 or more. If that hash is taken by another channel, it gets a negative key
 * for as long as it has entries, so each key stands for one channel at a time.
 */
export class ChannelIndex {
  readonly #frameAt: (position: number) => StoredFrame;
  /** Random for each index, so that colliding names cannot be chosen from outside. */
  readonly #seed = (Math.random() * 2 ** 32) | 0;
  readonly #shift: number;
  readonly #buckets = new Map<number, Bucket>();
  /** Negative keys by channel; `undefined` until two channels have had the same hash. */
  #collided: Map<string, number> | undefined;
  #lastNegative = 0;

  /**
   * @param frameAt - The frame at a position in the index.
   * @param hashBits - From 1 to 30: V8 stores numbers of this size without an object.
   */
  constructor(frameAt: (position: number) => StoredFrame, hashBits: number) {
    this.#frameAt = frameAt;
    this.#shift = 32 - hashBits;
  }

  /** @returns A hash of the channel's name. */
  hash(channel: string): number {
    return hashName(channel, this.#seed) >>> this.#shift;
  }

  /** @returns {@link hash} of a frame's channel. */
  hashOf(frame: StoredFrame): number {
    return hashChannelOf(frame, this.#seed) >>> this.#shift;
  }

  /** @returns The key of a channel with entries; `undefined` for any other. */
  keyOf(channel: string): number | undefined {
    const own = this.#collided?.get(channel);
    if (own !== undefined) return own;
    const hash = this.hash(channel);
    const bucket = this.#buckets.get(hash);
    if (bucket === undefined) return undefined;
    return isOnChannel(this.#frameAt(newestOf(bucket)), channel) ? hash : undefined;
  }

  /** @returns The positions of a channel's entries. */
  positions(channel: string): Positions {
    const key = this.keyOf(channel);
    const bucket = key === undefined ? undefined : this.#buckets.get(key);
    if (bucket === undefined) return NONE;
    return typeof bucket === "number" ? [bucket] : bucket;
  }

  /** @returns The key for the channel of a frame that is about to be added. */
  keyFor(frame: StoredFrame): number {
    const own = this.#collided?.get(channelOf(frame));
    if (own !== undefined) return own;
    const hash = this.hashOf(frame);
    const bucket = this.#buckets.get(hash);
    if (bucket === undefined || haveSameChannel(frame, this.#frameAt(newestOf(bucket))))
      return hash;
    this.#lastNegative -= 1;
    this.#collided ??= new Map();
    this.#collided.set(channelOf(frame), this.#lastNegative);
    return this.#lastNegative;
  }

  /** Appends a position, the newest of its key. */
  append(key: number, position: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket instanceof Deque) bucket.push(position);
    else this.#buckets.set(key, bucket === undefined ? position : grown(bucket, position));
  }

  /**
   * Adds positions before all present ones.
   *
   * @param entries - Newest first. The window holds them already; each one's `key` is set.
   */
  prepend(entries: readonly (StoredFrame & { readonly position: number; key: number })[]): void {
    const groups = new Map<number, number[]>();
    for (const entry of entries) {
      const { position } = entry;
      const key = this.keyFor(entry);
      entry.key = key;
      const group = groups.get(key);
      if (group !== undefined) {
        group.push(position);
      } else if (this.#buckets.has(key)) {
        groups.set(key, [position]);
      } else {
        // Reserves the key before the next channel, which may have the same hash.
        this.#buckets.set(key, position);
        groups.set(key, []);
      }
    }
    for (const [key, group] of groups) {
      const bucket = this.#buckets.get(key);
      if (group.length === 0 || bucket === undefined) continue;
      group.reverse();
      if (bucket instanceof Deque) bucket.unshift(group);
      else this.#buckets.set(key, joined(group, typeof bucket === "number" ? [bucket] : bucket));
    }
  }

  /**
   * Removes the oldest position of a key.
   *
   * @param dropped - The frame at that position.
   */
  shift(key: number, dropped: StoredFrame): void {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return;
    if (typeof bucket !== "number" && bucket.length > 1) {
      if (bucket instanceof Deque) bucket.shift();
      else this.#buckets.set(key, bucket.length > 2 ? bucket.slice(1) : (bucket[1] as number));
      return;
    }
    // Without this, a hub with short-lived channels would keep a list for every channel it ever had.
    this.#buckets.delete(key);
    if (key < 0) this.#collided?.delete(channelOf(dropped));
  }

  /** Forgets everything. */
  clear(): void {
    this.#buckets.clear();
    this.#collided = undefined;
  }
}

function newestOf(bucket: Bucket): number {
  if (typeof bucket === "number") return bucket;
  return bucket.at(bucket.length - 1) as number;
}

function joined(before: readonly number[], after: readonly number[]): Bucket {
  const all = [...before, ...after];
  return all.length > MAX_EXACT ? new Deque(all) : all;
}

function grown(bucket: number | readonly number[], position: number): Bucket {
  // A literal and `concat` allocate exactly what they need, `push` a dozen extra slots.
  if (typeof bucket === "number") return [bucket, position];
  const all = bucket.concat(position);
  return all.length > MAX_EXACT ? new Deque(all) : all;
}
