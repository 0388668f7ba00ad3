/** The entries of one turn or several, on their way to all live members. */

import { shareChunk, shareStored } from "../wire/shared-frames.js";
import { SLICE_BYTES } from "./audience.js";
import type { Audience, DeliveredFrames, Member } from "./audience.js";
import type { Deque } from "./deque.js";
import type { WindowEntry } from "./window.js";

/** A new entry with the name of its channel. */
export interface FreshEntry {
  readonly channel: string;
  readonly entry: WindowEntry;
}

/** Largest batch in bytes: memory that a batch holds beyond the window. */
const MAX_BYTES = 4_194_304;
/** Most deliveries in a batch of several channels, which are all looked up before the first delivery. */
const MAX_DELIVERIES = 32_768;

/** Entries of one turn or several, and an iterator over the members that get them. */
export interface Batch {
  /** Position of the first entry. */
  readonly first: number;
  /** Position of the last entry. */
  readonly last: number;
  /** The frames for the member that `next` returned last: in log order, each piece joined for one write. */
  readonly pieces: readonly DeliveredFrames[];
  /** @returns The next member, each once; `undefined` after the last. */
  next(): Member | undefined;
}

/** Entries of a batch by channel, in the order of each channel's first entry. */
type ByChannel = ReadonlyMap<string, readonly WindowEntry[]>;

/**
 * Takes a batch from the waiting entries.
 *
 * @param fresh - At least one entry, in log order. Entries taken are removed.
 * @param audience - The members.
 */
export function takeBatch(fresh: Deque<FreshEntry>, audience: Audience): Batch {
  const byChannel = new Map<string, WindowEntry[]>();
  const first = fresh.at(0)?.entry.position ?? 0;
  let last = first;
  let bytes = 0;
  let deliveries = 0;
  for (let next = fresh.at(0); next !== undefined; next = fresh.at(0)) {
    const { channel, entry } = next;
    const own = byChannel.get(channel);
    bytes += entry.end - entry.start;
    if (own === undefined) deliveries += audience.of(channel)?.size ?? 0;
    const isFull = bytes > MAX_BYTES || (byChannel.size > 0 && deliveries > MAX_DELIVERIES);
    if (byChannel.size > 0 && isFull) break;
    if (own === undefined) byChannel.set(channel, [entry]);
    else own.push(entry);
    last = entry.position;
    fresh.shift();
  }
  const [only] = byChannel;
  return only !== undefined && byChannel.size === 1
    ? new ChannelBatch(first, last, only[1], audience.of(only[0]))
    : new MixedBatch(first, last, byChannel, audience);
}

/** Entries of one channel: every member gets the same bytes. */
class ChannelBatch implements Batch {
  readonly first: number;
  readonly last: number;
  readonly pieces: readonly DeliveredFrames[];
  readonly #members: Iterator<Member>;

  constructor(
    first: number,
    last: number,
    entries: readonly WindowEntry[],
    members: ReadonlySet<Member> = NOBODY,
  ) {
    this.first = first;
    this.last = last;
    this.pieces = join(entries);
    // Iterates over the live set. A member that joins meanwhile gets nothing, because its cursor is past the
    // batch.
    this.#members = members.values();
  }

  next(): Member | undefined {
    const next = this.#members.next();
    return next.done === true ? undefined : next.value;
  }
}

const NOBODY: ReadonlySet<Member> = new Set();

/** Members that share a path: the same channels of a batch, in the order in which the batch has them. */
class Group {
  /** The path without its last channel; `undefined` for the empty path. */
  readonly parent: Group | undefined;
  /** Last channel of the path. */
  readonly channel: string;
  /** Entries of that channel. */
  readonly entries: readonly WindowEntry[];
  /** Members with exactly this path; filled once all paths are known. */
  readonly members: Member[] = [];
  /** Longer paths, by their last channel; `undefined` while there are none. */
  #longer: Map<string, Group> | undefined;

  constructor(parent: Group | undefined, channel: string, entries: readonly WindowEntry[]) {
    this.parent = parent;
    this.channel = channel;
    this.entries = entries;
  }

  /** @returns The group whose path has one more channel. */
  with(channel: string, entries: readonly WindowEntry[]): Group {
    this.#longer ??= new Map();
    let group = this.#longer.get(channel);
    if (group === undefined) {
      group = new Group(this, channel, entries);
      this.#longer.set(channel, group);
    }
    return group;
  }
}

/** Whether a member still has every channel of a path. Iterative, because a path may have thousands. */
function hasAll({ channels }: Member, path: Group): boolean {
  for (let group = path; group.parent !== undefined; group = group.parent) {
    if (!channels.has(group.channel)) return false;
  }
  return true;
}

