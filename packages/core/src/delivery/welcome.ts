/** The part of a stream before entries of the log. Exists only while some of it is still to be written. */

import { SseError, isSseError } from "../errors.js";
import { checkSnapshot } from "../options/subscribe.js";
import type { SnapshotMessages } from "../options/subscribe.js";
import { prepareMessage } from "../wire/frame.js";
import type { Framing, ResetReason } from "../wire/frame.js";
import { withoutIdParts } from "../wire/frame-slab.js";
import type { EventMessage } from "../wire/message.js";
import type { StoredFrame } from "../wire/shared-frames.js";
import type { ChannelPositions, ChannelSet } from "./channel-set.js";
import type { Snapshot } from "./snapshots.js";
import type { Slice, Window } from "./window.js";

/** A reset that is still to be written. */
export interface PendingReset {
  readonly reason: ResetReason;
  /** Entries up to here are lost or unknown; everything after it is delivered. */
  readonly position: number;
  /** Channels that may have lost events. The reset is dropped when the client leaves the last of them. */
  readonly channels: Set<string>;
}

/** Most events that `latest` sends for one call. */
const MOST_LATEST = 10_000;

/** The part of the welcome that belongs to one `subscribe`: the snapshot, then `latest`. */
export class Step {
  /** The call's channels, except those left since. */
  readonly channels: Set<string>;
  readonly snapshot: Snapshot | undefined;
  /** `true` if the client gets its first position only after this. */
  readonly comesFirst: boolean;
  readonly #latest: number;
  /** Position up to which `latest` goes: where the channels begin. */
  #upTo: number;
  /** Snapshot messages still to be written, the next one last; `undefined` until the state arrives. */
  #messages: EventMessage[] | undefined;
  /** Start of `latest` on each channel; `undefined` until determined. */
  #starts: ReadonlyMap<string, number> | undefined;
  /** The rest of `latest` lies after this position; `undefined` while `#starts` is. */
  #after: number | undefined;
  /** Whether the log was asked for the part of `latest` that was not in memory. */
  #hasAsked = false;

  constructor(
    channels: Iterable<string>,
    snapshot: Snapshot | undefined,
    { latest, upTo, comesFirst }: { latest: number; upTo: number; comesFirst: boolean },
  ) {
    this.channels = new Set(channels);
    this.snapshot = snapshot;
    this.comesFirst = comesFirst;
    this.#latest = latest;
    this.#upTo = upTo;
  }

  /** `true` unless a snapshot was requested and has not arrived. */
  get hasState(): boolean {
    return this.snapshot === undefined || this.#messages !== undefined;
  }

  /** Whether the call asks for past events. */
  get wantsLatest(): boolean {
    return this.#latest > 0;
  }

  /** Position where the channels begin. */
  get upTo(): number {
    return this.#upTo;
  }

  /** The stream begins at this position, so entries before it belong to the past. */
  reach(position: number): void {
    this.#upTo = Math.max(this.#upTo, position);
  }

  /**
   * Calls the snapshot function. The state contains everything published up to now.
   *
   * @param position - Tail of the log.
   */
  takeState(position: number): ReturnType<Snapshot["take"]> {
    this.#upTo = position;
    const { snapshot } = this;
    return snapshot === undefined ? [] : snapshot.scope.runInAsyncScope(snapshot.take);
  }

  /**
   * Keeps the state. It is serialized at once, which fixes its content, but encoded only when written, so that a client
   * that does not read holds little memory.
   *
   * @throws {SseError} `ERR_SSE_INVALID_DATA`, `ERR_SSE_INVALID_FIELD` or `ERR_SSE_ID_RESERVED` if a message is invalid.
   */
  keepState(messages: unknown, framing: Framing): void {
    checkSnapshot(messages);
    const prepare = (): EventMessage[] =>
      Array.from(messages as SnapshotMessages, (message) => prepareMessage(message, framing));
    this.#messages = (this.snapshot?.scope.runInAsyncScope(prepare) ?? []).toReversed();
  }

