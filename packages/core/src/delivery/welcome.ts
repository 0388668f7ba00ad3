/** What a client is told before it gets anything from the log. Exists only while there is something of it to tell. */

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
import type { Window } from "./window.js";

/** A reset that the client has yet to be told. */
export interface PendingReset {
  readonly reason: ResetReason;
  /** What lies up to here is lost or unknown; everything after it is delivered. */
  readonly position: number;
  /** Channels that may have lost events. The reset is dropped when the client leaves the last of them. */
  readonly channels: Set<string>;
}

/** The most events that `latest` of one call sends. */
const MOST_LATEST = 10_000;

/** What a client gets for the channels of one `subscribe`: the snapshot, then `latest`. */
export class Step {
  /** Channels that have not been left since. */
  readonly channels: Set<string>;
  readonly snapshot: Snapshot | undefined;
  /** `true` if the client is given its first position only after this. */
  readonly comesFirst: boolean;
  readonly #latest: number;
  /** Position up to which `latest` goes: where the channels begin. */
  #upTo: number;
  /** Messages of the snapshot that have yet to be written, the next one last; `undefined` until it was kept. */
  #messages: EventMessage[] | undefined;
  /** Where `latest` begins on each channel; `undefined` until that was looked up. */
  #starts: ReadonlyMap<string, number> | undefined;
  /** Position behind which the rest of `latest` lies; `undefined` while `#starts` is. */
  #after: number | undefined;
  /** Whether the log was asked for what of `latest` was not in memory. */
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

  /** Whether the state is here, if there is one to send. */
  get hasState(): boolean {
    return this.snapshot === undefined || this.#messages !== undefined;
  }

  /** Whether it asks for events of the past. */
  get wantsLatest(): boolean {
    return this.#latest > 0;
  }

  /** Position where the channels begin. */
  get upTo(): number {
    return this.#upTo;
  }

  /** The stream begins at a position: what lies before it is of the past. */
  reach(position: number): void {
    this.#upTo = Math.max(this.#upTo, position);
  }

  /**
   * Takes the state of the channels: what was published up to here is part of it.
   *
   * @param position - Tail of the log.
   */
  takeState(position: number): ReturnType<Snapshot["take"]> {
    this.#upTo = position;
    const { snapshot } = this;
    return snapshot === undefined ? [] : snapshot.scope.runInAsyncScope(snapshot.take);
  }

