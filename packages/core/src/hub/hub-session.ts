/** A hub's session: an event stream that can join channels. */

import type { Delivery } from "../delivery/delivery.js";
import type { LogStart } from "../delivery/log-start.js";
import { Subscription } from "../delivery/subscription.js";
import { SseError } from "../errors.js";
import type { Cors } from "../http/cors.js";
import type { ChannelMap } from "../options/channels.js";
import type { ErrorStage, ResolvedOptions } from "../options/hub.js";
import { expiredIdentity, resolveIdentity } from "../options/identity.js";
import { resolveOpenOptions } from "../options/open.js";
import type { OpenOptions } from "../options/open.js";
import { notKept, presenceOf, shownBy, subjectOf } from "../options/presence.js";
import { checkChannels, checkSubscribeOptions, checkSubscribed } from "../options/subscribe.js";
import type { SubscribeOptions } from "../options/subscribe.js";
import { afterTurn } from "../outlet/after-turn.js";
import type { Outlet } from "../outlet/outlet.js";
import type { Presence } from "../presence/presence.js";
import { EventStream } from "../session/event-stream.js";
import type { Obstacle } from "../session/reception.js";
import type { CloseReason, OwnedSession } from "../session/session.js";
import type { Admission } from "./admission.js";
import { Arrival, Call } from "./arrival.js";
import type { Held } from "./held.js";
import { HOLD_MS } from "./hold.js";
import type { Identities } from "./identities.js";
import type { Revalidation } from "./revalidation.js";
import type { Revocations } from "./revocations.js";
import type { Sessions } from "./sessions.js";

/** State shared by all sessions of a hub. */
export interface HubParts<Owner> {
  readonly hub: Owner;
  readonly options: ResolvedOptions;
  readonly cors: Cors | undefined;
  readonly sessions: Sessions;
  readonly admission: Admission;
  readonly log: LogStart;
  readonly identities: Identities<HubSession<Owner>>;
  readonly revocations: Revocations;
  /** `undefined` unless the hub keeps track of who is present. */
  readonly presence: Presence | undefined;
  /** `undefined` unless open sessions are checked again. */
  readonly revalidation: Revalidation | undefined;
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

/** How a call takes effect. */
interface Part extends Pick<Call, "isReplayed" | "isFirst"> {
  /** Whether the log had no position when the call was made. */
  readonly isEarly: boolean;
  /** Whether the stream is opened later. */
  readonly isHeld: boolean;
}

// Shared by all calls that do not have to wait.
const SUBSCRIBED: Promise<boolean> = Promise.resolve(true);
const REFUSED: Promise<boolean> = Promise.resolve(false);

/**
 * Sessions that were disconnected before the route used them, and whether for good. The route may still answer in any
 * other way. Too few to justify a field in each session.
 */
const DISCONNECTED = new WeakMap<object, boolean>();

/** Sessions that had closed when their stream started: too few to justify a field in each. */
const NEVER_PRESENT = new WeakSet<object>();

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
  /** `undefined` until `identify` was called; `false` if the client has no identity. */
  #identity: string | false | undefined;

  constructor(outlet: Outlet, parts: HubParts<Owner>) {
    super(outlet);
    this.#parts = parts;
    this.closeIfGone();
  }

  get hub(): Owner {
    return this.#parts.hub;
  }

