import type { StoredFrame } from "../wire/shared-frames.js";
import { Deque, firstWhere } from "./deque.js";

/** How much of the log a hub keeps in memory for replay: whichever limit is reached first. */
export interface Retention {
  /** Age in milliseconds after which an event that a client missed is no longer replayed. */
  readonly maxAgeMs: number;
  /** Number of events. */
  readonly maxEvents: number;
  /** Bytes of encoded events. */
  readonly maxBytes: number;
}

/** One event in the window: its block, encoded once for all sessions. */
export interface WindowEntry extends StoredFrame {
  /** Place in the log, counted by this process: from 1 on since it began, down from 0 what was read from before. */
  readonly position: number;
  /** Id in the log. */
  readonly id: string;
  /** Channel it was published on. */
  readonly channel: string;
  /** When it came, in whole milliseconds of a clock that never goes back. */
  readonly at: number;
  /** Bytes of all entries up to and with this one. */
  readonly endByte: number;
}

/** An entry from before the window, for {@link Window.prepend}. */
export interface PastFrame {
  readonly id: string;
  readonly channel: string;
  readonly frame: StoredFrame;
  /** When it was published, by the clock of {@link WindowEntry.at}. */
  readonly at: number;
}

/** Where the window begins. */
export interface WindowStart {
  /** Id of the first entry, or of the place right before it. */
  readonly id: string;
  /** Whether the entry with that id is here. */
  readonly isHeld: boolean;
}

/** Frames to write next, and the position behind the last of them. */
export interface Slice {
  readonly frames: readonly StoredFrame[];
  /** Everything up to here that concerns these channels is in `frames` or was written before. */
  readonly cursor: number;
  /** Position of the last frame; 0 if there is none. */
  readonly last: number;
}

/** Channels, and for each the position after which it counts. A `Map` is one. */
export interface ChannelPositions extends Iterable<[string, number]> {
  readonly size: number;
  get(channel: string): number | undefined;
}

/** Channels up to which their indexes are merged; past it the window itself is scanned. */
const MAX_MERGED = 16;

/**
 * The newest part of the log as shared frames, with an index by channel.
 *
 * Positions count the entries that this process has seen. A client's position `p` is good as long as
 * entry `p` is here: then everything after it is here too.
 */
export class Window {
  readonly #retention: Retention;
  readonly #compare: (a: string, b: string) => number;
  readonly #entries = new Deque<WindowEntry>([]);
  /** Positions of the entries of each channel that has any. */
  readonly #index = new Map<string, Deque<number>>();
  /** Id of the tail: of the last entry, or of where the log stood when the window began. */
  #tailId: string;
  #tail = 0;
  /** Position of the first entry; one past the tail while there is none. */
  #first = 1;
  /** Id of the position before `#first` while everything after it is here, `undefined` once one was trimmed. */
  #originId: string | undefined;
  #endByte = 0;

  /**
   * @param retention - Limits.
   * @param tailId - Id of the log's tail: the position of a client that has seen nothing yet.
   * @param compare - The order of ids.
   */
  constructor(retention: Retention, tailId: string, compare: (a: string, b: string) => number) {
    this.#retention = retention;
    this.#compare = compare;
    this.#tailId = tailId;
    this.#originId = tailId;
  }

  /** Position of the newest entry; 0 before the first. */
  get tail(): number {
    return this.#tail;
  }

  /** Id of the newest entry. */
  get tailId(): string {
    return this.#tailId;
  }

  /** Number of entries. */
  get size(): number {
    return this.#entries.length;
  }

  /** Bytes of all frames. */
  get bytes(): number {
    const first = this.#entries.at(0);
    return first === undefined ? 0 : this.#endByte - first.endByte + first.end - first.start;
  }