  /**
   * Keeps the state. It is serialized at once, so that it stays the state of this moment; it is encoded only when it is
   * written, because a client that takes nothing should hold little.
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
   * Takes what to write next.
   *
   * @param hasIds - Whether the events of `latest` keep their ids: not on a stream whose client may have a later one.
   * @param maxBytes - At most so many bytes, but at least one message.
   * @param introduce - Turns a message of the snapshot into the block that this client gets.
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
    if (this.#starts === undefined) {
      this.#starts = window.latestStarts(this.channels, this.#latest, MOST_LATEST, this.#upTo);
      this.#after = this.#upTo;
      for (const start of this.#starts.values()) this.#after = Math.min(this.#after, start);
    }
    const slice = window.slice(this.#positions, this.#after ?? this.#upTo, maxBytes, this.#upTo);
    this.#after = slice.cursor;
    return {
      frames: hasIds ? [...slice.frames] : slice.frames.flatMap(withoutIdParts),
      events: slice.frames.length,
      isLast: slice.cursor >= this.#upTo,
    };
  }

  /** Whether a part of `latest` was written, and the next event of it has left the window. */
  isOvertaken(window: Window): boolean {
    const after = this.#after;
    if (after === undefined || after >= this.#upTo) return false;
    return !window.holdsAfter(after, this.#positions);
  }

  /**
   * Says whether the past that it asks for is in memory.
   *
   * Asks once: what is not there after that cannot be had.
   */
  needsPast(window: Window): boolean {
    if (!this.wantsLatest || this.#hasAsked) return false;
    if (this.hasPast(window)) return false;
    this.#hasAsked = true;
    return true;
  }

  /** Whether the window has all events that `latest` asks for. */
  hasPast(window: Window): boolean {
    return window.hasLatest(this.channels, this.#latest, MOST_LATEST, this.#upTo);
  }

  /** Its channels, each with the position behind which its newest events lie. */
  get #positions(): ChannelPositions {
    return new Map(Array.from(this.channels, (name) => [name, this.#starts?.get(name)]));
  }

  /**
   * Gives the same without its state, for when that is sent in another way.
   *
   * @param upTo - Where the channels begin now.
   */
  withoutState(upTo: number): Step {
    const latest = this.#latest;
    return new Step(this.channels, undefined, { latest, upTo, comesFirst: false });
  }
}

/**
 * A wait for a promise of the application, which may never settle.
 *
 * The promise may be one that thousands of clients wait for: what it keeps alive of each must be no more than this.
 */
export class Hold {
  readonly step: Step;
  /** `undefined` once nobody waits any more. */
  #listener: HoldListener | undefined;

  constructor(step: Step, listener: HoldListener) {
    this.step = step;
    this.#listener = listener;
  }

  /** Waits, unless it was released. */
  waitFor(promise: PromiseLike<unknown>): void {
    const wait = (): void => {
      promise.then(
        (value) => this.#listener?.done(value),
        (error: unknown) => this.#listener?.failed(error),
      );
    };
    // A query of some libraries runs only when its `then` is called.
    const { snapshot } = this.step;
    if (snapshot === undefined) wait();
    else snapshot.scope.runInAsyncScope(wait);
  }

  /** Does not wait any more. */
  release(): void {
    this.#listener = undefined;
  }
}

/** What a {@link Hold} leads to. */
export interface HoldListener {
  done(value: unknown): void;
  failed(error: unknown): void;
}

/** A part of a step. */
export interface StepSlice {
  readonly frames: readonly StoredFrame[];
  /** How many of them are events of the log. */
  readonly events: number;
  /** Whether the step is done. */
  readonly isLast: boolean;
}

/** Everything that a client has yet to be told. */
export class Welcome {
  /** `true` while the stream waits for other calls of its turn, or for its position. */
  isAwaiting = false;
  /** `true` while the position of the client is looked for in the log. Implies `isAwaiting`. */
  isLocating = false;
  /** `true` until a stream that resumes has begun, with its cursor event or its reset and what follows in the same turn. */
  isBeginning = false;
  /** `true` until the stream has had its first cursor event. */
  owesCursor = false;
  /** What the client reports, where its stream resumes; `undefined` for any other. */
  resumedFrom: string | undefined;
  /** `true` until a client that came back has been sent something that it had missed. */
  isReplay = false;
  /** Set while the client has yet to be told that it may have missed something. */
  reset: PendingReset | undefined;
  /** In the order of the calls. */
  readonly steps: Set<Step> = new Set();
  /**
   * Position up to which the states and `latest` events that were written reach. A client that comes back with an
   * earlier one is replayed what they hold.
   */
  reached: number = -Infinity;
  /** Whether the client was sent a state. */
  hasState = false;
  /** Whether the client has an id before it is given its first position: it has reported one, or was given some. */
  hasIds = false;
  /** Set while a step waits for its snapshot, or for the past: nothing is written before it. */
  held: Hold | undefined;

  /** Whether there is a reset or a step to write. */
  get isPending(): boolean {
    return this.reset !== undefined || this.steps.size > 0;
  }

  /**
   * Schedules a reset. Does nothing without channels.
   *
   * @param channels - Those that may have lost events.
   * @param tail - Position of the newest entry.
   */
  mustReset(reason: ResetReason, channels: Iterable<string>, tail: number): void {
    const concerned = new Set(channels);
    if (concerned.size > 0) this.reset = { reason, position: tail, channels: concerned };
  }

  /**
   * Says what to write next.
   *
   * @param hasPosition - Whether the client has its first position: most states come after it. `latest` does not: what
   *   was published on its channel since comes behind it.
   */
  nextStep(hasPosition: boolean): Step | undefined {
    for (const step of this.steps) {
      if (hasPosition || step.comesFirst || step.snapshot === undefined) return step;
    }
    return undefined;
  }

  /** Other steps take the place of those that are there. */
  replaceSteps(steps: Iterable<Step>): void {
    this.steps.clear();
    for (const step of steps) this.steps.add(step);
  }

  /** A step was written. */
  done(step: Step): void {
    this.reached = Math.max(this.reached, step.upTo);
    this.steps.delete(step);
  }

  /** @returns Of these channels, those whose state is not about to be taken. */
  withoutUntaken(channels: ChannelSet): ChannelPositions {
    const untaken = new Set<string>();
    for (const { hasState, channels: names } of this.steps) {
      if (!hasState) for (const name of names) untaken.add(name);
    }
    if (untaken.size === 0) return channels;
    return new Map([...channels].filter(([channel]) => !untaken.has(channel)));
  }

  /** Channels were left: what was to be said of them is not said. */
  leave(channels: readonly string[]): void {
    for (const channel of channels) this.reset?.channels.delete(channel);
    if (this.reset?.channels.size === 0) this.reset = undefined;
    for (const step of this.steps) {
      for (const channel of channels) step.channels.delete(channel);
      if (step.channels.size === 0) this.steps.delete(step);
    }
    if (this.held?.step.channels.size === 0) this.release();
  }

  /** Nothing is waited for any more. */
  release(): void {
    this.held?.release();
    this.held = undefined;
  }
}

/** The error that a snapshot has led to, with the name of what failed. */
export function snapshotError(error: unknown, channels: Iterable<string>): unknown {
  if (!isSseError(error)) return error;
  const names = JSON.stringify([...channels]);
  return new SseError(error.code, `The snapshot of ${names} cannot be sent: ${error.message}`, {
    cause: error,
  });
}
