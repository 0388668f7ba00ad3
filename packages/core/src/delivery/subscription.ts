import type { Place } from "./backfill.js";
import { ChannelSet } from "./channel-set.js";
import { shareFrames, shareStored, sizeOf } from "../wire/shared-frames.js";
import type { SharedFrames } from "../wire/shared-frames.js";
import { encodeResetFrame, withoutId } from "../wire/frame.js";
import type { ResetReason } from "../wire/frame.js";
import type { SseMessage } from "../wire/message.js";
import { checkSnapshot } from "../options/subscribe.js";
import type { SnapshotMessages, SubscribeOptions } from "../options/subscribe.js";
import type { Window } from "./window.js";

/** What a subscription needs of the session that it writes to. */
export interface SubscribedSession {
  /** `true` from when the head is out until the session closes. */
  readonly isOpen: boolean;
  /** `true` while the client has yet to take what was written. */
  readonly isBlocked: boolean;
  /** Writes frames whole; `false` if the next ones should wait. */
  writeFrames(frames: SharedFrames): boolean;
  /** Encodes a message that has no id. */
  encode(message: SseMessage | string): Buffer;
  /** Closes the session because something that feeds it has failed. */
  fail(): void;
}

/** What is told of delivery; none of it is needed to deliver. */
export interface DeliveryObserver {
  counted(events: number, bytes: number): void;
  replayed(subscription: Subscription): void;
  wasReset(subscription: Subscription, reason: ResetReason): void;
  report(error: unknown, stage: "snapshot" | "log"): void;
}

/** What a subscription needs of the hub's delivery. */
export interface SubscriptionHost {
  readonly window: Window;
  /** Everything up to here was handed to every live subscription. */
  readonly position: number;
  /** Finds where a client stands: at once if that is in memory, else once it was read from the log. */
  locate(id: string): Place | Promise<Place>;
  join(channel: string, subscription: Subscription): void;
  leave(channel: string, subscription: Subscription): void;
  /** Calls `takeTurn` when others have had theirs. */
  schedule(subscription: Subscription): void;
  /** @returns The cursor event with an id. */
  cursorFrames(id: string): SharedFrames;
  readonly observer: DeliveryObserver;
}

/** What a client is told before it gets anything from the log. */
interface Greeting {
  /** Says that events were missed. */
  readonly reset?: ResetReason;
  readonly snapshots: readonly Snapshot[];
  readonly latest: number;
  readonly channels: readonly string[];
  /** `false` for channels that join a stream later: the client has a position already. */
  readonly isFirst: boolean;
  /** Place from which the client gets everything; `undefined` for the tail at the time of the greeting. */
  readonly place: Point | undefined;
}

/** A position and its id, which has to be read in the same turn: the window moves on. */
interface Point {
  readonly position: number;
  readonly id: string;
}

/** What is so only until a client that resumes has had its turn: most never do. */
interface Beginning {
  /** `true` while further calls of `subscribe`, made before the first one was decided, have yet to be. */
  isAwaiting: boolean;
  /** `true` while the client's position is looked for in the log. */
  isLocating: boolean;
}

type Snapshot = () => SnapshotMessages | PromiseLike<SnapshotMessages>;

/** A live client's position is looked at so many times while the window is replaced: four in the older half. */
const LOOKS_PER_WINDOW = 8;

/** Before every position, also those of entries from before the window. */
const FROM_THE_START = -(2 ** 30);

/** The most that is taken from the window for one write, in bytes. */
export const SLICE_BYTES = 65_536;

/**
 * One session's place in the log: a cursor and a set of channels, but no queue.
 *
 * It is *live* while its socket keeps up: what is published goes straight to it. When the socket backs up it
 * falls behind, which costs nothing: it reads on from its cursor in the window as soon as there is room, and
 * is live again when it finds nothing more. A client that comes back begins behind, at the position that it
 * reports. Only entries after the cursor are ever written, in their order: that is the whole promise.
 */
