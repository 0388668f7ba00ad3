/** One stream's position in the log. */

import { draw } from "../options/jitter.js";
import type { SnapshotMessages, SubscribeOptions } from "../options/subscribe.js";
import type { Outlet } from "../outlet/outlet.js";
import type { Reader } from "../outlet/reader.js";
import { encodeMessage, isId } from "../wire/encode.js";
import { encodeCursorFrame, encodeResetFrame, encodeRetryFrame } from "../wire/frame.js";
import type { ResetReason } from "../wire/frame.js";
import { withoutIdParts } from "../wire/frame-slab.js";
import type { EventMessage } from "../wire/message.js";
import { shareChunk, shareFrames, shareStored, sizeOf } from "../wire/shared-frames.js";
import type { SharedFrames, StoredFrame } from "../wire/shared-frames.js";
import { SLICE_BYTES } from "./audience.js";
import type { Audience, DeliveredFrames, Member } from "./audience.js";
import type { Place } from "./backfill.js";
import { ChannelSet } from "./channel-set.js";
import type { ChannelPositions } from "./channel-set.js";
import { Excepted } from "./excepted.js";
import { Snapshots } from "./snapshots.js";
import { Hold, Step, Welcome, snapshotError } from "./welcome.js";
import type { PendingReset } from "./welcome.js";
import type { Slice } from "./window.js";

/** Checks of a live client's position while the window is replaced once: four of them in the older half. */
const LOOKS_PER_WINDOW = 8;

/** Before every position, including those of entries from before the window. */
const BEFORE_ALL = -(2 ** 30);

/** Reconnection time after a snapshot has failed, in milliseconds. */
const FAILED_RETRY_MS = { min: 5_000, max: 30_000 };

/** Streams that began with a reset and have not had their first cursor event: too few to justify a field in each. */
const RESET_FIRST = new WeakSet<Subscription>();

/**
 * One stream's position in the log: one cursor, a set of channels, and a start for each channel that begins ahead of
 * the cursor. No queue.
 *
 * An entry is due if its channel is in the set and its position is greater than the cursor and the channel's start.
 * Only three things move the cursor: writing the entries up to a position; establishing that no entry up to it is due;
 * and writing a reset that names every channel of that moment. Joining a channel, `latest` and `snapshot` set the start
 * of their own channels only.
 *
 * A subscription is *live* while the client has every entry handed over so far: new entries go straight to the outlet.
 * A live subscription has no starts. When the socket backs up, the subscription falls behind, which stores nothing: it
 * continues from its cursor in the window as soon as there is room.
 */
export class Subscription implements Reader, Member {
  readonly channels: ChannelSet = new ChannelSet();
  readonly outlet: Outlet;
  readonly #audience: Audience;
  /** Every entry up to here is written or not due. A live subscription may have been handed more. */
  #cursor = BEFORE_ALL;
  /** Position that the client knows; `BEFORE_ALL` while it has none, and until then events are written without ids. */
  #told = BEFORE_ALL;
  #phase: "behind" | "live" | "closed" = "behind";
  /** State of its turn. While it is not `none`, application code may be on the stack. */
  #turn: "none" | "scheduled" | "running" = "none";
  /** Set while something that does not come from the log is still to be written. */
  #welcome: Welcome | undefined;
  /** `undefined` while no channel has a snapshot. */
  #snapshots: Snapshots | undefined;
  /** Callback for when everything up to a position is written. */
  #end: { readonly position: number; readonly fn: () => void } | undefined;
  /** `undefined` unless events lie ahead that this session must not get. Always `undefined` while live. */
  #excepted: Excepted | undefined;

  constructor(outlet: Outlet, audience: Audience) {
    this.outlet = outlet;
    this.#audience = audience;
    outlet.reader = this;
  }

  /** `true` while the client has everything. */
  get isLive(): boolean {
    return this.#phase === "live";
  }

  get isBeginning(): boolean {
    return this.#welcome?.isBeginning === true;
  }

  /**
   * Begins at the tail, for a new client.
   *
   * @param awaitsFirstState - Whether nothing is written until {@link Subscription.firstStateDecided}. A client cut off
   *   with a position but without its first state would resume from there and never get the state.
   */
  begin(awaitsFirstState: boolean): void {
    this.#cursor = this.#audience.window.tail;
    this.#welcome = new Welcome();
    this.#welcome.owesCursor = true;
    this.#welcome.isAwaiting = awaitsFirstState;
  }

