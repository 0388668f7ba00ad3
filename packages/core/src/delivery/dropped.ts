/** What the window remembers of the entries that it has dropped: the last one of each channel. */

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
  /** `position` at the time when this went to the end of the queue. */
  queuedAt: number;
  /** `undefined` exactly while `entry` is set. */
  id: string | undefined;
  /** Set while other entries keep its slab alive anyway. */
  entry: DroppedEntry | undefined;
}

/**
 * The last dropped entry of each channel, so that a client of a quiet channel has missed nothing however much of
 * others' was dropped since.
 *
 * Channels are told apart by the hash of their names: two with the same count as one, which only makes a client that
 * has missed nothing look like one that has.
 */
export class DroppedEntries {
  readonly #max: number;
  readonly #hash: (channel: string) => number;
  readonly #compare: (a: string, b: string) => number;
  readonly #byHash = new Map<number, Dropped>();
  /** All of them, about in the order of their positions. */
  #queue = new Deque<Dropped>([]);
  /** Those whose ids have yet to be read. All lie in one slab. */
  #unread: Dropped[] = [];
  /** Everything that was dropped after it is here. */
  #floor: number;
  /** Id of `#floor`; `undefined` if no client can report it. */
  #floorId: string | undefined;

  /**
   * @param max - Number of channels.
   * @param hash - Tells channels apart.
   * @param compare - The order of ids.
   * @param position - Where the window begins.
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

  /** Forgets everything: it is known only what is dropped after a position. */
  reset(position: number, id: string | undefined): void {
    this.#byHash.clear();
    this.#queue = new Deque([]);
    this.#unread = [];
    this.#floor = position;
    this.#floorId = id;
  }

  /**
   * Takes down that an entry was dropped.
   *
   * @param hash - Of its channel.
   * @param nextSlab - Memory of the entry that is the first now.
   */
  add(hash: number, entry: DroppedEntry, nextSlab: Buffer | undefined): void {
    if (this.#floorId === undefined) {
      // Every entry that is dropped after this one will be here.
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
      // The id is read later: of a busy channel only that of the last one in each slab.
      if (dropped.entry === undefined) this.#unread.push(dropped);
      dropped.position = entry.position;
      dropped.id = undefined;
      dropped.entry = entry;
    }
    if (entry.slab !== nextSlab) this.#read();
    if (this.#byHash.size > this.#max) this.#evict();
  }

  /** Whether nothing was dropped after a position on these channels, each from its own start on. */
  hasNoneAfter(position: number, channels: ChannelPositions): boolean {
    for (const [channel, start = position] of channels) {
      const from = Math.max(position, start);
      const last = this.#byHash.get(this.#hash(channel))?.position ?? -Infinity;
      if (from < this.#floor || last > from) return false;
    }
    return true;
  }

  /** As {@link hasNoneAfter}, for an id. */
  hasNoneAfterId(id: string, channels: ChannelPositions): boolean {
    const isPastFloor = this.#floorId !== undefined && this.#compare(id, this.#floorId) >= 0;
    for (const [channel, start = -Infinity] of channels) {
      // Before the floor it is not known what was dropped.
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

  /** Forgets the channel whose last entry was dropped first. What came before that is not known any more. */
  #evict(): void {
    for (let oldest = this.#queue.at(0); oldest !== undefined; oldest = this.#queue.at(0)) {
      this.#queue.shift();
      if (oldest.position > oldest.queuedAt) {
        // To move it each time would make every event of a busy channel dearer.
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