export class Subscription {
  /** Channels, and for each the position after which it counts. */
  readonly channels: ChannelSet = new ChannelSet();
  /** Delivery's own: the last position of the batch that it was last picked for. A reference would keep all of its frames. */
  batch = 0;
  /** Delivery's own: the only channel of that batch that concerns it; `undefined` if there are several. */
  channel: string | undefined;
  readonly session: SubscribedSession;
  readonly #host: SubscriptionHost;
  /** Everything up to here was written, or does not concern these channels. */
  #cursor = 0;
  /** Position that the client knows. */
  #told = 0;
  /** `true` while nothing after the cursor waits in the window but what delivery is about to hand over. */
  #isLive = false;
  #isClosed = false;
  /** `true` while a snapshot is being made: nothing may be written before it. */
  #isHeld = false;
  /** Set from a `subscribe` that resumes until the turn after it: what joins until then is replayed as well. */
  #beginning: Beginning | undefined;
  /** What to do when everything up to a position was written. */
  #end: { readonly position: number; readonly fn: () => void } | undefined;
  /** `true` while its turn is scheduled. */
  #isScheduled = false;
  /** What the client has yet to be told, oldest first; `undefined` while there is nothing. */
  #greetings: Greeting[] | undefined;
  /** Snapshots, and the channels whose state they give; `undefined` while there were none. */
  #snapshots: Map<Snapshot, readonly string[]> | undefined;
  /** `true` until a client that came back has been sent something that it had missed. */
  #isResuming = false;
  /** Batches that begin at or before it may hold entries from before a channel was joined. */
  #joinedAt = 0;

  constructor(session: SubscribedSession, host: SubscriptionHost) {
    this.session = session;
    this.#host = host;
  }

  /** `true` while the client has everything. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /**
   * Joins the first channels of a stream, at the position that the client reports.
   *
   * All in one turn: between reading the tail and joining nothing can be published, so that there is neither
   * a gap nor a double. A client that resumes gets what it missed in a later turn, so that the channels of a
   * second call are replayed as well.
   *
   * @param isAwaiting - Whether further calls have yet to be decided; `release` tells of that.
   */
  begin(
    channels: readonly string[],
    options: SubscribeOptions,
    lastEventId: string,
    isAwaiting: boolean,
  ): void {
    // What is too old is not replayed, also where nothing was published since.
    this.#host.window.trim(performance.now());
    for (const channel of channels) this.#join(channel, FROM_THE_START);
    const { snapshot } = options;
    if (snapshot !== undefined) this.#addSnapshot(snapshot, channels);
    if (lastEventId === "") {
      this.#welcome(channels, options);
      this.advance();
      return;
    }
    const beginning: Beginning = { isAwaiting, isLocating: true };
    this.#beginning = beginning;
    const place = this.#host.locate(lastEventId);
    if (!(place instanceof Promise)) {
      this.#located(place, beginning);
      return;
    }
    void place.then((found) => {
      // A reset or the end of the session may have come before.
      if (beginning.isLocating) this.#located(found, beginning);
    });
  }