  /**
   * Takes the next frames to write.
   *
   * @param hasIds - Whether `latest` events keep their ids. `false` if the client may have a later one.
   * @param maxBytes - Upper limit; at least one message is returned.
   * @param introduce - Encodes a snapshot message as a block for this client.
   */
  next(
    window: Window,
    hasIds: boolean,
    maxBytes: number,
    introduce: (message: EventMessage) => Buffer,
  ): StepSlice {
    const frames: StoredFrame[] = [];
    const messages = this.#messages ?? [];
    for (let bytes = 0; messages.length > 0 && bytes < maxBytes;) {
      const slab = introduce(messages.pop() as EventMessage);
      frames.push({ slab, start: 0, end: slab.byteLength });
      bytes += slab.byteLength;
    }
    if (messages.length > 0 || (frames.length > 0 && this.wantsLatest)) {
      return { frames, events: 0, isLast: false };
    }
    if (!this.wantsLatest) return { frames, events: 0, isLast: true };
    const slice = this.nextLatest(window, maxBytes);
    return {
      frames: hasIds ? slice.frames : slice.frames.flatMap(withoutIdParts),
      events: slice.frames.length,
      isLast: slice.cursor >= this.#upTo,
    };
  }

  /** Takes the next `latest` events. The step is done once the cursor is at `upTo`. */
  nextLatest(window: Window, maxBytes: number): Slice {
    if (this.#starts === undefined) {
      this.#starts = window.latestStarts(this.channels, this.#latest, MOST_LATEST, this.#upTo);
      this.#after = this.#upTo;
      for (const start of this.#starts.values()) this.#after = Math.min(this.#after, start);
    }
    const slice = window.slice(this.#positions, this.#after ?? this.#upTo, maxBytes, this.#upTo);
    this.#after = slice.cursor;
    return slice;
  }

  /** Whether `latest` is partly written and its next event has left the window. */
  isOvertaken(window: Window): boolean {
    const after = this.#after;
    if (after === undefined || after >= this.#upTo) return false;
    return !window.holdsAfter(after, this.#positions);
  }

  /**
   * Whether past events have to be read from the log.
   *
   * `true` at most once: events still missing after that read are not available.
   */
  needsPast(window: Window): boolean {
    if (!this.wantsLatest || this.#hasAsked) return false;
    if (this.hasPast(window)) return false;
    this.#hasAsked = true;
    return true;
  }

  /** Whether the window has every event that `latest` asks for. */
  hasPast(window: Window): boolean {
    return window.hasLatest(this.channels, this.#latest, MOST_LATEST, this.#upTo);
  }

  /** The channels, each with the position after which its newest events lie. */
  get #positions(): ChannelPositions {
    return new Map(Array.from(this.channels, (name) => [name, this.#starts?.get(name)]));
  }

  /**
   * Makes a copy without the state, for use when the state is sent separately.
   *
   * @param upTo - Where the channels begin now.
   */
  withoutState(upTo: number): Step {
    const latest = this.#latest;
    return new Step(this.channels, undefined, { latest, upTo, comesFirst: false });
  }
}

/**
 * Waits for a promise of the application, which may never settle.
 *
 * Thousands of clients may wait for one promise, so it must keep alive no more of each client than this.
 */
export class Hold {
  readonly step: Step;
  /** `undefined` once released. */
  #listener: HoldListener | undefined;

  constructor(step: Step, listener: HoldListener) {
    this.step = step;
    this.#listener = listener;
  }

  /** Waits, unless released already. */
  waitFor(promise: PromiseLike<unknown>): void {
    const wait = (): void => {
      promise.then(
        (value) => this.#listener?.done(value),
        (error: unknown) => this.#listener?.failed(error),
      );
    };
    // Some query libraries run the query only when `then` is called.
    const { snapshot } = this.step;
    if (snapshot === undefined) wait();
    else snapshot.scope.runInAsyncScope(wait);
  }

  /** Ignores the promise from now on. */
  release(): void {
    this.#listener = undefined;
  }
}

/** Receives the outcome of a {@link Hold}. */
export interface HoldListener {
  done(value: unknown): void;
  failed(error: unknown): void;
}

/** A slice of a step. */
export interface StepSlice {
  readonly frames: readonly StoredFrame[];
  /** Number of frames that are events of the log. */
  readonly events: number;
  /** Whether the step is done. */
  readonly isLast: boolean;
}

/** Everything that a client gets before the log continues. */
export class Welcome {
  /** `true` while the stream waits for other calls of its turn, or for its position. */
  isAwaiting = false;
  /** `true` until a resuming stream has begun: with its cursor event, or with its reset and the rest of that turn. */
  isBeginning = false;
  /** `true` until the stream has had its first cursor event. */
  owesCursor = false;
  /** The id that a resuming client reported; otherwise `undefined`. */
  resumedFrom: string | undefined;
  /** `true` until a client that reconnected has been sent an event that it missed. */
  isReplay = false;
  /** Set while a reset is still to be written. */
  reset: PendingReset | undefined;
  /** In the order of the calls. */
  readonly steps: Set<Step> = new Set();
  /**
   * Highest position covered by the states and `latest` events written so far. A client that reconnects with an earlier
   * position gets a replay of entries that these contain.
   */
  reached: number = -Infinity;
  /** Whether the client was sent a state. */
  hasState = false;
  /** Whether the client has an id before its first position: it reported one, or received some. */
  hasIds = false;
  /** Set while a step waits for its snapshot or for past events. Nothing is written meanwhile. */
  held: Hold | undefined;

  /** Whether there is a reset or a step to write. */
  get isPending(): boolean {
    return this.reset !== undefined || this.steps.size > 0;
  }

  /**
   * Schedules a reset. Does nothing without channels.
   *
   * @param channels - Channels that may have lost events.
   * @param tail - Position of the newest entry.
   */
  mustReset(reason: ResetReason, channels: Iterable<string>, tail: number): void {
    const concerned = new Set(channels);
    if (concerned.size > 0) this.reset = { reason, position: tail, channels: concerned };
  }

  /**
   * Finds the next step to write.
   *
   * @param hasPosition - Whether the client has its first position. Most states have to wait for it; `latest` does not,
   *   because newer events of its channels follow it.
   */
  nextStep(hasPosition: boolean): Step | undefined {
    for (const step of this.steps) {
      if (hasPosition || step.comesFirst || step.snapshot === undefined) return step;
    }
    return undefined;
  }

  /** Replaces all steps. */
  replaceSteps(steps: Iterable<Step>): void {
    this.steps.clear();
    for (const step of steps) this.steps.add(step);
  }

  /** A step was written. */
  done(step: Step): void {
    this.reached = Math.max(this.reached, step.upTo);
    this.steps.delete(step);
  }

  /** @returns The given channels without those whose state is still to be taken. */
  withoutUntaken(channels: ChannelSet): ChannelPositions {
    if (this.steps.size === 0) return channels;
    const untaken = new Set<string>();
    for (const { hasState, channels: names } of this.steps) {
      if (!hasState) for (const name of names) untaken.add(name);
    }
    if (untaken.size === 0) return channels;
    return new Map([...channels].filter(([channel]) => !untaken.has(channel)));
  }

  /** Removes channels from the reset and from all steps. */
  leave(channels: readonly string[]): void {
    for (const channel of channels) this.reset?.channels.delete(channel);
    if (this.reset?.channels.size === 0) this.reset = undefined;
    for (const step of this.steps) {
      for (const channel of channels) step.channels.delete(channel);
      if (step.channels.size === 0) this.steps.delete(step);
    }
    if (this.held?.step.channels.size === 0) this.release();
  }

  /** Stops waiting. */
  release(): void {
    this.held?.release();
    this.held = undefined;
  }
}

/** Adds the channels to the error of a snapshot. */
export function snapshotError(error: unknown, channels: Iterable<string>): unknown {
  if (!isSseError(error)) return error;
  const names = JSON.stringify([...channels]);
  return new SseError(error.code, `The snapshot of ${names} cannot be sent: ${error.message}`, {
    cause: error,
  });
}
