/** Who is subscribed to what, and what all subscriptions of a hub share: the window, the turns, how far delivery is. */

import { encodeCursorFrame } from "../wire/frame.js";
import type { Framing, ResetReason } from "../wire/frame.js";
import { shareFrames } from "../wire/shared-frames.js";
import type { SharedFrames } from "../wire/shared-frames.js";
import type { Backfill, Place } from "./backfill.js";
import type { ChannelPositions } from "./channel-set.js";
import { Deque } from "./deque.js";
import type { Turns } from "./turns.js";
import type { Window } from "./window.js";

/** Told of what delivery does, to count it. Delivery does not depend on it. */
export interface DeliveryObserver<Member> {
  /** Events were written to a client. */
  counted(events: number, bytes: number): void;
  /** A client that came back is sent what it missed. */
  replayed(member: Member): void;
  /** A client is told that it missed events on these channels. */
  wasReset(member: Member, reason: ResetReason, channels: readonly string[]): void;
  /** Something failed in the background. */
  report(error: unknown, stage: "log" | "snapshot"): void;
}

/** The subscriptions of a hub. */
export class Audience<Member extends object> {
  readonly window: Window;
  readonly observer: DeliveryObserver<Member>;
  /** How the messages of snapshots become bytes. */
  readonly framing: Framing;
  /** Everything up to here was handed to every live subscription. */
  position: number;
  readonly #turns: Turns;
  /** Absent where the log keeps nothing older than the window. */
  readonly #backfill: Backfill | undefined;
  readonly #channels: Map<string, Set<Member>> = new Map();
  /** Subscriptions that read on from their cursor when it is their turn, each once, in the order of their turns. */
  readonly #behind = new Deque<Member>([]);
  /** The last cursor event: in a quiet time it is the same for all. */
  #cursor: { readonly id: string; readonly frames: SharedFrames } | undefined;

  constructor(
    window: Window,
    observer: DeliveryObserver<Member>,
    framing: Framing,
    turns: Turns,
    backfill: Backfill | undefined,
  ) {
    this.window = window;
    this.observer = observer;
    this.framing = framing;
    this.position = window.tail;
    this.#turns = turns;
    this.#backfill = backfill;
  }

  /** Number of channels that have subscriptions. */
  get channelCount(): number {
    return this.#channels.size;
  }

  /** Number of subscriptions that wait for their turn. */
  get waitingCount(): number {
    return this.#behind.length;
  }

  /** @returns The subscriptions of a channel; `undefined` if there is none. */
  of(channel: string): ReadonlySet<Member> | undefined {
    return this.#channels.get(channel);
  }

  /** @returns All subscriptions, each once. */
  all(): Set<Member> {
    const all = new Set<Member>();
    for (const members of this.#channels.values()) for (const member of members) all.add(member);
    return all;
  }

  /** Subscribes to a channel. */
  join(channel: string, member: Member): void {
    const members = this.#channels.get(channel);
    if (members === undefined) this.#channels.set(channel, new Set([member]));
    else members.add(member);
  }

  /** Takes a subscription off a channel. */
  leave(channel: string, member: Member): void {
    const members = this.#channels.get(channel);
    if (members?.delete(member) === true && members.size === 0) this.#channels.delete(channel);
  }

  /** Gives a subscription a turn, behind all that wait for theirs. */
  schedule(member: Member): void {
    this.#behind.push(member);
    this.#turns.wake();
  }

  /** @returns The subscription whose turn it is; `undefined` if none waits. */
  next(): Member | undefined {
    const member = this.#behind.at(0);
    if (member !== undefined) this.#behind.shift();
    return member;
  }

  /**
   * Finds the position that a client reports: at once if that is in memory, otherwise once it was read from the log.
   *
   * @param channels - Channels of the client: one that has missed nothing on them has a place, however long ago it left.
   * @param isWanted - Asked now and then while it takes time.
   */
  locate(id: string, channels: ChannelPositions, isWanted: () => boolean): Place | Promise<Place> {
    const place = this.window.locate(id, channels);
    return typeof place === "number" || this.#backfill === undefined
      ? place
      : this.#backfill.locate(id, channels, isWanted);
  }

  /**
   * Reads the past of the log into the window, as far back as it can hold.
   *
   * @param isEnough - Asked after each page: whether the caller needs no more.
   * @param isWanted - Asked now and then while it takes time.
   * @returns Settles when no more is needed, or no more can be had; `undefined` if that is so now.
   */
  readBack(isEnough: () => boolean, isWanted: () => boolean): Promise<void> | undefined {
    return this.#backfill?.readBack(isEnough, isWanted);
  }

  /** @returns The cursor event with an id. */
  cursorFrames(id: string): SharedFrames {
    if (this.#cursor?.id !== id) {
      this.#cursor = { id, frames: shareFrames([encodeCursorFrame(id)]) };
    }
    return this.#cursor.frames;
  }
}