/** @returns The entries of a path's channels that the member still has, in log order. */
function entriesOf(path: Group, member?: Member): readonly WindowEntry[] {
  const lists: (readonly WindowEntry[])[] = [];
  for (let group = path; group.parent !== undefined; group = group.parent) {
    if (member?.channels.has(group.channel) !== false) lists.push(group.entries);
  }
  const [only] = lists;
  if (only !== undefined && lists.length === 1) return only;
  const all: WindowEntry[] = [];
  let last = -Infinity;
  let isSorted = true;
  // The path orders channels by their first entries, which is usually the order of all entries.
  for (let list = lists.pop(); list !== undefined; list = lists.pop()) {
    for (const entry of list) {
      isSorted &&= entry.position > last;
      last = entry.position;
      all.push(entry);
    }
  }
  return isSorted ? all : all.toSorted((a, b) => a.position - b.position);
}

/**
 * Entries of several channels. The cost of grouping them is proportional to the deliveries.
 *
 * Most streams have one channel and are served channel by channel. The others are grouped by which channels of the
 * batch they have.
 */
class MixedBatch implements Batch {
  readonly first: number;
  readonly last: number;
  pieces: readonly DeliveredFrames[] = [];
  readonly #audience: Audience;
  /** Channels whose single-channel members are still to be served; `undefined` after the last. */
  #channels: Iterator<readonly [string, readonly WindowEntry[]]> | undefined;
  /** Members of the channel that `#channels` yielded last. */
  #members: Iterator<Member> = NOBODY.values();
  /** Groups with members. */
  readonly #groups: readonly Group[];
  /** Index of the next of `#groups`. */
  #nextGroup = 0;
  #group: Group | undefined;
  /** Index of the next member of `#group`. */
  #at = 0;
  /** Frames of the current channel or group: joined once for all its members, then released. */
  #shared: readonly DeliveredFrames[] = [];

  constructor(first: number, last: number, byChannel: ByChannel, audience: Audience) {
    this.first = first;
    this.last = last;
    this.#audience = audience;
    this.#channels = byChannel.entries();
    this.#groups = groupsOf(byChannel, audience);
  }

  next(): Member | undefined {
    return this.#nextOfOneChannel() ?? this.#nextOfSeveral();
  }

  /** A stream that joins another channel meanwhile is skipped: it has fallen behind and continues from its cursor. */
  #nextOfOneChannel(): Member | undefined {
    while (this.#channels !== undefined) {
      for (let next = this.#members.next(); next.done !== true; next = this.#members.next()) {
        if (next.value.channels.size > 1) continue;
        this.pieces = this.#shared;
        return next.value;
      }
      const channel = this.#channels.next();
      if (channel.done === true) break;
      const [name, entries] = channel.value;
      this.#shared = join(entries);
      this.#members = (this.#audience.of(name) ?? NOBODY).values();
    }
    this.#channels = undefined;
    return undefined;
  }

  #nextOfSeveral(): Member | undefined {
    if (this.#at === (this.#group?.members.length ?? 0)) {
      this.#group = this.#groups[this.#nextGroup++];
      if (this.#group === undefined) return undefined;
      this.#at = 0;
      this.#shared = join(entriesOf(this.#group));
    }
    const group = this.#group;
    const member = group?.members[this.#at++];
    if (member !== undefined && group !== undefined) {
      // A member that has left a channel since gets no more of it.
      this.pieces = hasAll(member, group) ? this.#shared : join(entriesOf(group, member));
    }
    return member;
  }
}

/** @returns The groups of members with several channels. */
function groupsOf(byChannel: ByChannel, audience: Audience): readonly Group[] {
  const none = new Group(undefined, "", []);
  const groupOf = new Map<Member, Group>();
  for (const [channel, own] of byChannel) {
    for (const member of audience.of(channel) ?? []) {
      if (member.channels.size === 1) continue;
      groupOf.set(member, (groupOf.get(member) ?? none).with(channel, own));
    }
  }
  const groups: Group[] = [];
  for (const [member, group] of groupOf) {
    if (group.members.push(member) === 1) groups.push(group);
  }
  return groups;
}

/** @returns The entries as pieces of at most one slice each; a larger entry is a piece by itself. */
function join(entries: readonly WindowEntry[]): DeliveredFrames[] {
  const [only] = entries;
  if (only !== undefined && entries.length === 1) {
    return [{ shared: shareChunk(only), count: 1, last: only.position }];
  }
  const pieces: DeliveredFrames[] = [];
  for (let from = 0, to = 0; from < entries.length; from = to) {
    let bytes = 0;
    for (; to < entries.length; to++) {
      const { start, end } = entries[to] as WindowEntry;
      if (to > from && bytes + end - start > SLICE_BYTES) break;
      bytes += end - start;
    }
    const piece = entries.slice(from, to);
    const [first] = piece;
    const shared =
      first !== undefined && piece.length === 1 ? shareChunk(first) : shareStored(piece);
    pieces.push({ shared, count: piece.length, last: piece.at(-1)?.position ?? 0 });
  }
  return pieces;
}