  get identity(): string | undefined {
    if (this.#identity === undefined) this.#identify();
    return this.#identity === false ? undefined : this.#identity;
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
    const names = checkChannels(channels, checkSubscribed);
    this.#checkShown(names);
    checkSubscribeOptions(options);
    if (options.open !== undefined) this.#checkOpen(options.open);
    const isFirst = !this.hasIdsOfLog;
    this.giveIdsToLog();
    if (this.closeReason !== undefined || !this.#isAdmissible()) return REFUSED;
    const { admission, log } = this.#parts;
    // Calls of later turns take no part in the replay, regardless of what happened to the first.
    const lastEventId = isFirst ? this.lastEventId : "";
    const since = this.#arrival?.isFirstTurn === true ? this.#arrival.lastEventId : lastEventId;
    if (this.#isBarred(since, names)) {
      this.revoke("revoked", true);
      return this.#whenDismissed();
    }
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
    if (!isReady || lastEventId !== "") this.#arrival ??= this.#arrive(lastEventId);
    const arrival = this.#arrival;
    const isReplayed = arrival?.isFirstTurn === true && (isFirst || options.snapshot === undefined);
    if (isReady) {
      const reading = this.#readSince(since);
      const isHeld = reading !== undefined;
      const part = { isReplayed, isFirst, isEarly: false, isHeld };
      const isSubscribed = this.#follow(names, options, part);
      if (isHeld && arrival !== undefined) {
        const { open: given } = options;
        const call = new Call(names, {
          ...part,
          isAwaited: false,
          givesFirstState: false,
          open: given,
        });
        arrival.calls.add(call);
        return this.#openOnceRead(call, since, reading);
      }
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
    return this.#wait(call, options, verdict, since);
  }

  unsubscribe(channels: string | readonly string[]): void {
    const names = checkChannels(channels, checkSubscribed);
    for (const call of this.#arrival?.calls ?? []) call.leave(names);
    if (this.#isPresent()) {
      const left = names.filter((name) => this.follows(name));
      this.#parts.presence?.left(this.#identity as string, left);
    }
    this.#subscription?.leave(names);
  }

  /**
   * Like {@link EventStream.open}. The `open` options of a waiting `subscribe` apply to whichever call opens the
   * stream.
   */
  override open(options?: OpenOptions): boolean {
    const isAsked = this.state === "idle" && !this.outlet.isHeadSent;
    if (isAsked && !this.#isAdmissible()) return false;
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

  outletBeat(now: number): number {
    return this.#parts.revalidation?.beat(this, now) ?? Infinity;
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
    const { sessions, identities } = this.#parts;
    const obstacle = sessions.obstacleFor(this.outlet.server);
    if (obstacle !== undefined || typeof this.#identity !== "string") return obstacle;
    return identities.isFull(this.#identity) ? "busy" : undefined;
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
    // First, because application code that joins or leaves channels may run below.
    if (this.closeReason !== undefined) NEVER_PRESENT.add(this);
    else if (this.#isPresent()) {
      this.#parts.presence?.joined(this.#identity as string, this.#channels());
    }
    const now = Math.floor(performance.now());
    this.#parts.opened(this, now - this.#since);
    this.#since = now;
    // An observer may have closed it.
    if (typeof this.#identity !== "string" || this.closeReason !== undefined) return;
    this.#parts.identities.started(this.#identity, this);
  }

  protected left(reason: CloseReason): void {
    if (this.#parts.sessions.left(this)) {
      if (typeof this.#identity === "string" && !NEVER_PRESENT.delete(this)) {
        this.#parts.presence?.closed(this.#identity, this.#channels());
      }
      this.#parts.closed(this, reason, Math.max(0, Math.round(performance.now()) - this.#since));
    }
    if (typeof this.#identity === "string") this.#parts.identities.left(this.#identity, this);
    // Promises that the application never settles must not keep this session alive.
    for (const call of this.#arrival?.calls ?? []) call.leave([...call.channels]);
  }

  /** Whether the channels of the session show that its identity is present. */
  #isPresent(): boolean {
    if (this.#parts.presence === undefined || typeof this.#identity !== "string") return false;
    return this.openedAt !== undefined && this.closeReason === undefined;
  }

  #channels(): string[] {
    return this.#subscription?.channels.keys() ?? [];
  }

  /**
   * Checks that channels that show who is present can do so.
   *
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the hub does not keep track of it.
   */
  #checkShown(names: readonly string[]): void {
    for (const name of names) {
      const channel = shownBy(name);
      if (channel === undefined || this.#parts.presence?.isKept(channel) === true) continue;
      throw notKept(channel);
    }
  }

  /** Whether the session follows a channel. */
  follows(channel: string): boolean {
    return this.#subscription?.channels.has(channel) === true;
  }

  /** Asks the application who the client is. */
  #identify(): void {
    const { identify } = this.options;
    const given = identify === undefined ? undefined : resolveIdentity(identify(this.request));
    this.#identity = given?.id ?? false;
    if (given === undefined) return;
    const { id, expiresAt } = given;
    if (expiresAt !== Infinity) this.outlet.expireAt(performance.now() + expiresAt - Date.now());
    if (this.closeReason === undefined) this.#parts.identities.identified(id, this);
  }

  /** Finds out who the client is. @returns Whether it may have a stream; if not, it has its answer. */
  #isAdmissible(): boolean {
    if (this.#identity === undefined) {
      try {
        this.#identify();
      } catch (error) {
        this.report(error, "identify");
        this.refuseWith(error, "error");
        return false;
      }
    }
    if (this.state !== "idle") return true;
    const isFinal = DISCONNECTED.get(this);
    if (isFinal !== undefined) {
      DISCONNECTED.delete(this);
      this.revoke("revoked", isFinal);
      return false;
    }
    if (!this.outlet.isExpired) return true;
    this.refuseWith(expiredIdentity(), "refused");
    return false;
  }

  /**
   * Ends the session, if it concerns the channel.
   *
   * @param channel - `undefined`: in any case.
   * @param isFinal - Whether to tell the client not to reconnect.
   */
  disconnect(channel: string | undefined, isFinal: boolean): void {
    const calls = [...(this.#arrival?.calls ?? [])];
    const has = (name: string): boolean =>
      this.follows(name) || calls.some(({ channels }) => channels.has(name));
    // To see who is present takes the same right.
    if (channel !== undefined && !has(channel) && !has(presenceOf(channel))) return;
    // Whether the request gets a stream is still open.
    if (this.state === "idle" && this.#arrival === undefined) {
      DISCONNECTED.set(this, isFinal || DISCONNECTED.get(this) === true);
    } else {
      this.revoke("revoked", isFinal);
    }
  }

  /** Whether the client comes from before a final disconnect, as far as this process knows. */
  #isBarred(lastEventId: string, channels: Iterable<string>): boolean {
    const { revocations } = this.#parts;
    const identity = this.#identity;
    return (
      typeof identity === "string" && revocations.bars(identity, lastEventId, subjectsOf(channels))
    );
  }

  /** Whether this process knows of every final disconnect after an id. */
  #hasRead(id: string, { audience }: Delivery): boolean {
    return id === "" || typeof this.#identity !== "string" || audience.hasRead(id);
  }

  /**
   * Waits until this process knows of every final disconnect after an id that is still retained.
   *
   * @returns `undefined` if it does, or if the log has not started. Never settles if the session closes.
   */
  #readSince(id: string): Promise<void> | undefined {
    const { delivery } = this.#parts.log;
    if (delivery === undefined || this.#hasRead(id, delivery)) return undefined;
    return delivery.audience.readSince(id, () => this.closeReason === undefined);
  }

  /**
   * Opens the stream of a call that has taken effect, unless a final disconnect after an id turns up: after the head, the
   * client could not be answered 204.
   *
   * @returns Same as `subscribe`.
   */
  async #openOnceRead(call: Call, since: string, reading: Promise<void>): Promise<boolean> {
    const arrival = this.#arrival;
    await Promise.race([reading, call.cancelled]);
    let isOpen = false;
    // Otherwise the session has closed, or the route has answered.
    if (this.closeReason === undefined && !(this.state === "idle" && this.outlet.isHeadSent)) {
      if (this.#isBarred(since, call.channels)) this.revoke("revoked", true);
      else isOpen = this.open(this.state === "idle" ? call.open : undefined);
    }
    arrival?.decided(call);
    if (arrival !== undefined) this.#settle(arrival);
    return isOpen;
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
    since: string,
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
      if (isOver()) return false;
      if (this.#isBarred(since, call.channels)) {
        this.revoke("revoked", true);
        return false;
      }
      // The call takes effect in the turn in which the log starts, even if the head has to wait.
      const { isReplayed, isFirst } = call;
      const reading = this.#readSince(since);
      const isHeld = reading !== undefined;
      const part = { isReplayed, isFirst, isEarly, isHeld };
      const isSubscribed = this.#follow([...call.channels], options, part);
      return isHeld ? await this.#openOnceRead(call, since, reading) : isSubscribed;
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
    { isReplayed, isFirst, isEarly, isHeld }: Part,
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
    this.#join(subscription, channels, options, {
      isReplayed: isPartOfReplay,
      comesFirst: isFirst,
    });
    // Opens last, so that the welcome is sent with the first bytes of the stream.
    if (isHeld) return true;
    return this.open(this.state === "idle" ? options.open : undefined);
  }

  #join(
    subscription: Subscription,
    channels: readonly string[],
    options: SubscribeOptions,
    part: { readonly isReplayed: boolean; readonly comesFirst: boolean },
  ): void {
    const { presence } = this.#parts;
    if (presence === undefined) return subscription.join(channels, options, part);
    const shown: string[] = [];
    const others: string[] = [];
    for (const name of channels) {
      if (subscription.channels.has(name)) continue;
      const channel = shownBy(name);
      if (channel === undefined) others.push(name);
      else shown.push(channel);
    }
    if (this.#isPresent()) presence.joined(this.#identity as string, others);
    if (others.length > 0) subscription.join(others, options, part);
    // Each stream begins with who is present, also that of a client that resumes. One state for each channel: a reset
    // must not bring that of a channel left since.
    for (const channel of shown) {
      const snapshot = (): ReturnType<Presence["stateOf"]> => presence.stateOf(channel);
      const never = { isReplayed: false, comesFirst: false };
      subscription.join([presenceOf(channel)], { snapshot }, never);
    }
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

/** @returns The channels that decide who may subscribe. */
function* subjectsOf(names: Iterable<string>): Iterable<string> {
  for (const name of names) yield subjectOf(name);
}
