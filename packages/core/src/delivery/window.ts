/**
 * The newest part of the log in memory: the source of replays, and the test for whether a client has missed anything.
 */

import { haveSameChannel, idOf, storedBytes } from "../wire/frame-slab.js";
import type { StoredFrame } from "../wire/shared-frames.js";
import { ChannelIndex } from "./channel-index.js";
import type { Positions } from "./channel-index.js";
import type { ChannelPositions } from "./channel-set.js";
import { Deque, firstWhere } from "./deque.js";
import { DroppedEntries } from "./dropped.js";

/** How much of the log a hub keeps in memory for replay. The first limit reached applies. */
export interface Retention {
  /** Age in milliseconds after which a missed event is no longer replayed. */
  readonly maxAgeMs: number;
  /** Number of events. */
  readonly maxEvents: number;
  /** Bytes of encoded events and of their channel names. */
  readonly maxBytes: number;
}

/**
 * One event in the window: its block, encoded once for all sessions.
 *
 * A window holds up to a hundred thousand of them, so id and channel are read from the slab on demand.
 */
export interface WindowEntry extends StoredFrame {
  /** Position in the log, counted by this process: from 1 upwards for new entries, from 0 downwards for older ones. */
  readonly position: number;
  /** Number that stands for the channel while the window has entries of it. */
  readonly key: number;
  /** Arrival time, in whole milliseconds of a monotonic clock. */
  readonly at: number;
}

/** An entry from before the window, for {@link Window.prepend}. */
export interface PastFrame {
  readonly id: string;
  /** As `FrameSlab` has stored it, including its channel and this id. */
  readonly frame: StoredFrame;
  /** When it was published, on the clock of {@link WindowEntry.at}. */
  readonly at: number;
}

/** Where the window begins. */
export interface WindowStart {
  /** Id of the first entry, or of the position right before it. */
  readonly id: string;
  /** Whether the entry with that id is in the window. */
  readonly isHeld: boolean;
}

/** Remaining capacity of the window. */
export interface WindowRoom {
  /** Age in milliseconds beyond which entries are not kept. */
  readonly maxAgeMs: number;
  readonly entries: number;
  readonly bytes: number;
}

/** Frames to write next, and the position after the last of them. */
export interface Slice {
  readonly frames: WindowEntry[];
  /** Everything up to here on these channels is in `frames` or was written before. */
  readonly cursor: number;
  /** Position of the last frame; 0 if there is none. */
  readonly last: number;
}

/** Up to this many channels their indexes are merged; with more, the whole window is scanned. */
const MAX_MERGED = 16;

/** Most channels whose last dropped entry is remembered. */
const MAX_DROPPED = 16_384;

/** Progress through the positions of one channel. */
interface Head {
  readonly positions: Positions;
  next: number;
}

/** An entry without its key. */
type NewEntry = { -readonly [Name in keyof WindowEntry]: WindowEntry[Name] };

/**
 * The newest part of the log as shared frames, indexed by channel.
 *
 * Positions count the entries that this process has seen. A client's position is valid as long as the window has
 * everything after it on the client's channels.
 */
export class Window {
  readonly #retention: Retention;
  readonly #compare: (a: string, b: string) => number;
  readonly #entries = new Deque<WindowEntry>([]);
  readonly #index: ChannelIndex;
  readonly #dropped: DroppedEntries;
  /** Id of the tail: of the last entry, or of the log's position when the window began. */
  #tailId: string;
  #tail = 0;
  /** Position of the first entry; one past the tail while empty. */
  #first = 1;
  /** Id of the position before `#first`, or its dropped entry; `undefined` if unknown. */
  #origin: string | StoredFrame | undefined;
  #bytes = 0;
  /** From this position on, entries take at most half of `maxBytes`. It is the lowest such position. */
  #newerHalf = 1;
  /** Bytes of the entries from `#newerHalf` on. */
  #newerBytes = 0;
  /** Newest position whose bytes an outlet may still hold. */
  #lent = 0;
  /** Called for each dropped entry with its position and the newest position whose bytes an outlet may still hold. */
  released: (position: number, lent: number) => void = () => {};
  /** Called when the first entry arrives in an empty window. */
  filled: () => void = () => {};

