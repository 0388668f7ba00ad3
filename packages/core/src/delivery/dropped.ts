/** Remembers the last dropped entry of each channel. */

import { idOf } from "../wire/frame-slab.js";
import type { StoredFrame } from "../wire/shared-frames.js";
import type { ChannelPositions } from "./channel-set.js";
import { Deque } from "./deque.js";

/** An entry that is being dropped. */
export interface DroppedEntry extends StoredFrame {
  readonly position: number;
}

/** The last entry of a channel that was dropped. */
interface Dropped {
  readonly hash: number;
  position: number;
  /** `position` when this was queued last. */
  queuedAt: number;
  /** `undefined` exactly while `entry` is set. */
  id: string | undefined;
  /** Set while other entries keep its slab alive in any case. */
  entry: DroppedEntry | undefined;
}

/**
 * The last dropped entry of each channel. With it, a client of a quiet channel has missed nothing, however many entries
 * of other channels were dropped since.
 *
 * Channels are told apart by the hash of their names. Two channels with the same hash count as one, so a client may
 * get a needless reset but never misses an event.
 */
export class DroppedEntries {
  readonly #max: number;
  readonly #hash: (channel: string) => number;
  readonly #compare: (a: string, b: string) => number;
  readonly #byHash = new Map<number, Dropped>();
  /** All of them, roughly in the order of their positions. */
  #queue = new Deque<Dropped>([]);
  /** Those whose ids are still to be read. All lie in one slab. */
  #unread: Dropped[] = [];
  /** Every entry dropped after this position is recorded. */
  #floor: number;
  /** Id of `#floor`; `undefined` if no client can report it. */
  #floorId: string | undefined;

  /**
   * @param max - Number of channels.
   * @param hash - Tells channels apart.
   * @param compare - Order of ids.
   * @param position - Start of the window.
   * @param id - Id of that position.
   */
  constructor(
    max: number,
    hash: (channel: string) => number,
    compare: (a: string, b: string) => number,
    position: number,
    id: string | undefined,
  ) {
    this.#max = max;
    this.#hash = hash;
    this.#compare = compare;
    this.#floor = position;
    this.#floorId = id;
  }

  /** Forgets everything: only entries dropped after `position` will be known. */
  reset(position: number, id: string | undefined): void {
    this.#byHash.clear();
    this.#queue = new Deque([]);
    this.#unread = [];
    this.#floor = position;
    this.#floorId = id;
  }

  /**
   * Records a dropped entry.
   *
   * @param hash - Hash of its channel.
   * @param nextSlab - Slab of the entry that is now first in the window.
   */
  add(hash: number, entry: DroppedEntry, nextSlab: Buffer | undefined): void {
    if (this.#floorId === undefined) {
      // From here on every dropped entry is recorded.
      this.#floor = entry.position;
      this.#floorId = idOf(entry);
    }
    let dropped = this.#byHash.get(hash);
    if (dropped === undefined) {
      const { position } = entry;
      dropped = { hash, position, queuedAt: position, id: undefined, entry };
      this.#byHash.set(hash, dropped);
      this.#queue.push(dropped);
      this.#unread.push(dropped);
    } else {
      // The id is read later: on a busy channel only that of the last entry in each slab.
      if (dropped.entry === undefined) this.#unread.push(dropped);
      dropped.position = entry.position;
      dropped.id = undefined;
      dropped.entry = entry;
    }
    if (entry.slab !== nextSlab) this.#read();
    if (this.#byHash.size > this.#max) this.#evict();
  }

  /** Whether no entry of these channels was dropped after a position, each channel counted from its start. */
  hasNoneAfter(position: number, channels: ChannelPositions): boolean {
    for (const [channel, start = position] of channels) {
      const from = Math.max(position, start);
      const last = this.#byHash.get(this.#hash(channel))?.position ?? -Infinity;
      if (from < this.#floor || last > from) return false;
    }
    return true;
  }

  /** Same as {@link hasNoneAfter}, for an id. */
  hasNoneAfterId(id: string, channels: ChannelPositions): boolean {
    const isPastFloor = this.#floorId !== undefined && this.#compare(id, this.#floorId) >= 0;
    for (const [channel, start = -Infinity] of channels) {
      // Drops before the floor are unknown.
      if (!isPastFloor && start < this.#floor) return false;
      const dropped = this.#byHash.get(this.#hash(channel));
      if (dropped === undefined || dropped.position <= start) continue;
      if (!isPastFloor || this.#compare(idOfDropped(dropped), id) > 0) return false;
    }
    return true;
  }

  #read(): void {
    for (const dropped of this.#unread) {
      dropped.id = idOfDropped(dropped);
      dropped.entry = undefined;
    }
    this.#unread = [];
  }

  /** Forgets the channel whose last drop is the oldest. Drops before that are then unknown. */
  #evict(): void {
    for (let oldest = this.#queue.at(0); oldest !== undefined; oldest = this.#queue.at(0)) {
      this.#queue.shift();
      if (oldest.position > oldest.queuedAt) {
        // Requeues only here: moving it on every drop would cost each event of a busy channel.
        oldest.queuedAt = oldest.position;
        this.#queue.push(oldest);
        continue;
      }
      this.#byHash.delete(oldest.hash);
      if (oldest.position <= this.#floor) return;
      this.#floor = oldest.position;
      this.#floorId = idOfDropped(oldest);
      return;
    }
  }
}

function idOfDropped({ id, entry }: Dropped): string {
  return id ?? (entry === undefined ? "" : idOf(entry));
}