  /** Where the window begins: what is older has to be read from the log. */
  get start(): WindowStart {
    const first = this.#entries.at(0);
    if (this.#originId !== undefined) return { id: this.#originId, isHeld: false };
    return { id: first?.id ?? this.#tailId, isHeld: first !== undefined };
  }

  /** When the oldest entry came; `undefined` if there is none. */
  get oldestAt(): number | undefined {
    return this.#entries.at(0)?.at;
  }

  /** Adds the next entry of the log and trims what is past the limits. */
  append(id: string, channel: string, frame: StoredFrame, now: number): WindowEntry {
    const { slab, start, end } = frame;
    this.#tail += 1;
    this.#endByte += end - start;
    this.#tailId = id;
    const entry: WindowEntry = {
      position: this.#tail,
      id,
      channel,
      slab,
      start,
      end,
      // A fraction would take an object of its own.
      at: Math.floor(now),
      endByte: this.#endByte,
    };
    this.#entries.push(entry);
    const positions = this.#index.get(channel);
    if (positions === undefined) this.#index.set(channel, new Deque([entry.position]));
    else positions.push(entry.position);
    this.trim(now);
    return entry;
  }

  /**
   * Adds what was read from before the window.
   *
   * @param past - Entries in order, the last one right before the first that is here.
   * @param originId - Id of the place right before them, if there is one that a client may report.
   * @returns Whether all fit within the limits: if not, nothing older does.
   */
  prepend(past: readonly PastFrame[], originId: string | undefined, now: number): boolean {
    const { maxAgeMs, maxEvents, maxBytes } = this.#retention;
    const first = this.#entries.at(0);
    const added: WindowEntry[] = [];
    let endByte = this.#endByte - this.bytes;
    let nextAt = first?.at ?? now;
    for (let index = past.length - 1; index >= 0; index--) {
      const { id, channel, frame, at } = past[index] as PastFrame;
      const { slab, start, end } = frame;
      // As `trim` has it: an entry is as good as the one that a client there would miss.
      if (now - nextAt > maxAgeMs || this.size + added.length >= maxEvents) break;
      if (this.#endByte - endByte + end - start > maxBytes) break;
      const position = this.#first - 1 - added.length;
      nextAt = Math.min(Math.floor(at), nextAt);
      added.push({ position, id, channel, slab, start, end, at: nextAt, endByte });
      endByte -= end - start;
    }
    added.reverse();
    this.#entries.unshift(added);
    this.#first -= added.length;
    for (const [channel, positions] of groupPositions(added)) {
      const index = this.#index.get(channel);
      if (index === undefined) this.#index.set(channel, new Deque(positions));
      else index.unshift(positions);
    }
    const isWhole = added.length === past.length;
    // If nothing was added, the place right before the first entry is still what it was.
    if (originId !== undefined && isWhole) this.#originId = originId;
    else if (past.length > 0) this.#originId = undefined;
    return isWhole;
  }

  /** Drops what is past the limits. */
  trim(now: number): void {
    const { maxAgeMs, maxEvents, maxBytes } = this.#retention;
    while (this.size > 1) {
      // An entry is a position as well. It is good for as long as the one that a client there would miss.
      const isOld = now - (this.#entries.at(1)?.at ?? now) > maxAgeMs;
      if (!isOld && this.size <= maxEvents && this.bytes <= maxBytes) return;
      this.#drop();
    }
  }

  /** Forgets all entries: positions before are void, and the next entry comes after `tailId`. */
  reset(tailId: string): void {
    while (this.size > 0) this.#drop();
    // A place of its own, so that no position from before is taken for it.
    this.#tail += 1;
    this.#first = this.#tail + 1;
    this.#tailId = tailId;
    this.#originId = tailId;
  }

  /**
   * Finds the position that an id stands for.
   *
   * @param id - What a client reports: anything.
   * @returns The position, `"trimmed"` if something after it is not here any more, `"unknown"` if it is no id
   *   of this log or one from its future.
   */
  locate(id: string): number | "trimmed" | "unknown" {
    if (id === this.#tailId) return this.#tail;
    if (id === this.#originId) return this.#first - 1;
    const first = this.#entries.at(0);
    const order = this.#compare(id, first?.id ?? this.#tailId);
    if (Number.isNaN(order)) return "unknown";
    if (order < 0) return "trimmed";
    const found = this.#search((entry) => this.#compare(entry.id, id) >= 0);
    const entry = this.#entries.at(found);
    return entry?.id === id ? entry.position : "unknown";
  }

  /** @returns The id of a position that is here, or of the tail; `undefined` for any other. */
  idAt(position: number): string | undefined {
    if (position === this.#tail) return this.#tailId;
    return position === this.#first - 1 ? this.#originId : this.#at(position)?.id;
  }

  /** Whether everything after a position is here. */
  holdsAfter(position: number): boolean {
    return position >= this.#first - 1;
  }

  /** Whether a position is in the older half of what is kept: a client that rests on it may soon miss something. */
  isAging(position: number, now: number): boolean {
    if (position >= this.#tail) return false;
    const next = this.#at(position + 1);
    if (next === undefined) return true;
    const { maxAgeMs, maxEvents, maxBytes } = this.#retention;
    return (
      now - next.at > maxAgeMs / 2 ||
      this.#tail - position > maxEvents / 2 ||
      this.#endByte - next.endByte + next.end - next.start > maxBytes / 2
    );
  }

  /** @returns In how many milliseconds all of it will be replaced, if as much comes as did. */
  turnoverMs(now: number): number {
    const { maxEvents, maxBytes } = this.#retention;
    const fill = Math.max(this.size / maxEvents, this.bytes / maxBytes);
    return Math.max(1, now - (this.oldestAt ?? -Infinity)) / fill;
  }

  /**
   * Takes the frames after a position.
   *
   * @param channels - Those whose entries count.
   * @param after - Only entries after this position.
   * @param maxBytes - At most so many bytes, but at least one frame if there is any.
   * @returns The frames in order; none if there is nothing more.
   */
  slice(channels: ChannelPositions, after: number, maxBytes: number): Slice {
    const frames: StoredFrame[] = [];
    let bytes = 0;
    let cursor = after;
    for (const entry of this.#after(channels, after)) {
      const size = entry.end - entry.start;
      if (bytes > 0 && bytes + size > maxBytes) return { frames, cursor, last: cursor };
      frames.push(entry);
      bytes += size;
      cursor = entry.position;
    }
    return { frames, cursor: Math.max(after, this.#tail), last: frames.length > 0 ? cursor : 0 };
  }

  /** @returns The newest `count` entries of these channels up to a position, oldest first. */
  latest(channels: Iterable<string>, count: number, upTo: number = this.#tail): WindowEntry[] {
    const found: WindowEntry[] = [];
    for (const channel of channels) {
      const positions = this.#index.get(channel);
      if (positions === undefined) continue;
      const end = firstWhere(positions, (position) => position > upTo);
      for (let i = Math.max(0, end - count); i < end; i++) {
        const entry = this.#at(positions.at(i) ?? 0);
        if (entry !== undefined) found.push(entry);
      }
    }
    found.sort((a, b) => a.position - b.position);
    return found.slice(Math.max(0, found.length - count));
  }

  #after(channels: ChannelPositions, after: number): Iterable<WindowEntry> {
    return channels.size > MAX_MERGED ? this.#scan(channels, after) : this.#merge(channels, after);
  }

  /** Walks all entries: what it costs does not depend on the number of channels. */
  *#scan(channels: ChannelPositions, after: number): Iterable<WindowEntry> {
    for (let position = Math.max(after + 1, this.#first); position <= this.#tail; position++) {
      const entry = this.#at(position);
      if (entry === undefined) return;
      const since = channels.get(entry.channel);
      if (since !== undefined && position > since) yield entry;
    }
  }

  /** Walks the entries of these channels alone, however many others lie between them. */
  *#merge(channels: ChannelPositions, after: number): Iterable<WindowEntry> {
    const heads: { positions: Deque<number>; next: number }[] = [];
    for (const [channel, since] of channels) {
      const positions = this.#index.get(channel);
      if (positions === undefined) continue;
      const next = firstWhere(positions, (position) => position > Math.max(after, since));
      if (next < positions.length) heads.push({ positions, next });
    }
    for (;;) {
      let lowest: (typeof heads)[number] | undefined;
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

  #search(isAtOrPast: (entry: WindowEntry) => boolean): number {
    return firstWhere(this.#entries, isAtOrPast);
  }

  #drop(): void {
    const entry = this.#entries.at(0);
    if (entry === undefined) return;
    this.#entries.shift();
    this.#first += 1;
    this.#originId = undefined;
    const positions = this.#index.get(entry.channel);
    positions?.shift();
    // Without this a hub whose channels come and go would keep a list for each that ever was.
    if (positions?.length === 0) this.#index.delete(entry.channel);
  }
}

function groupPositions(entries: readonly WindowEntry[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const { channel, position } of entries) {
    const positions = groups.get(channel);
    if (positions === undefined) groups.set(channel, [position]);
    else positions.push(position);
  }
  return groups;
}