  /** The call with the first state has taken effect, or never will. */
  firstStateDecided(): void {
    if (this.#welcome === undefined) return;
    this.#welcome.isAwaiting = false;
    this.wake();
  }

  /**
   * Begins at a position that {@link Subscription.place} gives later. Until then nothing is written.
   *
   * @param isResuming - Whether the client reports a position: the stream begins with it or with a reset.
   */
  beginLater(isResuming: boolean): void {
    this.#welcome = new Welcome();
    this.#welcome.isBeginning = isResuming;
    this.#welcome.owesCursor = true;
    this.#welcome.isAwaiting = true;
  }

  /**
   * Sets where a stream begins after {@link Subscription.beginLater}. The replay waits for this, so that it includes
   * every channel of its turn.
   *
   * @param lastEventId - As the client reports it; `""` if its stream opened before the log had a position: events
   *   published in between may be missing.
   */
  place(lastEventId: string): void {
    const welcome = this.#welcome;
    if (welcome?.isAwaiting !== true) return;
    if (lastEventId !== "") welcome.hasIds = true;
    // The first cursor event repeats the reported id, so it must be a valid one.
    if (lastEventId === "" || !isId(lastEventId)) return this.#placed(welcome, "unknown");
    welcome.resumedFrom = lastEventId;
    // Expired entries are not replayed, even if nothing was published since.
    this.#audience.window.trim(performance.now());
    const isWanted = (): boolean => this.#welcome?.isAwaiting === true;
    const place = this.#audience.locate(lastEventId, this.#replayed(), isWanted);
    if (!(place instanceof Promise)) return this.#placed(welcome, place);
    void place.then((found) => {
      // Meanwhile the stream may have ended. If the log was reset, the position was looked up again.
      if (this.#welcome?.isAwaiting === true) this.#placed(this.#welcome, found);
    });
  }

  /**
   * Joins channels. Channels joined before are ignored.
   *
   * @param channels - Checked names.
   * @param part - `isReplayed`: the channels begin at the client's position instead of the tail. `comesFirst`: the
   *   client gets its first position only after their state. That holds for the first call of a route: when the client
   *   reconnects with a position, the replay replaces the state.
   */
  join(
    channels: readonly string[],
    { latest = 0, snapshot }: SubscribeOptions,
    { isReplayed, comesFirst }: { isReplayed: boolean; comesFirst: boolean },
  ): void {
    const added = channels.filter((channel) => !this.channels.has(channel));
    if (added.length === 0 || this.#phase === "closed") return;
    const { tail } = this.#audience.window;
    // A stream without channels has nothing due.
    if (this.channels.size === 0 && this.#told !== BEFORE_ALL) this.#moveTo(tail);
    // Entries published before belong to the other channels and are written first. That has to wait until the channels
    // have joined, because writing may call application code.
    if (!isReplayed && this.#phase === "live" && this.#position() < tail) {
      this.#fallBehind(this.#position());
    }
    for (const channel of added) {
      const name = this.#audience.join(channel, this);
      this.channels.add(name, isReplayed || this.#position() >= tail ? undefined : tail);
    }
    const state =
      snapshot === undefined
        ? undefined
        : (this.#snapshots ??= new Snapshots()).add(snapshot, added);
    if (!isReplayed && (state !== undefined || latest > 0)) {
      this.#fallBehind(this.#position());
      this.#welcome ??= new Welcome();
      this.#welcome.steps.add(new Step(added, state, { latest, upTo: tail, comesFirst }));
    }
    this.wake();
  }

  /** Leaves channels; others are ignored. Afterwards nothing of them is written. */
  leave(channels: readonly string[]): void {
    if (this.#phase === "closed") return;
    for (const channel of channels) {
      if (this.channels.delete(channel)) this.#audience.leave(channel, this);
      this.#snapshots?.leave(channel);
    }
    const welcome = this.#welcome;
    if (welcome === undefined) return;
    const wasHeld = welcome.held !== undefined;
    welcome.leave(channels);
    // The state that held up the stream belonged to a channel that was left.
    if (wasHeld && welcome.held === undefined) this.wake();
  }

  /** Every position is void: the client gets a reset and continues from here. */
  reset(reason: ResetReason): void {
    if (this.#phase === "closed") return;
    this.#excepted?.clear();
    const previous = this.#welcome;
    previous?.release();
    const welcome = new Welcome();
    // The client's position may belong to the new history, if it comes from a node that learned of it earlier.
    const isUnplaced = this.#cursor === BEFORE_ALL && previous?.isAwaiting === true;
    if (isUnplaced) welcome.resumedFrom = previous.resumedFrom;
    const lost = isUnplaced ? this.#channels((start) => start !== undefined) : this.channels.keys();
    welcome.mustReset(reason, lost, this.#audience.window.tail);
    // A reset names every channel of its turn, so it waits for the same calls as a replay.
    welcome.isAwaiting = previous?.isAwaiting === true;
    welcome.isBeginning = previous?.isBeginning === true;
    welcome.owesCursor = previous?.owesCursor === true;
    welcome.hasIds = previous?.hasIds === true;
    this.#fallBehind(this.#cursor);
    this.#welcome = welcome;
    this.#schedule();
  }

  deliver(first: number, last: number, pieces: readonly DeliveredFrames[]): void {
    // A subscription that is behind reads them from the window.
    if (this.#phase !== "live" || this.#cursor >= last) return;
    if (this.#cursor >= first) {
      this.#fallBehind(this.#cursor);
      this.wake();
      return;
    }
    for (const { shared, count, last: position } of pieces) {
      // A write may have detected that the client has left.
      if (this.#phase !== "live") return;
      if (this.outlet.isBlocked) return this.#fallBehind(Math.max(this.#cursor, first - 1));
      this.#cursor = position;
      this.#told = position;
      this.#counted(count, shared.size);
      this.outlet.writeFrames(shared);
    }
    this.#cursor = last;
  }

  /** An undelivered entry of its channels has left the window. */
  overtaken(): void {
    if (this.#phase !== "live") return;
    this.#fallBehind(this.#position());
    // Deferred: writing may run application code that publishes, before other subscriptions were notified.
    this.#schedule();
  }

  wake(): void {
    // A turn is pending or running: another one now would overtake other subscriptions or break the order.
    if (this.#turn === "none") this.#advance();
    else if (this.#turn === "scheduled") this.#beginReplay();
  }

  /** Called by delivery for the turn of this subscription. */
  takeTurn(): void {
    this.#turn = "none";
    this.#advance();
  }

  catchUp(): void {
    if (this.#phase !== "live" || this.#position() >= this.#audience.window.tail) return;
    this.#fallBehind(this.#position());
    this.wake();
  }

  /**
   * Called before the publish of an event that this session must not get. Writes everything published before, then
   * pauses until the id of that event is known. The subscription stays behind, where each event is checked.
   *
   * @returns Takes the id, once the event is in the window; `undefined` if it was not published. To be called once.
   */
  except(): (id: string | undefined) => void {
    this.catchUp();
    if (this.#phase === "live") this.#fallBehind(this.#position());
    const excepted = (this.#excepted ??= new Excepted());
    excepted.begin();
    return (id) => {
      const place = id === undefined ? undefined : this.#audience.window.locate(id);
      excepted.end(typeof place === "number" && place > this.#cursor ? place : undefined);
      if (excepted.isOver && this.#excepted === excepted) this.#excepted = undefined;
      this.wake();
    };
  }

  finish(fn: () => void): void {
    this.#end = { position: this.#audience.window.tail, fn };
    if (this.#phase === "live") this.#fallBehind(this.#position());
    this.wake();
  }

  closed(): void {
    if (this.#phase === "live") this.#audience.liveCount -= 1;
    this.#phase = "closed";
    this.#welcome?.release();
    this.#welcome = undefined;
    this.#snapshots = undefined;
    this.#end = undefined;
    this.#excepted = undefined;
    // The set itself stays, for those who want to know what the stream followed.
    for (const channel of this.channels.keys()) this.#audience.leave(channel, this);
  }

  beat(now: number, isSilent: boolean): SharedFrames | undefined {
    // An unwritten event may be due: a cursor event would make the client skip it.
    if (this.#phase !== "live") return undefined;
    const position = this.#position();
    if (position <= this.#told) return undefined;
    const { window } = this.#audience;
    if (!isSilent && !window.isAging(this.#told, now)) return undefined;
    const id = window.idAt(position);
    if (id === undefined) return undefined;
    this.#told = position;
    return RESET_FIRST.delete(this)
      ? shareFrames([this.#firstCursor(id)])
      : this.#audience.cursorFrames(id);
  }

  restMs(now: number): number {
    return this.#audience.window.turnoverMs(now) / LOOKS_PER_WINDOW;
  }

  #placed(welcome: Welcome, place: Place): void {
    welcome.isAwaiting = false;
    if (typeof place === "number") {
      this.#cursor = place;
      this.#told = place;
      this.channels.passed(place);
      // The client may come from a node that was ahead of this one when these channels joined.
      for (const step of welcome.steps) step.reach(place);
      welcome.isReplay = true;
      this.#beginReplay();
      this.#schedule();
      return;
    }
    // The first cursor event must not repeat a position that is lost.
    welcome.resumedFrom = undefined;
    // Channels with a start begin there and lose nothing.
    const replayed = this.#channels((start) => start === undefined);
    const { tail } = this.#audience.window;
    if (welcome.reset === undefined) welcome.mustReset(place, replayed, tail);
    else for (const channel of replayed) welcome.reset.channels.add(channel);
    if (this.channels.size === 0) this.#moveTo(tail);
    this.wake();
  }

  /** @returns The channels with a certain start; `undefined` for those that begin at the client's position. */
  #channels(hasStart: (start: number | undefined) => boolean): string[] {
    return this.channels.keys().filter((name) => hasStart(this.channels.startOf(name)));
  }

  /** Writes the first cursor event before its turn: otherwise the stream would begin with a comment. */
  #beginReplay(): void {
    const { outlet } = this;
    const welcome = this.#welcome;
    if (welcome?.isReplay !== true || !welcome.owesCursor || welcome.isPending) return;
    if (outlet.isOpen && !outlet.isBlocked) this.#write([this.#cursorFrame()]);
  }

  /** Writes as much as possible now. */
  #advance(): void {
    const { isBeginning } = this;
    this.#turn = "running";
    let isMore = false;
    try {
      isMore = this.#writeOn();
      if (isBeginning) this.#begun();
    } finally {
      this.#turn = "none";
    }
    // Every client that is behind gets a slice in turn.
    if (isMore) this.#schedule();
  }

  /** @returns Whether more could be written now. */
  #writeOn(): boolean {
    while (this.#phase === "behind" && this.outlet.isOpen && !this.outlet.isBlocked) {
      const welcome = this.#welcome;
      if (welcome?.isAwaiting === true || welcome?.held !== undefined) return false;
      if (this.#excepted?.isPending === true) return false;
      if (welcome?.reset === undefined && this.#isOvertaken()) {
        this.#welcome ??= new Welcome();
        this.#welcome.mustReset("overflow", this.channels.keys(), this.#audience.window.tail);
        continue;
      }
      const isMore =
        welcome !== undefined && (welcome.isPending || this.#told === BEFORE_ALL)
          ? this.#writeWelcome(welcome)
          : this.#writeSlice();
      if (this.#isEnded()) return false;
      if (isMore && !this.outlet.isBlocked) return true;
    }
    return false;
  }

  /** Releases messages of the application, once the stream has begun. */
  #begun(): void {
    const welcome = this.#welcome;
    if (welcome !== undefined) {
      const { isAwaiting, reset, resumedFrom } = welcome;
      if (isAwaiting || reset !== undefined || resumedFrom !== undefined) return;
      welcome.isBeginning = false;
    }
    this.outlet.begun();
  }

  /** Calls the `finish` callback once everything up to its position is written. @returns Whether it did. */
  #isEnded(): boolean {
    const end = this.#end;
    if (end === undefined || this.#welcome !== undefined || this.#cursor < end.position) {
      return false;
    }
    this.#end = undefined;
    this.#begun();
    end.fn();
    return true;
  }

  /**
   * Writes, in one write, a slice of what comes before the next log entry.
   *
   * @returns Whether more of it could be written now.
   */
  #writeWelcome(welcome: Welcome): boolean {
    const { window } = this.#audience;
    const frames: StoredFrame[] = [];
    let events = 0;
    let isMore = false;
    if (welcome.reset !== undefined) this.#takeReset(welcome, welcome.reset, frames);
    else if (welcome.owesCursor && this.#told !== BEFORE_ALL) frames.push(this.#cursorFrame());
    while (this.#welcome === welcome && !isMore) {
      const room = Math.max(1, SLICE_BYTES - sizeOf(frames));
      const step = welcome.nextStep(this.#told !== BEFORE_ALL);
      if (step !== undefined) {
        if (!step.hasState) {
          // Frames gathered so far are sent first, and `#writeOn` checks again: the function may leave channels, or
          // publish so much that the window passes this stream.
          if (frames.length === 0) this.#takeState(welcome, step);
          break;
        }
        const past = step.needsPast(window)
          ? this.#audience.readBack(
              () => step.hasPast(window),
              () => this.#isNext(welcome, step),
            )
          : undefined;
        if (past !== undefined) {
          this.#hold(welcome, step, past);
          break;
        }
        if (step.isOvertaken(window)) {
          // Part of `latest` is written, and its next event is gone.
          welcome.done(step);
          welcome.mustReset("overflow", step.channels, window.tail);
          break;
        }
        this.#skipTo(step.upTo);
        // If the client has a position, ids of past events would move it back. If it has a state, an earlier position
        // would replay events that the state contains.
        if (step.snapshot !== undefined) welcome.hasState = true;
        const isFirst = this.#told === BEFORE_ALL && step.comesFirst && !welcome.hasState;
        const hasIds = isFirst && step.upTo <= this.#cursor;
        const slice = step.next(window, hasIds, room, (message) => this.#introduce(message));
        frames.push(...slice.frames);
        events += slice.events;
        if (hasIds && slice.events > 0) welcome.hasIds = true;
        if (slice.isLast) welcome.done(step);
        isMore = sizeOf(frames) >= SLICE_BYTES;
      } else if (this.#told === BEFORE_ALL) {
        // A client gets its first position once the cursor has passed every start. Events that other channels have due
        // before that are written without ids, so that a client cut off in between starts over, unless it already has
        // an id.
        const start = Math.max(this.#cursor, this.channels.latestStart);
        const channels = welcome.withoutUntaken(this.channels);
        const slice = this.#slice(channels, room, start);
        this.#moveTo(slice.cursor);
        frames.push(...(welcome.hasIds ? slice.frames : slice.frames.flatMap(withoutIdParts)));
        events += slice.frames.length;
        if (slice.cursor < start) {
          isMore = true;
        } else {
          this.#told = this.#cursor;
          frames.push(this.#cursorFrame());
        }
      } else {
        this.#tellReached(welcome, frames);
        if (!welcome.isReplay && this.#told >= welcome.reached) this.#welcome = undefined;
        break;
      }
    }
    if (events > 0) this.#counted(events, sizeOf(frames));
    this.#write(frames);
    return isMore;
  }

  /** Adds a reset to `frames` and schedules every snapshot again. */
  #takeReset(welcome: Welcome, { reason, position }: PendingReset, frames: StoredFrame[]): void {
    const { window, observer } = this.#audience;
    welcome.reset = undefined;
    welcome.resumedFrom = undefined;
    welcome.isReplay = false;
    // The reset names every current channel, so it covers losses on all of them. The cursor never goes back: it may be
    // further ahead if the stream had no channels for a while.
    this.#moveTo(Math.max(this.#cursor, window.holdsAfter(position) ? position : window.tail));
    const channels = this.channels.keys();
    if (channels.length === 0) return;
    const { tail } = window;
    const states = [...(this.#snapshots?.values() ?? [])];
    welcome.replaceSteps([
      ...states.map(
        (state) => new Step(state.channels, state, { latest: 0, upTo: tail, comesFirst: true }),
      ),
      // `latest` starts over, up to where its channels continue: after the reset, or at a later start.
      ...[...welcome.steps]
        .filter((step) => step.wantsLatest)
        .map((step) => step.withoutState(Math.max(this.#cursor, step.upTo))),
    ]);
    // The empty id clears the client's old position, which may look valid in the new history. A client cut off during
    // the state then starts over.
    const hasStates = states.length > 0;
    const id = hasStates ? "" : (window.idAt(this.#cursor) ?? window.tailId);
    this.#told = hasStates ? BEFORE_ALL : this.#cursor;
    welcome.hasIds = false;
    // The reset carries the client's position.
    if (!hasStates && welcome.owesCursor) {
      welcome.owesCursor = false;
      RESET_FIRST.add(this);
    }
    frames.push(stored(encodeResetFrame(reason, channels, id, this.outlet.takeRetry())));
    observer.wasReset(this.outlet, reason, channels);
  }

  /** Calls a step's snapshot function, which may return at once, return a promise or throw. */
  #takeState(welcome: Welcome, step: Step): void {
    const { tail } = this.#audience.window;
    // The state contains everything published so far, so the channels begin after it.
    for (const channel of step.channels) {
      this.channels.add(channel, tail > this.#cursor ? tail : undefined);
    }
    try {
      const messages = step.takeState(tail);
      if (isThenable(messages)) this.#hold(welcome, step, messages);
      else if (this.#isNext(welcome, step)) step.keepState(messages, this.#audience.framing);
    } catch (error) {
      if (this.#isNext(welcome, step)) this.#failed(step, error);
    }
  }

  /** Pauses writing until a promise settles: a step's state, or the past it asks for. */
  #hold(welcome: Welcome, step: Step, promise: PromiseLike<SnapshotMessages | void>): void {
    const hold = new Hold(step, {
      done: (messages) => {
        welcome.release();
        try {
          if (!step.hasState) step.keepState(messages, this.#audience.framing);
        } catch (error) {
          return this.#failed(step, error);
        }
        this.wake();
      },
      failed: (error) => this.#failed(step, error),
    });
    if (this.#isNext(welcome, step)) welcome.held = hold;
    else hold.release();
    hold.waitFor(promise);
  }

  /** Whether a step is still to be written. Its own function may have closed the stream or left the channels. */
  #isNext(welcome: Welcome, step: Step): boolean {
    return this.#welcome === welcome && welcome.steps.has(step);
  }

  #failed({ channels }: Step, error: unknown): void {
    this.#audience.observer.report(snapshotError(error, channels), "snapshot");
    // The snapshot may fail again at once, so the client has to wait before it reconnects.
    this.outlet.fail(encodeRetryFrame(draw(FAILED_RETRY_MS)));
  }

  /** Moves the cursor up to a position if no entry up to it is due. */
  #skipTo(position: number): void {
    if (position <= this.#cursor) return;
    const slice = this.#audience.window.slice(this.channels, this.#cursor, 1, position);
    if (slice.frames.length === 0) this.#moveTo(slice.cursor);
  }

  /** The channels that may lose entries. Those whose state is still to be taken begin after that state. */
  get #concerned(): ChannelPositions {
    return this.#welcome?.withoutUntaken(this.channels) ?? this.channels;
  }

  /** The channels of a replay, evaluated on each use: channels may join or be left until then. */
  #replayed(): ChannelPositions {
    const channels = (): ChannelPositions => this.#concerned;
    return {
      get size() {
        return channels().size;
      },
      [Symbol.iterator]: () => channels()[Symbol.iterator](),
    };
  }

  /** Whether a due entry has left the window because the client was slower than the retention allows. */
  #isOvertaken(): boolean {
    const { window } = this.#audience;
    if (window.holdsAfter(this.#cursor)) return false;
    const channels = this.#concerned;
    if (channels.size > 0 && !window.holdsAfter(this.#cursor, channels)) return true;
    // The dropped entries were not due.
    this.#moveTo(window.first - 1);
    return false;
  }

  /** @returns Whether more is left. */
  #writeSlice(): boolean {
    const { window, observer } = this.#audience;
    const { frames, cursor, last } = this.#slice(this.channels, SLICE_BYTES);
    const first = this.#welcome?.owesCursor === true ? this.#cursorFrame() : undefined;
    this.#moveTo(cursor);
    // Still the same turn: no entry was published meanwhile.
    if (cursor >= window.tail) this.#catchesUp();
    const welcome = this.#welcome;
    if (frames.length > 0) {
      if (welcome?.isReplay === true) observer.replayed();
      this.#told = last;
      this.#counted(frames.length, sizeOf(frames));
    }
    if (welcome !== undefined) {
      welcome.isReplay = false;
      this.#tellReached(welcome, frames);
      if (this.#told >= welcome.reached) this.#welcome = undefined;
    }
    this.#write(first === undefined ? frames : [first, ...frames]);
    return cursor < window.tail;
  }

  /** @returns The entries after the cursor, without those that this session must not get. */
  #slice(channels: ChannelPositions, maxBytes: number, upTo?: number): Slice {
    const slice = this.#audience.window.slice(channels, this.#cursor, maxBytes, upTo);
    if (this.#excepted === undefined) return slice;
    const frames = this.#excepted.without(slice.frames);
    return { frames, cursor: slice.cursor, last: frames.at(-1)?.position ?? 0 };
  }

  /** Adds a cursor event after the written states and `latest` events, once no entry before it is due. */
  #tellReached({ reached }: Welcome, frames: StoredFrame[]): void {
    if (this.#told >= reached || this.#cursor < reached) return;
    this.#told = this.#cursor;
    frames.push(this.#cursorFrame());
  }

  /** Writes frames for this client alone, in one write if they are small. */
  #write(frames: readonly StoredFrame[]): void {
    const [first] = frames;
    if (first === undefined) return;
    if (frames.length === 1 && first.start > 0) {
      // An event of the log already lies in the slab as a chunk, so no copy is needed.
      this.outlet.writeFrames(shareChunk(first));
    } else if (frames.length === 1 && first.end === first.slab.byteLength) {
      // Nor is one of a frame with its own buffer.
      this.outlet.write(first.slab);
    } else if (sizeOf(frames) <= SLICE_BYTES) {
      this.outlet.writeFrames(shareStored(frames));
    } else {
      // A copy of each large event per stalled client would dominate their memory.
      for (const { slab, start, end } of frames) this.outlet.write(slab.subarray(start, end));
    }
  }

  /**
   * Makes a cursor event of the client's position. The first one of a stream is individual: it carries the heartbeat
   * interval and, on resuming, repeats the id that the client reported.
   */
  #cursorFrame(): StoredFrame {
    const { window } = this.#audience;
    const welcome = this.#welcome;
    const id = welcome?.resumedFrom ?? window.idAt(this.#cursor) ?? window.tailId;
    const isFirst = welcome?.owesCursor === true;
    if (isFirst) {
      welcome.owesCursor = false;
      welcome.resumedFrom = undefined;
    }
    return stored(
      RESET_FIRST.delete(this) || isFirst
        ? this.#firstCursor(id)
        : this.#audience.cursorFrames(id).bytes,
    );
  }

  #firstCursor(id: string): Buffer {
    const { outlet } = this;
    const data = `{"heartbeatMs":${outlet.heartbeatMs}}`;
    return encodeCursorFrame(id, { data, retry: outlet.takeRetry() });
  }

  /** Encodes a message of a snapshot. */
  #introduce(message: EventMessage): Buffer {
    const { data, retry } = message;
    const block = Buffer.from(encodeMessage(message));
    return this.outlet.introduce(block, data !== undefined, retry);
  }

  /** A live subscription's cursor stays at its last write; its actual position may be further ahead. */
  #position(): number {
    return this.#phase === "live" ? Math.max(this.#cursor, this.#audience.position) : this.#cursor;
  }

  #moveTo(cursor: number): void {
    this.#cursor = cursor;
    this.channels.passed(cursor);
    if (this.#excepted === undefined) return;
    this.#excepted.passed(cursor);
    if (this.#excepted.isOver) this.#excepted = undefined;
  }

  #counted(events: number, bytes: number): void {
    this.outlet.eventCount += events;
    this.outlet.eventBytes += bytes;
    this.#audience.observer.counted(events, bytes);
  }

  #catchesUp(): void {
    if (this.#phase === "behind") this.#audience.liveCount += 1;
    this.#phase = "live";
  }

  #fallBehind(position: number): void {
    this.#cursor = position;
    if (this.#phase === "live") this.#audience.liveCount -= 1;
    this.#phase = "behind";
  }

  #schedule(): void {
    // A running turn schedules the next one itself.
    if (this.#turn !== "none" || this.#phase === "closed") return;
    this.#turn = "scheduled";
    this.#audience.schedule(this);
  }
}

/** A frame with its own buffer. */
function stored(slab: Buffer): StoredFrame {
  return { slab, start: 0, end: slab.byteLength };
}

function isThenable(value: unknown): value is PromiseLike<SnapshotMessages> {
  return (
    typeof value === "object" &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}
