/** What was published in one turn, or in several, on its way to all live subscriptions. */

import { shareChunk, shareStored } from "../wire/shared-frames.js";
import type { Audience } from "./audience.js";
import { SLICE_BYTES } from "./subscription.js";
import type { DeliveredFrames, Subscription } from "./subscription.js";
import type { Deque } from "./deque.js";
import type { WindowEntry } from "./window.js";

/** An entry on its way, with the name of its channel. */
export interface FreshEntry {
  readonly channel: string;
  readonly entry: WindowEntry;
}

/** The most that a batch holds, in bytes, and so the most that it keeps in memory beyond the window. */
const MAX_BYTES = 4_194_304;
/** The most deliveries of a batch of several channels: all are looked up before the first one. */
const MAX_DELIVERIES = 32_768;

/** Entries of one turn or of several, and a walk through the subscriptions that they concern. */
export interface Batch {
  /** Position of the first entry. */
  readonly first: number;
  /** Position of the last entry. */
  readonly last: number;
  /** What concerns the subscription that `next` gave last: in the order of the log, each piece joined for one write. */
  readonly pieces: readonly DeliveredFrames[];
  /** @returns The next subscription; each comes once. `undefined` after the last. */
  next(): Subscription | undefined;
}

/** Entries of a batch, by channels in the order of their first entries. */
type ByChannel = ReadonlyMap<string, readonly WindowEntry[]>;

/**
 * Takes a batch from the entries that wait.
 *
 * @param fresh - At least one entry, in the order of the log; those taken are removed.
 * @param audience - Who is subscribed.
 */
export function takeBatch(fresh: Deque<FreshEntry>, audience: Audience<Subscription>): Batch {
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

/** Entries of one channel: the same bytes for everybody. */
class ChannelBatch implements Batch {
  readonly first: number;
  readonly last: number;
  readonly pieces: readonly DeliveredFrames[];
  readonly #members: Iterator<Subscription>;

  constructor(
    first: number,
    last: number,
    entries: readonly WindowEntry[],
    members: ReadonlySet<Subscription> = NOBODY,
  ) {
    this.first = first;
    this.last = last;
    this.pieces = join(entries);
    // Of the live set: one that joins meanwhile takes nothing, because its cursor is past the batch.
    this.#members = members.values();
  }

  next(): Subscription | undefined {
    const next = this.#members.next();
    return next.done === true ? undefined : next.value;
  }
}

const NOBODY: ReadonlySet<Subscription> = new Set();

/** Subscriptions with the same channels in a batch: a path of channels, in the order in which the batch has them. */
class Group {
  /** The path without its last channel; `undefined` for the empty path. */
  readonly parent: Group | undefined;
  /** Last channel of the path. */
  readonly channel: string;
  /** Entries of that channel. */
  readonly entries: readonly WindowEntry[];
  /** Those whose path this is; filled once all paths are known. */
  readonly members: Subscription[] = [];
  /** Longer paths, by their last channel; `undefined` while there are none. */
  #longer: Map<string, Group> | undefined;

  constructor(parent: Group | undefined, channel: string, entries: readonly WindowEntry[]) {
    this.parent = parent;
    this.channel = channel;
    this.entries = entries;
  }

  /** @returns The group of those that have one more channel. */
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

/** Whether a subscription has not left any channel of a path. There may be thousands: no recursion. */
function hasAll({ channels }: Subscription, path: Group): boolean {
  for (let group = path; group.parent !== undefined; group = group.parent) {
    if (!channels.has(group.channel)) return false;
  }
  return true;
}

/** @returns The entries of a path, of those channels that a subscription has not left, in the order of the log. */
function entriesOf(path: Group, subscription?: Subscription): readonly WindowEntry[] {
  const lists: (readonly WindowEntry[])[] = [];
  for (let group = path; group.parent !== undefined; group = group.parent) {
    if (subscription?.channels.has(group.channel) !== false) lists.push(group.entries);
  }
  const [only] = lists;
  if (only !== undefined && lists.length === 1) return only;
  const all: WindowEntry[] = [];
  let last = -Infinity;
  let isSorted = true;
  // The path has the channels in the order of their first entries: mostly that is the order of all of them.
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
 * Entries of several channels. The cost of sorting them out is proportional to the deliveries.
 *
 * Most streams have one channel and are served channel by channel. The others are grouped by the channels that they have
 * in the batch.
 */
class MixedBatch implements Batch {
  readonly first: number;
  readonly last: number;
  pieces: readonly DeliveredFrames[] = [];
  readonly #audience: Audience<Subscription>;
  /** Channels whose subscriptions with no other channel have yet to come; `undefined` after the last. */
  #channels: Iterator<readonly [string, readonly WindowEntry[]]> | undefined;
  /** Subscriptions of the channel that `#channels` gave last. */
  #members: Iterator<Subscription> = NOBODY.values();
  /** Groups that have members. */
  readonly #groups: readonly Group[];
  /** Index of the next of `#groups`. */
  #nextGroup = 0;
  #group: Group | undefined;
  /** Index of the next member of `#group`. */
  #at = 0;
  /** Of the present channel or group: joined once for all of it, and held no longer than that. */
  #shared: readonly DeliveredFrames[] = [];

  constructor(first: number, last: number, byChannel: ByChannel, audience: Audience<Subscription>) {
    this.first = first;
    this.last = last;
    this.#audience = audience;
    this.#channels = byChannel.entries();
    this.#groups = groupsOf(byChannel, audience);
  }

  next(): Subscription | undefined {
    return this.#nextOfOneChannel() ?? this.#nextOfSeveral();
  }

  /** A stream that joins a channel meanwhile is skipped: it has fallen behind, and reads on from its cursor. */
  #nextOfOneChannel(): Subscription | undefined {
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

  #nextOfSeveral(): Subscription | undefined {
    if (this.#at === (this.#group?.members.length ?? 0)) {
      this.#group = this.#groups[this.#nextGroup++];
      if (this.#group === undefined) return undefined;
      this.#at = 0;
      this.#shared = join(entriesOf(this.#group));
    }
    const group = this.#group;
    const subscription = group?.members[this.#at++];
    if (subscription !== undefined && group !== undefined) {
      // One that has left a channel since gets nothing of it any more.
      this.pieces = hasAll(subscription, group)
        ? this.#shared
        : join(entriesOf(group, subscription));
    }
    return subscription;
  }
}

/** @returns The groups of those subscriptions that have several channels. */
function groupsOf(byChannel: ByChannel, audience: Audience<Subscription>): readonly Group[] {
  const none = new Group(undefined, "", []);
  const groupOf = new Map<Subscription, Group>();
  for (const [channel, own] of byChannel) {
    for (const subscription of audience.of(channel) ?? []) {
      if (subscription.channels.size === 1) continue;
      groupOf.set(subscription, (groupOf.get(subscription) ?? none).with(channel, own));
    }
  }
  const groups: Group[] = [];
  for (const [subscription, group] of groupOf) {
    if (group.members.push(subscription) === 1) groups.push(group);
  }
  return groups;
}

/** @returns The entries as pieces of at most one slice each, or of one entry. */
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
