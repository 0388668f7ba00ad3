/** A session of a hub: an event stream that can join channels. */

import type { Delivery } from "../delivery/delivery.js";
import { Subscription } from "../delivery/subscription.js";
import { SseError } from "../errors.js";
import type { Cors } from "../http/cors.js";
import type { ChannelMap } from "../options/channels.js";
import type { ErrorStage, ResolvedOptions } from "../options/hub.js";
import { resolveOpenOptions } from "../options/open.js";
import type { OpenOptions } from "../options/open.js";
import { checkChannels, checkSubscribeOptions } from "../options/subscribe.js";
import type { SubscribeOptions } from "../options/subscribe.js";
import { afterTurn } from "../outlet/after-turn.js";
import type { Outlet } from "../outlet/outlet.js";
import { EventStream } from "../session/event-stream.js";
import type { Obstacle } from "../session/reception.js";
import type { CloseReason, OwnedSession } from "../session/session.js";
import type { Admission } from "./admission.js";
import { Arrival, Call } from "./arrival.js";
import type { Held } from "./held.js";
import type { Sessions } from "./sessions.js";

/** What all sessions of a hub share. */
export interface HubParts<Owner> {
  readonly hub: Owner;
  readonly options: ResolvedOptions;
  readonly cors: Cors | undefined;
  readonly sessions: Sessions;
  readonly admission: Admission;
  /** Takes the clients that are turned away. */
  readonly held: Held;
  /** A stream has started. */
  opened(session: EventStream): void;
  /** A stream that had started takes no more messages. */
  closed(session: EventStream, reason: CloseReason): void;
  /** A client has come for a stream and gets none. */
  turnedAway(): void;
  /** Something failed where no caller can catch it. */
  report(error: unknown, stage: ErrorStage): void;
}

/** How long a log that is starting may hold back the head of a stream, in milliseconds. */
const HOLD_MS = 1_000;

// Shared by all calls that need not wait.
const SUBSCRIBED: Promise<boolean> = Promise.resolve(true);
const REFUSED: Promise<boolean> = Promise.resolve(false);

