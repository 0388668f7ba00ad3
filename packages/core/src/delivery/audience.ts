/** Streams and readers by channel, and the state they share: window, turns and delivery position. */

import type { LogEntry } from "../log/log.js";
import { encodeCursorFrame } from "../wire/frame.js";
import type { Framing, ResetReason } from "../wire/frame.js";
import type { EventMessage } from "../wire/message.js";
import type { Outlet } from "../outlet/outlet.js";
import { shareFrames } from "../wire/shared-frames.js";
import type { SharedFrames } from "../wire/shared-frames.js";
import type { Backfill, Place } from "./backfill.js";
import type { ChannelPositions, ChannelSet } from "./channel-set.js";
import { DecodedEntries } from "./decoded-entries.js";
import { Deque } from "./deque.js";
import type { Turns } from "./turns.js";
import type { Window } from "./window.js";

/** Most bytes taken from the window at once: for one write, or for one step of a reader. */
export const SLICE_BYTES = 65_536;

/** Frames of one write that several streams share. */
export interface DeliveredFrames {
  readonly shared: SharedFrames;
  /** Number of events. */
  readonly count: number;
  /** Position of the last event. */
  readonly last: number;
}

/** A receiver of the entries of its channels: a stream's subscription, or a reader in server code. */
export interface Member {
  readonly channels: ChannelSet;
  /**
   * Takes the entries of one turn or several.
   *
   * @param first - Position of the first entry.
   * @param last - Position of the last entry.
   * @param pieces - Frames for this member, each piece joined for one write.
   */
  deliver(first: number, last: number, pieces: readonly DeliveredFrames[]): void;
  /** An entry of its channels has left the window before it was delivered. */
  overtaken(): void;
  /** Every position is void. */
  reset(reason: ResetReason): void;
  /** Called for a turn that was asked for with {@link Audience.schedule}. */
  takeTurn(): void;
}

/** Receives what delivery does, for counters and diagnostics. Delivery does not depend on it. */
export interface DeliveryObserver {
  /** Events were written to a client. */
  counted(events: number, bytes: number): void;
  /** A client that reconnected is being sent what it missed. */
  replayed(): void;
  /** A client is sent a reset, because it may have missed events on these channels. */
  wasReset(outlet: Outlet, reason: ResetReason, channels: readonly string[]): void;
  /** Whether {@link DeliveryObserver.timed} should be called. */
  readonly isTimed: boolean;
  /** An event was written to all live streams, this many milliseconds after it arrived. */
  timed(delayMs: number): void;
  /**
   * A control entry has just been read from the log. Must not run application code.
   *
   * @returns The message that members of its channel get; `undefined` if it only moves the position.
   */
  translate(entry: LogEntry): EventMessage | undefined;
  /**
   * A control entry was read from the log. For those read now, the window has it by then.
   *
   * @param ageMs - Its age, if it is from before this process began; otherwise `undefined`.
   */
  control(entry: LogEntry, ageMs: number | undefined): void;
  /** Every position is void. Called before members are reset. */
  voided(): void;
  /** Something failed in the background. */
  report(error: unknown, stage: "log" | "snapshot"): void;
}

/** The members of a hub: streams and readers. */
export class Audience {
  readonly window: Window;
  readonly observer: DeliveryObserver;
  /** For readers. */
  readonly decoded: DecodedEntries = new DecodedEntries();
  /** Settings for encoding snapshot messages. */
  readonly framing: Framing;
  /** Streams that are live. */
  liveCount = 0;
  /** Every live stream has been handed all entries up to here. */
  position: number;
  readonly #turns: Turns;
  /** `undefined` where the log keeps nothing older than the window. */
  readonly #backfill: Backfill | undefined;
  readonly #channels: Map<string, Set<Member>> = new Map();
  /** Members waiting for a turn to continue from their cursor, each once, first come first served. */
  readonly #behind = new Deque<Member>([]);
  /** The last cursor event. While nothing is published, all clients share it. */
  #cursor: { readonly id: string; readonly frames: SharedFrames } | undefined;

  constructor(
    window: Window,
    observer: DeliveryObserver,
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

  /** Number of channels with members. */
  get channelCount(): number {
    return this.#channels.size;
  }

  /** Number of members waiting for a turn. */
  get waitingCount(): number {
    return this.#behind.length;
  }

  /** @returns The members of a channel; `undefined` if there is none. */
  of(channel: string): ReadonlySet<Member> | undefined {
    return this.#channels.get(channel);
  }

  /** @returns All members, each once. */
  all(): Set<Member> {
    const all = new Set<Member>();
    for (const members of this.#channels.values()) for (const member of members) all.add(member);
    return all;
  }

  /**
   * Adds a member to a channel.
   *
   * @returns The channel's name for the member to keep: the string that the first member keeps, if that has no other
   *   channel. The caller's own is often a part of a URL, and would keep the whole URL in memory.
   */
  join(channel: string, member: Member): string {
    const members = this.#channels.get(channel);
    if (members === undefined) {
      this.#channels.set(channel, new Set([member]));
      return channel;
    }
    const [first] = members;
    members.add(member);
    return first?.channels.nameOf(channel) ?? channel;
  }

  /** Removes a member from a channel. */
  leave(channel: string, member: Member): void {
    const members = this.#channels.get(channel);
    if (members?.delete(member) === true && members.size === 0) this.#channels.delete(channel);
  }

  /** Queues a member for a turn, after all that are waiting. */
  schedule(member: Member): void {
    this.#behind.push(member);
    this.#turns.wake();
  }

  /** @returns The next member to take a turn; `undefined` if no member is waiting. */
  next(): Member | undefined {
    const member = this.#behind.at(0);
    if (member !== undefined) this.#behind.shift();
    return member;
  }

  /**
   * Finds the position of an id: synchronously if it is in memory, otherwise once it has been read from the log.
   *
   * @param channels - Channels of the client. If it has missed nothing on them, it has a position no matter how long
   *   ago it left.
   * @param isWanted - Polled during the search.
   */
  locate(id: string, channels: ChannelPositions, isWanted: () => boolean): Place | Promise<Place> {
    if (this.#backfill === undefined) return this.window.locate(id, channels);
    const place = this.#backfill.near(id, channels);
    return typeof place === "number" ? place : this.#backfill.locate(id, channels, isWanted);
  }

  /** Whether this process has read everything after an id, or the log keeps nothing that it has not. */
  hasRead(id: string): boolean {
    return this.#backfill === undefined || typeof this.window.locate(id) === "number";
  }

  /**
   * Reads everything after an id, as far as the log holds it and the window has room.
   *
   * @param isWanted - Polled meanwhile. Once it returns `false`, the promise may never settle.
   */
  async readSince(id: string, isWanted: () => boolean): Promise<void> {
    await this.#backfill?.locate(id, undefined, isWanted);
  }

  /**
   * Reads the log's past into the window, as far back as fits.
   *
   * @param isEnough - Polled after each page: returns `true` once the caller needs no more.
   * @param isWanted - Polled during the read.
   * @returns Settles when the caller needs no more, or no more is available; `undefined` if that is already so.
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