  /**
   * @param retention - Limits.
   * @param tailId - Id of the log's tail: the position of a new client.
   * @param compare - The order of ids.
   * @param hashBits - Bits of the hash that tells channels apart before names are compared.
   */
  constructor(
    retention: Retention,
    tailId: string,
    compare: (a: string, b: string) => number,
    hashBits: number = 30,
  ) {
    this.#retention = retention;
    this.#compare = compare;
    this.#tailId = tailId;
    this.#origin = tailId;
    this.#index = new ChannelIndex((position) => this.#at(position) as WindowEntry, hashBits);
    const max = Math.min(retention.maxEvents, MAX_DROPPED);
    const hash = (channel: string): number => this.#index.hash(channel);
    this.#dropped = new DroppedEntries(max, hash, compare, 0, tailId);
  }

  /** Position of the newest entry; 0 before the first entry. */
  get tail(): number {
    return this.#tail;
  }

  /** Id of the newest entry. */
  get tailId(): string {
    return this.#tailId;
  }

  /** Position of the first entry; one past the tail while empty. */
  get first(): number {
    return this.#first;
  }

  /** Number of entries. */
  get size(): number {
    return this.#entries.length;
  }

  /** Bytes stored for all entries: frames, the chunks around them, channel names. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Start of the window: older entries have to be read from the log. */
  get start(): WindowStart {
    if (this.#originId !== undefined) return { id: this.#originId, isHeld: false };
    const first = this.#entries.at(0);
    return first === undefined
      ? { id: this.#tailId, isHeld: false }
      : { id: idOf(first), isHeld: true };
  }

  /** How much can be added at the front before the window drops entries. */
  get room(): WindowRoom {
    const { maxAgeMs, maxEvents, maxBytes } = this.#retention;
    return { maxAgeMs, entries: maxEvents - this.size, bytes: maxBytes - this.bytes };
  }

  /** Arrival time of the oldest entry; `undefined` while empty. */
  get oldestAt(): number | undefined {
    return this.#entries.at(0)?.at;
  }

  /**
   * Adds the next log entry and trims entries past the limits.
   *
   * @param frame - As `FrameSlab` has stored it, including its channel and this id.
   */
  append(id: string, frame: StoredFrame, now: number): WindowEntry {
    const { slab, start, end } = frame;
    const last = this.#at(this.#tail);
    const position = this.#tail + 1;
    // Many programs publish several events in a row on one channel.
    const isRepeated = last !== undefined && haveSameChannel(last, frame);
    const key = isRepeated ? last.key : this.#index.keyFor(frame);
    this.#index.append(key, position);
    // V8 would store a fraction as a separate object.
    const entry: WindowEntry = { position, key, slab, start, end, at: Math.floor(now) };
    this.#tail = position;
    this.#tailId = id;
    this.#entries.push(entry);
    const bytes = storedBytes(frame);
    this.#bytes += bytes;
    this.#newerBytes += bytes;
    this.#halve();
    if (this.size === 1) this.filled();
    this.trim(now);
    return entry;
  }

  /**
   * Adds older entries at the front.
   *
   * @param past - Entries in order. The last one directly precedes the first of the window.
   * @param originId - Id of the position directly before them, if a client may report it.
   * @returns Whether all fit within the limits. If not, no older entry fits either.
   */
  prepend(past: readonly PastFrame[], originId: string | undefined, now: number): boolean {
    const { maxAgeMs, maxEvents, maxBytes } = this.#retention;
    const added: NewEntry[] = [];
    let nextAt = this.oldestAt ?? Math.floor(now);
    let bytes = this.#bytes;
    for (let index = past.length - 1; index >= 0; index--) {
      const { frame, at } = past[index] as PastFrame;
      nextAt = Math.min(Math.floor(at), nextAt);
      bytes += storedBytes(frame);
      if (now - nextAt > maxAgeMs || this.size + added.length >= maxEvents || bytes > maxBytes)
        break;
      const { slab, start, end } = frame;
      const position = this.#first - 1 - added.length;
      added.push({ position, key: 0, slab, start, end, at: nextAt });
      this.#bytes = bytes;
    }
    const left = past.length - added.length;
    // The id directly before is a valid position, even if its entry is not in the window.
    if (left > 0) this.#origin = past[left - 1]?.id;
    else if (originId !== undefined || past.length > 0) this.#origin = originId;
    if (added.length === 0) return left === 0;
    this.#entries.unshift(added.toReversed());
    this.#first -= added.length;
    this.#index.prepend(added);
    this.#dropped.reset(this.#first - 1, this.#originId);
    this.#halve();
    if (added.length > 0 && this.size === added.length) this.filled();
    return left === 0;
  }

  /**
   * Drops entries past the limits. Those on number and bytes always leave the newest entry; the age limit does not.
   *
   * @param most - Most entries to drop.
   * @returns Whether more entries are past the limits.
   */
  trim(now: number, most: number = Infinity): boolean {
    const { maxAgeMs, maxEvents, maxBytes } = this.#retention;
    let left = most;
    for (let first = this.#entries.at(0); first !== undefined; first = this.#entries.at(0)) {
      const isOver = this.size > maxEvents || this.#bytes > maxBytes;
      if (!(isOver && this.size > 1) && now - first.at <= maxAgeMs) return false;
      if (left === 0) return true;
      left -= 1;
      this.#drop(first);
    }
    return false;
  }

  /** Drops all entries: earlier positions are void, and the next entry follows `tailId`. */
  reset(tailId: string): void {
    this.#entries.clear();
    this.#index.clear();
    this.#bytes = 0;
    this.#newerBytes = 0;
    // Skips one position, so that no earlier position is mistaken for it.
    this.#tail += 1;
    this.#first = this.#tail + 1;
    this.#newerHalf = this.#first;
    this.#tailId = tailId;
    this.#origin = tailId;
    this.#dropped.reset(this.#tail, tailId);
  }

  /**
   * Finds the position of an id.
   *
   * @param id - As a client reports it: any text.
   * @param channels - Channels of the client: the answer is valid for them only. Absent: for all.
   * @returns The position; `"trimmed"` if an entry after it is gone; `"unknown"` if the id does not belong to this log
   *   or lies in its future.
   */
  locate(id: string, channels?: ChannelPositions): number | "trimmed" | "unknown" {
    if (id === this.#tailId) return this.#tail;
    if (id === this.#originId) return this.#first - 1;
    const first = this.#entries.at(0);
    const order = this.#compare(id, first === undefined ? this.#tailId : idOf(first));
    if (Number.isNaN(order)) return "unknown";
    if (order < 0) {
      const origin = this.#originId;
      // No id of this history lies between the first entry and the position before it: the client's is of a lost one,
      // whose clock was ahead.
      if (origin !== undefined && this.#compare(id, origin) > 0) return "trimmed";
      // No dropped entry between the id and the window belongs to these channels.
      const isGood = channels !== undefined && this.#dropped.hasNoneAfterId(id, channels);
      return isGood ? this.#first - 1 : "trimmed";
    }
    const found = firstWhere(this.#entries, (entry) => this.#compare(idOf(entry), id) >= 0);
    const entry = this.#entries.at(found);
    return entry !== undefined && idOf(entry) === id ? entry.position : "unknown";
  }

  /** Whether an id comes after the newest entry and, if given, after another id. */
  isAhead(id: string, other?: string): boolean {
    const isPastTail = this.#compare(id, this.#tailId) > 0;
    return isPastTail && (other === undefined || this.#compare(id, other) > 0);
  }

  /** @returns The id of a position in the window, of the one before it, or of the tail; `undefined` for any other. */
  idAt(position: number): string | undefined {
    if (position === this.#tail) return this.#tailId;
    if (position === this.#first - 1) return this.#originId;
    const entry = this.#at(position);
    return entry === undefined ? undefined : idOf(entry);
  }

  /**
   * Whether the window has everything after a position.
   *
   * @param channels - Channels to check. Absent: all.
   */
  holdsAfter(position: number, channels?: ChannelPositions): boolean {
    if (position >= this.#first - 1) return true;
    return channels !== undefined && this.#dropped.hasNoneAfter(position, channels);
  }

  /** Marks entries up to a position as handed to an outlet: their bytes must not change any more. */
  lend(position: number): void {
    this.#lent = Math.max(this.#lent, position);
  }

  /** Whether a position lies in the older half of the window: a client that stays there may soon miss events. */
  isAging(position: number, now: number): boolean {
    if (position >= this.#tail) return false;
    const next = this.#at(position + 1);
    if (next === undefined) return true;
    const { maxAgeMs, maxEvents } = this.#retention;
    return (
      now - next.at > maxAgeMs / 2 ||
      this.#tail - position > maxEvents / 2 ||
      position + 1 < this.#newerHalf
    );
  }

  /** @returns Milliseconds until the whole window is replaced, at the present rate. */
  turnoverMs(now: number): number {
    const { maxEvents, maxBytes } = this.#retention;
    const fill = Math.max(this.size / maxEvents, this.#bytes / maxBytes);
    return Math.max(1, now - (this.oldestAt ?? -Infinity)) / fill;
  }

  /**
   * Returns the frames after a position.
   *
   * @param channels - Channels to include, each after its own start.
   * @param after - Only entries after this position.
   * @param maxBytes - Upper limit; at least one frame is returned if there is any.
   * @param upTo - Only entries up to this position.
   * @returns The frames in order; empty if there are none.
   */
  slice(
    channels: ChannelPositions,
    after: number,
    maxBytes: number,
    upTo: number = this.#tail,
  ): Slice {
    const frames: WindowEntry[] = [];
    const end = Math.min(upTo, this.#tail);
    let bytes = 0;
    let cursor = after;
    if (after >= end) return { frames, cursor, last: 0 };
    for (const entry of this.#after(channels, after)) {
      if (entry.position > end) break;
      const size = entry.end - entry.start;
      if (bytes > 0 && bytes + size > maxBytes) {
        this.lend(cursor);
        return { frames, cursor, last: cursor };
      }
      frames.push(entry);
      bytes += size;
      cursor = entry.position;
    }
    if (frames.length > 0) this.lend(cursor);
    return { frames, cursor: end, last: frames.length > 0 ? cursor : 0 };
  }

  /**
   * Finds where the newest entries of each channel begin.
   *
   * @param count - Number of entries per channel, or as many as exist.
   * @param most - Upper limit for all channels together: the newest win.
   * @param upTo - Only entries up to this position.
   * @returns For each channel the position after which to read, up to `upTo`.
   */
  latestStarts(
    channels: Iterable<string>,
    count: number,
    most: number,
    upTo: number = this.#tail,
  ): Map<string, number> {
    const starts = new Map<string, number>();
    const found: Positions[] = [];
    let total = 0;
    for (const channel of channels) {
      if (starts.has(channel)) continue;
      const positions = this.#index.positions(channel);
      const end = firstWhere(positions, (position) => position > upTo);
      const first = Math.max(0, end - count);
      starts.set(channel, first < end ? (positions.at(first) as number) - 1 : upTo);
      found.push(positions);
      total += end - first;
    }
    if (total <= most) return starts;
    const all = new Float64Array(total);
    let length = 0;
    for (const [index, start] of [...starts.values()].entries()) {
      const positions = found[index] as Positions;
      for (let at = firstWhere(positions, (position) => position > start); ; at++) {
        const position = positions.at(at);
        if (position === undefined || position > upTo) break;
        all[length++] = position;
      }
    }
    // A `Float64Array` sorts by value.
    const cut = (all.toSorted()[total - most] as number) - 1;
    for (const [channel, start] of starts) starts.set(channel, Math.max(start, cut));
    return starts;
  }

  /** Whether the window has as many entries up to a position, per channel or in all, as `latestStarts` may return. */
  hasLatest(channels: Iterable<string>, count: number, most: number, upTo: number): boolean {
    let total = 0;
    let isEnough = true;
    for (const channel of channels) {
      const positions = this.#index.positions(channel);
      const end = firstWhere(positions, (position) => position > upTo);
      total += Math.min(end, count);
      isEnough &&= end >= count;
    }
    return isEnough || total >= most;
  }

  #after(channels: ChannelPositions, after: number): Iterable<WindowEntry> {
    return channels.size > MAX_MERGED ? this.#scan(channels, after) : this.#merge(channels, after);
  }

  /** Scans all entries: apart from looking up keys, the cost does not depend on the number of channels. */
  *#scan(channels: ChannelPositions, after: number): Iterable<WindowEntry> {
    const starts = new Map<number, number>();
    for (const [channel, start = -Infinity] of channels) {
      const key = this.#index.keyOf(channel);
      if (key !== undefined) starts.set(key, start);
    }
    for (let position = Math.max(after + 1, this.#first); position <= this.#tail; position++) {
      const entry = this.#at(position);
      if (entry === undefined) return;
      const start = starts.get(entry.key);
      if (start !== undefined && position > start) yield entry;
    }
  }

  /** Visits only the entries of these channels, however many others lie between them. */
  *#merge(channels: ChannelPositions, after: number): Iterable<WindowEntry> {
    const heads: Head[] = [];
    for (const [channel, start = -Infinity] of channels) {
      const positions = this.#index.positions(channel);
      const from = Math.max(after, start);
      const next = firstWhere(positions, (position) => position > from);
      if (next < positions.length) heads.push({ positions, next });
    }
    for (;;) {
      let lowest: Head | undefined;
      let position = Infinity;
      for (const head of heads) {
        const candidate = head.positions.at(head.next) ?? Infinity;
        if (candidate < position) [lowest, position] = [head, candidate];
      }
      if (lowest === undefined) return;
      lowest.next += 1;
      const entry = this.#at(position);
      if (entry !== undefined) yield entry;
    }
  }

  #at(position: number): WindowEntry | undefined {
    return position < this.#first ? undefined : this.#entries.at(position - this.#first);
  }

  get #originId(): string | undefined {
    return typeof this.#origin === "object" ? idOf(this.#origin) : this.#origin;
  }

  /** Drops the first entry. */
  #drop(entry: WindowEntry): void {
    const { position, key, slab } = entry;
    this.#entries.shift();
    this.#first += 1;
    const bytes = storedBytes(entry);
    this.#bytes -= bytes;
    if (position === this.#newerHalf) {
      this.#newerHalf += 1;
      this.#newerBytes -= bytes;
    }
    const next = this.#entries.at(0);
    // Reading each id would cost every event. But the last entry of a slab must not keep that slab alive.
    this.#origin = next?.slab === slab ? entry : idOf(entry);
    this.#dropped.add(key >= 0 ? key : this.#index.hashOf(entry), entry, next?.slab);
    this.#index.shift(key, entry);
    this.released(position, this.#lent);
  }

  /** Moves the middle to its new place after the window has grown at either end. */
  #halve(): void {
    const most = this.#retention.maxBytes / 2;
    while (this.#newerBytes > most) {
      this.#newerBytes -= storedBytes(this.#at(this.#newerHalf) as WindowEntry);
      this.#newerHalf += 1;
    }
    while (this.#newerHalf > this.#first) {
      const bytes = storedBytes(this.#at(this.#newerHalf - 1) as WindowEntry);
      if (this.#newerBytes + bytes > most) return;
      this.#newerBytes += bytes;
      this.#newerHalf -= 1;
    }
  }
}