  /** Greets a client that comes for the first time. */
  #welcome(channels: readonly string[], { latest = 0, snapshot }: SubscribeOptions): void {
    const { tail, tailId } = this.#host.window;
    this.#cursor = tail;
    this.#willGreet({
      snapshots: snapshot === undefined ? [] : [snapshot],
      latest,
      channels,
      isFirst: true,
      place: snapshot === undefined ? { position: tail, id: tailId } : undefined,
    });
  }

  /** Whatever is found, it is void. */
  #stopLocating(): void {
    if (this.#beginning !== undefined) this.#beginning.isLocating = false;
  }

  /** Where the client stands is known. */
  #located(place: Place, beginning: Beginning): void {
    beginning.isLocating = false;
    if (typeof place === "number") {
      this.#cursor = place;
      this.#told = place;
      this.#isResuming = true;
      this.#schedule();
      return;
    }
    this.#beginning = undefined;
    this.#cursor = this.#host.window.tail;
    this.#willGreet(this.#resetGreeting(place));
    this.advance();
  }

  /** No further call has yet to be decided. */
  release(): void {
    if (this.#beginning?.isAwaiting !== true) return;
    this.#beginning.isAwaiting = false;
    this.#schedule();
  }

  /**
   * Writes what was published in this turn, before its turn comes: something else is about to be written, and the
   * client would see the two in the wrong order. One that is behind stays so.
   */
  catchUp(): void {
    if (!this.#isLive || this.#position() >= this.#host.window.tail) return;
    this.#fallBehind(this.#position());
    this.advance();
  }

  /** Calls a function once everything that was published until now is written; never if the session closes before. */
  finish(fn: () => void): void {
    this.#end = { position: this.#host.window.tail, fn };
    if (this.#isLive) this.#fallBehind(this.#position());
    this.advance();
  }

  /** Joins further channels, from now on. */
  add(channels: readonly string[], options: SubscribeOptions): void {
    if (this.#isClosed) return;
    const added = channels.filter((channel) => !this.channels.has(channel));
    if (added.length === 0) return;
    const { latest = 0, snapshot } = options;
    if (snapshot !== undefined) this.#addSnapshot(snapshot, added);
    // The client has been here before and gets what it missed, on these channels too. Not where they have a
    // state: it may have been cut before it had that.
    if (this.#beginning !== undefined && snapshot === undefined) {
      for (const channel of added) this.#join(channel, FROM_THE_START);
      return;
    }
    const { tail } = this.#host.window;
    this.#joinedAt = tail;
    for (const channel of added) this.#join(channel, tail);
    if (latest === 0 && snapshot === undefined) return;
    this.#fallBehind(this.#position());
    this.#willGreet({
      snapshots: snapshot === undefined ? [] : [snapshot],
      latest,
      channels: added,
      isFirst: false,
      place: undefined,
    });
    this.advance();
  }

  /** Leaves channels; those that were not joined are ignored. */
  remove(channels: readonly string[]): void {
    for (const channel of channels) {
      if (this.channels.delete(channel)) this.#host.leave(channel, this);
    }
    for (const [snapshot, stated] of this.#snapshots ?? []) {
      if (!stated.some((channel) => this.channels.has(channel))) this.#snapshots?.delete(snapshot);
    }
  }

  /** The session takes no more. */
  closed(): void {
    this.#isClosed = true;
    this.#stopLocating();
    this.#isLive = false;
    this.#greetings = undefined;
    for (const channel of this.channels.keys()) {
      this.channels.delete(channel);
      this.#host.leave(channel, this);
    }
  }

  /** All positions are void: the client is told, and goes on from the tail. */
  reset(reason: ResetReason): void {
    this.#isLive = false;
    this.#stopLocating();
    this.#greetings = [this.#resetGreeting(reason)];
    this.#schedule();
  }

  /**
   * Takes what was published in one turn.
   *
   * @param first - Position of the first entry.
   * @param last - Position of the last entry.
   * @param frames - Those that concern this subscription, joined; `undefined` if they are too much for one write.
   */
  deliver(first: number, last: number, frames: DeliveredFrames | undefined): void {
    // One that is behind finds it in the window. One that has left the channels since gets nothing.
    if (!this.#isLive || this.#cursor >= last || frames?.count === 0) return;
    const isWhole = this.#cursor < first && this.#joinedAt < first;
    if (frames === undefined || !isWhole || this.session.isBlocked) {
      this.#fallBehind(Math.max(this.#cursor, first - 1));
      this.advance();
      return;
    }
    this.#cursor = last;
    this.#told = frames.last;
    this.#host.observer.counted(frames.count, frames.shared.size);
    this.session.writeFrames(frames.shared);
  }

  /**
   * Called by the heartbeat.
   *
   * @param isSilent - Whether nothing was written for so long that a heartbeat is due.
   * @returns A cursor event if the client's position should be moved: so that a quiet channel never makes it
   *   look as if the client had missed what others published.
   */
  beat(now: number, isSilent: boolean): SharedFrames | undefined {
    if (!this.#isLive) return undefined;
    const position = this.#position();
    if (position <= this.#told) return undefined;
    if (!isSilent && !this.#host.window.isAging(this.#told, now)) return undefined;
    const id = this.#host.window.idAt(position);
    if (id === undefined) return undefined;
    this.#told = position;
    return this.#host.cursorFrames(id);
  }

  /** Called by the heartbeat: for how many milliseconds the client's position may be left as it is. */
  restMs(now: number): number {
    return this.#host.window.turnoverMs(now) / LOOKS_PER_WINDOW;
  }

  /** Writes what can be written now. Called when the stream opens and when the client has taken all. */
  advance(): void {
    // Its turn comes: taking another one now would be at the cost of the others.
    if (!this.#isScheduled && this.#beginning === undefined) this.#advance();
  }

  /** Called by delivery when it is the turn of this subscription. */
  takeTurn(): void {
    this.#isScheduled = false;
    if (this.#beginning?.isAwaiting === true || this.#beginning?.isLocating === true) return;
    this.#beginning = undefined;
    this.#advance();
  }

  #advance(): void {
    while (!this.#isClosed && !this.#isHeld && !this.#isLive && this.session.isOpen) {
      if (this.session.isBlocked) return;
      if (this.#endReached()) return;
      if (this.#greetings !== undefined) {
        const greeting = this.#greetings.shift();
        if (this.#greetings.length === 0) this.#greetings = undefined;
        if (greeting !== undefined) this.#greet(greeting);
        continue;
      }
      if (!this.#host.window.holdsAfter(this.#cursor)) {
        // Passed by the window: the client was too slow for what is retained.
        this.#willGreet(this.#resetGreeting("overflow"));
        continue;
      }
      this.#writeSlice();
      if (this.#endReached()) return;
      if (!this.#isLive) {
        if (!this.session.isBlocked) this.#schedule();
        return;
      }
    }
  }

  #endReached(): boolean {
    const end = this.#end;
    if (end === undefined || this.#greetings !== undefined) return false;
    if (this.#cursor < end.position) return false;
    this.#end = undefined;
    end.fn();
    return true;
  }

  #writeSlice(): void {
    const { window } = this.#host;
    const { frames, cursor, last } = window.slice(this.channels, this.#cursor, SLICE_BYTES);
    this.#cursor = cursor;
    // Nothing was published meanwhile, this is still the same turn.
    this.#isLive = cursor >= window.tail;
    const isReplay = this.#isResuming && frames.length > 0;
    this.#isResuming = false;
    if (isReplay) this.#host.observer.replayed(this);
    if (frames.length === 0) return;
    this.#told = last;
    const shared = shareStored(frames);
    this.#host.observer.counted(frames.length, shared.size);
    this.session.writeFrames(shared);
  }

  #greet(greeting: Greeting): void {
    const { window } = this.#host;
    // What was published until now is part of the state that a snapshot gives.
    const place = greeting.place ?? { position: window.tail, id: window.tailId };
    if (greeting.isFirst) this.#cursor = place.position;
    else this.#joinAt(greeting.channels, place.position);
    const latest = this.#latest(greeting, place.position);
    let snapshots: (SnapshotMessages | PromiseLike<SnapshotMessages>)[];
    try {
      snapshots = greeting.snapshots.map((snapshot) => snapshot());
    } catch (error) {
      return this.#failed(error);
    }
    if (!snapshots.some(isThenable)) {
      return this.#write(greeting, snapshots as SnapshotMessages[], latest, place);
    }
    this.#isHeld = true;
    Promise.all(snapshots.map(async (messages) => messages)).then(
      (messages) => {
        this.#isHeld = false;
        if (this.#isClosed) return;
        this.#write(greeting, messages, latest, place);
        this.advance();
      },
      (error: unknown) => this.#failed(error),
    );
  }

  #write(
    greeting: Greeting,
    snapshots: readonly SnapshotMessages[],
    latest: readonly Buffer[],
    { position, id }: Point,
  ): void {
    const { reset, isFirst, channels } = greeting;
    const frames: Buffer[] = [];
    try {
      for (const messages of snapshots) {
        checkSnapshot(messages);
        for (const message of messages) frames.push(this.session.encode(message));
      }
    } catch (error) {
      return this.#failed(error);
    }
    // The position comes last: a client that is cut in the middle of the state begins anew. After a reset an
    // empty id takes the old position from it, which may look good in the new history.
    const needsCursor = isFirst && (reset === undefined || frames.length > 0);
    if (reset !== undefined) {
      frames.unshift(encodeResetFrame(reset, channels, needsCursor ? "" : id));
      this.#host.observer.wasReset(this, reset);
    }
    frames.push(...latest);
    if (isFirst) this.#told = position;
    const cursor = needsCursor ? this.#host.cursorFrames(id) : undefined;
    // All that most clients are greeted with.
    if (cursor !== undefined && frames.length === 0) return void this.session.writeFrames(cursor);
    if (cursor !== undefined) frames.push(cursor.bytes);
    if (frames.length > 0) this.session.writeFrames(shareFrames(frames));
  }

  #latest({ channels, latest, isFirst }: Greeting, upTo: number): Buffer[] {
    if (latest === 0) return [];
    const entries = this.#host.window.latest(channels, latest, upTo);
    this.#host.observer.counted(entries.length, sizeOf(entries));
    const frames = entries.map(({ slab, start, end }) => slab.subarray(start, end));
    return isFirst ? frames : frames.map(withoutId);
  }

  /** Moves the place after which channels count to where their state is taken. */
  #joinAt(channels: readonly string[], position: number): void {
    this.#joinedAt = position;
    for (const channel of channels) {
      if (this.channels.has(channel)) this.channels.set(channel, position);
    }
  }

  #resetGreeting(reset: ResetReason): Greeting {
    return {
      reset,
      snapshots: [...(this.#snapshots?.keys() ?? [])],
      latest: 0,
      channels: this.channels.keys(),
      isFirst: true,
      place: undefined,
    };
  }

  #failed(error: unknown): void {
    this.#isHeld = false;
    if (this.#isClosed) return;
    this.#host.observer.report(error, "snapshot");
    this.session.fail();
  }

  #willGreet(greeting: Greeting): void {
    this.#greetings ??= [];
    this.#greetings.push(greeting);
  }

  /** One function may give the state of the channels of several calls. */
  #addSnapshot(snapshot: Snapshot, channels: readonly string[]): void {
    this.#snapshots ??= new Map();
    this.#snapshots.set(snapshot, [...(this.#snapshots.get(snapshot) ?? []), ...channels]);
  }

  /** A live subscription's cursor stays where it last wrote something; what it has is more. */
  #position(): number {
    return this.#isLive ? Math.max(this.#cursor, this.#host.position) : this.#cursor;
  }

  #fallBehind(position: number): void {
    this.#cursor = position;
    this.#isLive = false;
  }

  #join(channel: string, since: number): void {
    this.channels.set(channel, since);
    this.#host.join(channel, this);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return;
    this.#isScheduled = true;
    this.#host.schedule(this);
  }
}

/** Frames that several subscriptions share. */
export interface DeliveredFrames {
  readonly shared: SharedFrames;
  /** Number of events. */
  readonly count: number;
  /** Position of the last one. */
  readonly last: number;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}