/** An event stream that can join the channels of its hub. */
export class HubSession<Owner>
  extends EventStream
  implements OwnedSession<Owner, ChannelMap, unknown>
{
  readonly #parts: HubParts<Owner>;
  /** Set while a `subscribe` waits for something. */
  #arrival: Arrival | undefined;

  constructor(outlet: Outlet, parts: HubParts<Owner>) {
    super(outlet);
    this.#parts = parts;
    this.closeIfGone();
  }

  get hub(): Owner {
    return this.#parts.hub;
  }

  /** Place in the log; `undefined` until a `subscribe` has taken effect. */
  get #subscription(): Subscription | undefined {
    // Only this class gives its outlet something to read.
    return this.outlet.reader as Subscription | undefined;
  }

  protected get options(): ResolvedOptions {
    return this.#parts.options;
  }

  protected get cors(): Cors | undefined {
    return this.#parts.cors;
  }

  subscribe(
    channels: string | readonly string[],
    options: SubscribeOptions = {},
  ): Promise<boolean> {
    this.claimChannels();
    const names = checkChannels(channels);
    checkSubscribeOptions(options);
    if (options.open !== undefined) this.#checkOpen(options.open);
    const isFirst = !this.hasIdsOfLog;
    this.giveIdsToLog();
    if (this.closeReason !== undefined) return REFUSED;
    const { admission } = this.#parts;
    // A client that gets no stream in any case is not asked about: it may not even be logged in any more.
    const open = this.#arrival?.open ?? options.open;
    if (admission.isAsking && this.dismiss(open)) return this.#whenDismissed();
    const verdict = admission.decide(names, this);
    // What `authorize` does may have closed the session: nobody waits for its answer any more.
    if (this.closeReason !== undefined) {
      if (verdict !== true) verdict.catch((error: unknown) => this.report(error, "authorize"));
      return REFUSED;
    }
    const isReady = verdict === true && admission.delivery !== undefined;
    // Calls of later turns have no part in a replay, whatever became of the first.
    const lastEventId = isFirst ? this.lastEventId : "";
    if (!isReady || lastEventId !== "") this.#arrival ??= this.#arrive(lastEventId);
    const arrival = this.#arrival;
    const isReplayed = arrival?.isFirstTurn === true && (isFirst || options.snapshot === undefined);
    if (isReady) {
      const part = { isReplayed, isFirst, isEarly: false };
      return this.#follow(names, options, part) ? SUBSCRIBED : REFUSED;
    }
    const isAwaited = admission.delivery === undefined || arrival?.isFirstTurn === true;
    const givesFirstState = isFirst && options.snapshot !== undefined;
    const call = new Call(names, {
      isReplayed,
      isAwaited,
      isFirst,
      givesFirstState,
      open: options.open,
    });
    arrival?.calls.add(call);
    return this.#wait(call, options, verdict);
  }

  unsubscribe(channels: string | readonly string[]): void {
    const names = checkChannels(channels);
    for (const call of this.#arrival?.calls ?? []) call.leave(names);
    this.#subscription?.leave(names);
  }

  /** As {@link EventStream.open}. The `open` options of a waiting `subscribe` apply to whichever call opens the stream. */
  override open(options?: OpenOptions): boolean {
    return super.open(options ?? (this.state === "idle" ? this.#arrival?.open : undefined));
  }

  /**
   * Called before an event is published that this session must not get.
   *
   * @returns Says which: its id; `undefined` if it was not published. `undefined` if there is nothing to pass over.
   */
  except(): ((id: string | undefined) => void) | undefined {
    const subscription = this.#subscription;
    const own = this.#parts.admission.delivery?.own;
    if (this.closeReason !== undefined || subscription === undefined) return undefined;
    const settled = subscription.except();
    return (id) => {
      const read = id === undefined ? undefined : own?.whenRead(id);
      if (read === undefined) settled(id);
      else void read.then(() => settled(id));
    };
  }

  report(error: unknown, stage: ErrorStage): void {
    this.#parts.report(error, stage);
  }

  protected onceDecided(fn: () => void): void {
    const arrival = this.#arrival;
    if (arrival === undefined || arrival.calls.size === 0) this.#onceRead(fn);
    else arrival.whenDecided(() => this.#onceRead(fn));
  }

  protected turnAway(): Obstacle | undefined {
    return this.#parts.sessions.obstacleFor(this.outlet.server);
  }

  protected turnedAway(): void {
    this.#parts.turnedAway();
  }

  protected handOver(waitMs: number): void {
    this.#parts.held.take(this.outlet, waitMs);
  }

  protected waiting(): void {
    this.#parts.sessions.waiting.add(this);
    this.outlet.wait(true);
  }

  protected started(): void {
    this.#parts.sessions.started(this);
    this.#parts.opened(this);
  }

  protected left(reason: CloseReason): void {
    if (this.#parts.sessions.left(this)) this.#parts.closed(this, reason);
    // Nothing that the application has not settled may keep this session alive.
    for (const call of this.#arrival?.calls ?? []) call.leave([...call.channels]);
  }

  /** An event whose `publish` has resolved may still be on its way back from the log: it is sent first. */
  #onceRead(fn: () => void): void {
    const read = this.#subscription && this.#parts.admission.delivery?.own.whenRead();
    if (read === undefined) fn();
    else void read.then(fn);
  }

  /** @returns `false`, as soon as the client is answered. */
  #whenDismissed(): Promise<boolean> {
    if (this.closeReason !== undefined) return REFUSED;
    return new Promise((resolve) => void this.whenClosed(() => resolve(false)));
  }

  /** @throws {SseError} `ERR_SSE_INVALID_OPTION`, or `ERR_SSE_HEADERS_SENT` if it was decided already how the stream opens. */
  #checkOpen(open: OpenOptions): void {
    resolveOpenOptions(open, this.options);
    if (
      this.closeReason !== undefined ||
      (this.state === "idle" && this.#arrival?.open === undefined)
    )
      return;
    throw new SseError(
      "ERR_SSE_HEADERS_SENT",
      "The stream is open, or another subscribe() has said how it opens: pass `open` to the first call",
    );
  }

  #arrive(lastEventId: string): Arrival {
    const arrival = new Arrival(lastEventId);
    if (this.outlet.place === undefined) this.waiting();
    if (arrival.isFirstTurn) {
      afterTurn(() => {
        arrival.isFirstTurn = false;
        this.#settle(arrival);
      });
    }
    return arrival;
  }

  /** Waits for `authorize` and for the log. @returns As `subscribe`. */
  async #wait(
    call: Call,
    options: SubscribeOptions,
    verdict: true | Promise<string[]>,
  ): Promise<boolean> {
    const arrival = this.#arrival;
    // Cancelled, closed, or the route has answered meanwhile.
    const isOver = (): boolean =>
      call.channels.size === 0 ||
      this.closeReason !== undefined ||
      (this.state === "idle" && this.outlet.isHeadSent);
    try {
      const refused = verdict === true ? [] : await Promise.race([verdict, call.cancelled]);
      if (isOver()) return false;
      if (refused?.some((channel) => call.channels.has(channel)) === true) {
        this.refuseWith(
          new SseError("ERR_SSE_FORBIDDEN", "The client may not subscribe to this channel", {
            statusCode: 403,
          }),
          "refused",
        );
        return false;
      }
      const isEarly = this.#parts.admission.delivery === undefined;
      await this.#logStarted(call);
      const { isReplayed, isFirst } = call;
      return (
        !isOver() && this.#follow([...call.channels], options, { isReplayed, isFirst, isEarly })
      );
    } catch (error) {
      this.report(error, "authorize");
      this.refuseWith(error, "error");
      return false;
    } finally {
      arrival?.decided(call);
      if (arrival !== undefined) this.#settle(arrival);
    }
  }

  /**
   * Settles once the log has a position, or never will. For a moment the head is held back, so that a stream begins at a
   * position from which nothing is missed. Then it goes out all the same: a client without an answer would give up.
   */
  async #logStarted(call: Call): Promise<void> {
    const { admission } = this.#parts;
    if (admission.delivery !== undefined) return;
    let forget = (): void => {};
    let forgetClosed = (): void => {};
    const timer = setTimeout(() => {
      if (this.state !== "idle" || !this.outlet.isHeadSent) this.open();
    }, HOLD_MS);
    const started = new Promise<void>((resolve) => {
      forget = admission.whenStarted(resolve);
      forgetClosed = this.whenClosed(() => resolve());
    });
    await Promise.race([started, call.cancelled]);
    clearTimeout(timer);
    forget();
    forgetClosed();
  }

  /** A call takes effect. @returns As `subscribe`. */
  #follow(
    channels: readonly string[],
    options: SubscribeOptions,
    { isReplayed, isFirst, isEarly }: { isReplayed: boolean; isFirst: boolean; isEarly: boolean },
  ): boolean {
    const { delivery } = this.#parts.admission;
    if (delivery === undefined) {
      // Closed before it could start: answered like any other request to a closed hub.
      if (this.dismiss(options.open)) return false;
      this.refuseWith(new Error("The log has not started"), "error");
      return false;
    }
    const subscription = this.#subscription ?? this.#beginStream(delivery, { isFirst, isEarly });
    const arrival = this.#arrival;
    // Where a channel of an early call began is not known: it has a part in the replay, or in the reset. Beside a replay
    // one with a snapshot begins where that is taken.
    const isTaken = arrival?.lastEventId !== "" && options.snapshot !== undefined;
    const isUnknown = isEarly && arrival?.isUnplaced === true && !isTaken;
    const isPartOfReplay = isReplayed || isUnknown;
    subscription.join(channels, options, { isReplayed: isPartOfReplay, comesFirst: isFirst });
    // After that: what the client is welcomed with goes out with the first bytes of the stream.
    return this.open(this.state === "idle" ? options.open : undefined);
  }

  /** The first call takes effect. */
  #beginStream(
    { audience }: Delivery,
    { isFirst, isEarly }: { isFirst: boolean; isEarly: boolean },
  ): Subscription {
    const subscription = new Subscription(this.outlet, audience);
    const arrival = this.#arrival;
    // A stream that opened before the log had a position may have missed what was published in between.
    const isUnplaced =
      arrival !== undefined && (arrival.lastEventId !== "" || (isEarly && this.state !== "idle"));
    if (isUnplaced) {
      arrival.isUnplaced = true;
      subscription.beginLater(arrival.lastEventId !== "");
    } else {
      // Another call may take effect before the first one.
      const awaitsFirstState = !isFirst && arrival?.isFirstStatePending === true;
      if (arrival !== undefined) arrival.awaitsFirstState = awaitsFirstState;
      subscription.begin(awaitsFirstState);
    }
    return subscription;
  }

  /** Something that the session waits for is decided. */
  #settle(arrival: Arrival): void {
    if (this.#arrival !== arrival) return;
    if (arrival.isUnplaced && arrival.isComplete) {
      arrival.isUnplaced = false;
      this.#subscription?.place(arrival.lastEventId);
    }
    if (arrival.awaitsFirstState && !arrival.isFirstStatePending) {
      arrival.awaitsFirstState = false;
      this.#subscription?.firstStateDecided();
    }
    if (arrival.isFirstTurn || arrival.calls.size > 0) return;
    this.#arrival = undefined;
    // Every call was cancelled: the route may still answer in any other way.
    if (this.state !== "idle") return;
    this.#parts.sessions.waiting.delete(this);
    this.outlet.wait(false);
  }
}
