/** A hub's session: an event stream that can join channels. */

import type { Delivery } from "../delivery/delivery.js";
import type { LogStart } from "../delivery/log-start.js";
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
import { HOLD_MS } from "./hold.js";
import type { Sessions } from "./sessions.js";

/** State shared by all sessions of a hub. */
export interface HubParts<Owner> {
  readonly hub: Owner;
  readonly options: ResolvedOptions;
  readonly cors: Cors | undefined;
  readonly sessions: Sessions;
  readonly admission: Admission;
  readonly log: LogStart;
  /** Holds the clients that are turned away. */
  readonly held: Held;
  /** A stream has started, after the session has waited for a time. */
  opened(session: HubSession<Owner>, waitMs: number): void;
  /** A started stream accepts no more messages, after a time. */
  closed(session: HubSession<Owner>, reason: CloseReason, lifetimeMs: number): void;
  /** A client that asked for a stream was turned away. */
  turnedAway(): void;
  /** An error occurred that no caller can catch. */
  report(error: unknown, stage: ErrorStage): void;
}

// Shared by all calls that do not have to wait.
const SUBSCRIBED: Promise<boolean> = Promise.resolve(true);
const REFUSED: Promise<boolean> = Promise.resolve(false);

/** An event stream that can join channels of its hub. */
export class HubSession<Owner>
  extends EventStream
  implements OwnedSession<Owner, ChannelMap, unknown>
{
  readonly #parts: HubParts<Owner>;
  /** Start of the stream; before that, of the session. V8 would store a fraction as a separate object. */
  #since: number = Math.floor(performance.now());
  /** Set while a `subscribe` is waiting. */
  #arrival: Arrival | undefined;

  constructor(outlet: Outlet, parts: HubParts<Owner>) {
    super(outlet);
    this.#parts = parts;
    this.closeIfGone();
  }

  get hub(): Owner {
    return this.#parts.hub;
  }

  /** The stream's subscription to the log; `undefined` until a `subscribe` has taken effect. */
  get #subscription(): Subscription | undefined {
    // Only this class sets the outlet's reader.
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
    const { admission, log } = this.#parts;
    // Checked before `authorize`: a client that cannot get a stream may not even be logged in.
    const open = this.#arrival?.open ?? options.open;
    if (admission.isAsking && this.dismiss(open)) return this.#whenDismissed();
    const verdict = admission.decide(names, this);
    // `authorize` may have closed the session, so its answer no longer matters.
    if (this.closeReason !== undefined) {
      if (verdict !== true) verdict.catch((error: unknown) => this.report(error, "authorize"));
      return REFUSED;
    }
    const isReady = verdict === true && log.delivery !== undefined;
    // Calls of later turns take no part in the replay, regardless of what happened to the first.
    const lastEventId = isFirst ? this.lastEventId : "";
    if (!isReady || lastEventId !== "") this.#arrival ??= this.#arrive(lastEventId);
    const arrival = this.#arrival;
    const isReplayed = arrival?.isFirstTurn === true && (isFirst || options.snapshot === undefined);
    if (isReady) {
      const part = { isReplayed, isFirst, isEarly: false };
      const isSubscribed = this.#follow(names, options, part);
      // The calls of the first turn may all have been cancelled: the stream waits for no call of a later turn.
      if (arrival !== undefined) this.#settle(arrival);
      return isSubscribed ? SUBSCRIBED : REFUSED;
    }
    const isAwaited = log.delivery === undefined || arrival?.isFirstTurn === true;
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

  /**
   * Like {@link EventStream.open}. The `open` options of a waiting `subscribe` apply to whichever call opens the
   * stream.
   */
  override open(options?: OpenOptions): boolean {
    return super.open(options ?? (this.state === "idle" ? this.#arrival?.open : undefined));
  }

  /**
   * Called before the publish of an event that this session must not get.
   *
   * @returns A function that takes the event's id, or `undefined` if it was not published. `undefined` if the session
   *   has no subscription.
   */
  except(): ((id: string | undefined) => void) | undefined {
    const subscription = this.#subscription;
    const own = this.#parts.log.delivery?.own;
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
    const now = Math.floor(performance.now());
    this.#parts.opened(this, now - this.#since);
    this.#since = now;
  }

  protected left(reason: CloseReason): void {
    if (this.#parts.sessions.left(this)) {
      this.#parts.closed(this, reason, Math.max(0, Math.round(performance.now()) - this.#since));
    }
    // Promises that the application never settles must not keep this session alive.
    for (const call of this.#arrival?.calls ?? []) call.leave([...call.channels]);
  }

  /** Waits for events whose `publish` has resolved but which are still on their way back from the log. */
  #onceRead(fn: () => void): void {
    const read = this.#subscription && this.#parts.log.delivery?.own.whenRead();
    if (read === undefined) fn();
    else void read.then(fn);
  }

  /** @returns `false`, once the client has been answered. */
  #whenDismissed(): Promise<boolean> {
    if (this.closeReason !== undefined) return REFUSED;
    return new Promise((resolve) => void this.whenClosed(() => resolve(false)));
  }

  /**
   * @throws {SseError} `ERR_SSE_INVALID_OPTION`; `ERR_SSE_HEADERS_SENT` if the way the stream opens is already decided.
   */
  #checkOpen(open: OpenOptions): void {
    resolveOpenOptions(open, this.options);
    if (
      this.closeReason !== undefined ||
      (this.state === "idle" && this.#arrival?.open === undefined)
    )
      return;
    throw new SseError(
      "ERR_SSE_HEADERS_SENT",
      "The stream is already open, or another subscribe() call has set `open`: pass `open` to the first call",
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

  /** Waits for `authorize` and the log. @returns Same as `subscribe`. */
  async #wait(
    call: Call,
    options: SubscribeOptions,
    verdict: true | Promise<string[]>,
  ): Promise<boolean> {
    const arrival = this.#arrival;
    // Cancelled, closed, or answered by the route meanwhile.
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
      const isEarly = this.#parts.log.delivery === undefined;
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
   * Settles once the log has a position or never will. The head is held back for a moment, so that a stream begins at a
   * position from which it misses nothing. After that it is sent anyway, because a client without an answer would give
   * up.
   */
  async #logStarted(call: Call): Promise<void> {
    const { log } = this.#parts;
    if (log.delivery !== undefined) return;
    let forget = (): void => {};
    let forgetClosed = (): void => {};
    const timer = setTimeout(() => {
      if (this.state !== "idle" || !this.outlet.isHeadSent) this.open();
    }, HOLD_MS);
    const started = new Promise<void>((resolve) => {
      forget = log.whenSettled(resolve);
      forgetClosed = this.whenClosed(() => resolve());
    });
    await Promise.race([started, call.cancelled]);
    clearTimeout(timer);
    forget();
    forgetClosed();
  }

  /** Makes a call take effect. @returns Same as `subscribe`. */
  #follow(
    channels: readonly string[],
    options: SubscribeOptions,
    { isReplayed, isFirst, isEarly }: { isReplayed: boolean; isFirst: boolean; isEarly: boolean },
  ): boolean {
    const { delivery } = this.#parts.log;
    if (delivery === undefined) {
      // The hub closed before the log started: answered like any request to a closed hub.
      if (this.dismiss(options.open)) return false;
      this.refuseWith(new Error("The log has not started"), "error");
      return false;
    }
    const subscription = this.#subscription ?? this.#beginStream(delivery, { isFirst, isEarly });
    const arrival = this.#arrival;
    // The start of an early call's channels is unknown, so they take part in the replay or the reset. In a replay,
    // channels with a snapshot begin where the snapshot is taken instead.
    const isTaken = arrival?.lastEventId !== "" && options.snapshot !== undefined;
    const isUnknown = isEarly && arrival?.isUnplaced === true && !isTaken;
    const isPartOfReplay = isReplayed || isUnknown;
    subscription.join(channels, options, { isReplayed: isPartOfReplay, comesFirst: isFirst });
    // Opens last, so that the welcome is sent with the first bytes of the stream.
    return this.open(this.state === "idle" ? options.open : undefined);
  }

  /** Makes the first call take effect. */
  #beginStream(
    { audience }: Delivery,
    { isFirst, isEarly }: { isFirst: boolean; isEarly: boolean },
  ): Subscription {
    const subscription = new Subscription(this.outlet, audience);
    const arrival = this.#arrival;
    // A stream that opened before the log had a position may have missed events published in between.
    const isUnplaced =
      arrival !== undefined && (arrival.lastEventId !== "" || (isEarly && this.state !== "idle"));
    if (isUnplaced) {
      arrival.isUnplaced = true;
      subscription.beginLater(arrival.lastEventId !== "");
    } else {
      // Another call may take effect before the first.
      const awaitsFirstState = !isFirst && arrival?.isFirstStatePending === true;
      if (arrival !== undefined) arrival.awaitsFirstState = awaitsFirstState;
      subscription.begin(awaitsFirstState);
    }
    return subscription;
  }

  /** A decision that the session waited for has been made. */
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
    // Every call was cancelled: the route may still answer in its own way.
    if (this.state !== "idle") return;
    this.#parts.sessions.waiting.delete(this);
    this.outlet.wait(false);
  }
}
