/** The implementation of a session, from the first call of a route to the end of the response. */

import { randomBytes } from "node:crypto";
import { SseError, describeValue } from "../errors.js";
import { namesEventStream } from "../http/accept.js";
import type { Cors, CorsHeaders } from "../http/cors.js";
import { setStreamHeaders } from "../http/head.js";
import { readLastEventId } from "../http/last-event-id.js";
import type { ChannelMap } from "../options/channels.js";
import type { ErrorStage, ResolvedOptions } from "../options/hub.js";
import { expiredIdentity } from "../options/identity.js";
import { resolveOpenOptions } from "../options/open.js";
import type { OpenOptions, ResolvedOpenOptions } from "../options/open.js";
import { Scope } from "../outlet/async-context.js";
import { cutUnlessSent } from "../outlet/last-bytes.js";
import type { Outlet, OutletFault, OutletFaultDetails, OutletOwner } from "../outlet/outlet.js";
import { breathe } from "../outlet/pace.js";
import { COMPLETE, encodeCommentFrame, encodeFrame, encodeLast } from "../wire/frame.js";
import type { EventMessage, LastMessage, SseMessage } from "../wire/message.js";
import { abortOf } from "./abort.js";
import { pump } from "./pump.js";
import type { MapItem, StreamOptions } from "./pump.js";
import { receive } from "./reception.js";
import type { Obstacle, Reception } from "./reception.js";
import type { CloseReason, OwnedSession, SessionState } from "./session.js";
import type { StreamSource } from "./source.js";

/** Close reasons of a session that the hub cannot admit. */
const REASONS = { shutdown: "shutdown", busy: "refused" } as const;

/** Reasons with which the hub ends a stream although its client should reconnect. */
const COMES_BACK: ReadonlySet<CloseReason> = new Set(["shutdown", "expired", "slow"]);

// Two promises for all messages that need not wait: creating one for each would be most of the cost of a send.
const SENT: Promise<boolean> = Promise.resolve(true);
const GONE: Promise<boolean> = Promise.resolve(false);

/** Sessions whose `complete()` is waiting: too few to justify a field in each session. */
const COMPLETING = new WeakSet<object>();

/** Settings with which a stream opens. */
interface Opening extends ResolvedOpenOptions {
  /** Whether the route has nothing to send: the answer is 204, which stops a client from reconnecting. */
  readonly isCompleted?: boolean;
  /** Why the session closes with that answer. Absent: `completed`. */
  readonly reason?: CloseReason;
  /** The answer, if already decided; absent: decided when the client is answered. */
  readonly reception?: Reception;
}

/** Start of the clock of `openedAt`: V8 stores whole numbers this small without an object. */
const CLOCK_START: number = Date.now();

/** Random bytes of a session's id. */
const ID_BYTES = 16;

/** The part of a session without channels. The hub adds the rest. */
type Stream = Omit<
  OwnedSession<unknown, ChannelMap, unknown>,
  "hub" | "identity" | "subscribe" | "unsubscribe"
>;

/**
 * One event stream to one client, without channels.
 *
 * It has the states of its outlet until it is closed, which happens as soon as a reason is known. Bytes accepted before
 * may still be on their way then.
 */
export abstract class EventStream implements Stream, OutletOwner {
  /** Target of the stream's bytes. */
  readonly outlet: Outlet;
  /** Set exactly while the session is closed. */
  #reason: CloseReason | undefined;
  /** Set while CORS is being evaluated, or while the response waits for its connection. */
  #opening: Opening | undefined;
  /** `undefined` until `signal` is read. */
  #signal: { readonly controller: AbortController; readonly scope: Scope } | undefined;
  /** `undefined` while there are no listeners. */
  #onClose: Set<(reason: CloseReason) => void> | undefined;
  /** Source of the ids: the log once `subscribe` was called, the application once `send` has written one. */
  #ids: "log" | "own" | undefined;
  /** `undefined` until it is read. */
  #id: string | undefined;
  /** When the stream started, in milliseconds after `CLOCK_START`; `undefined` before. */
  #openedAt: number | undefined;

  constructor(outlet: Outlet) {
    this.outlet = outlet;
    outlet.owner = this;
  }

  /** Options of the hub. */
  protected abstract readonly options: ResolvedOptions;
  /** The hub's CORS; `undefined` if it has none. */
  protected abstract readonly cors: Cors | undefined;
  /** @returns Why the hub can open no more streams; `undefined` if it can. */
  protected abstract turnAway(): Obstacle | undefined;
  /** An obstacle has kept the client from getting a stream. */
  protected abstract turnedAway(): void;
  /**
   * Hands a turned-away client over to the hub, which answers it. The session has closed, and the headers are set.
   *
   * @param waitMs - Time after which the client should reconnect.
   */
  protected abstract handOver(waitMs: number): void;
  /** The session waits before its stream can start: for a decision, or for its turn on the connection. */
  protected abstract waiting(): void;
  /** The stream starts. */
  protected abstract started(): void;
  /** The session accepts no more messages. Called again if its stream starts after that. */
  protected abstract left(reason: CloseReason): void;
  /** Calls a function once every earlier request to the session has taken effect, unless it closes first. */
  protected abstract onceDecided(fn: () => void): void;
  /** Reports an error that no caller can catch. */
  abstract report(error: unknown, stage: ErrorStage): void;

  get request(): unknown {
    return this.outlet.context;
  }

  get id(): string {
    this.#id ??= randomBytes(ID_BYTES).toString("base64url");
    return this.#id;
  }

  get openedAt(): number | undefined {
    return this.#openedAt === undefined ? undefined : CLOCK_START + this.#openedAt;
  }

  get state(): SessionState {
    if (this.#reason !== undefined) return "closed";
    const { phase } = this.outlet;
    return phase === "open" || phase === "idle" ? phase : "connecting";
  }

  get closeReason(): CloseReason | undefined {
    return this.#reason;
  }

  get wantsEventStream(): boolean {
    return namesEventStream(this.outlet.request.headers.accept);
  }

  get lastEventId(): string {
    const { headers, url } = this.outlet.request;
    return readLastEventId(headers["last-event-id"], url ?? "");
  }

  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      this.#signal = { controller: new AbortController(), scope: new Scope() };
      if (this.#reason !== undefined) this.#signal.controller.abort(abortOf(this.#reason));
    }
    return this.#signal.controller.signal;
  }

  get bufferedBytes(): number {
    return this.#reason === undefined ? this.outlet.acceptedBytes : 0;
  }

  open(options?: OpenOptions): boolean {
    if (this.#reason !== undefined) return false;
    const { outlet } = this;
    if (outlet.phase !== "idle") {
      if (options === undefined) return true;
      throw headersSent(
        "The stream is open: pass options to the first open(), before anything is sent",
      );
    }
    const resolved = resolveOpenOptions(options, this.options);
    if (outlet.isHeadSent) {
      throw headersSent("The response has already been sent: open the stream first, or not at all");
    }
    return this.#open(resolved);
  }

  #open(opening: Opening): boolean {
    const { outlet } = this;
    if (outlet.isClosed) {
      this.#finish("client");
      return false;
    }
    outlet.open(opening.reconnectionTimeMs);
    this.#opening = opening;
    const { cors } = this;
    if (cors === undefined) this.#goOn();
    else
      cors.actual(outlet.request, outlet.headers, (error, headers) => this.#goOn(error, headers));
    // Either CORS is asynchronous, or earlier responses on this connection come first.
    if (this.#opening !== undefined && this.#reason === undefined) this.waiting();
    return this.#reason === undefined;
  }

  send(message: SseMessage | string, more?: unknown): Promise<boolean> {
    if (this.#reason !== undefined) return GONE;
    if (more !== undefined) throw twoArguments(message);
    const frame = encodeFrame(message, this.options);
    if (typeof message === "string") return this.#send(frame, true, undefined);
    const { id, data, retry } = message;
    if (id !== undefined) this.#claimIds();
    return this.#send(frame, data !== undefined, retry);
  }

  /** Same as `send`, for a message whose data is already text. */
  static sendSerialized(stream: EventStream, message: EventMessage): Promise<boolean> {
    if (stream.#reason !== undefined) return GONE;
    const { maxEventBytes, serialize } = stream.options;
    const frame = encodeFrame(message as SseMessage, { maxEventBytes, serialize });
    if (message.id !== undefined) stream.#claimIds();
    return stream.#send(frame, message.data !== undefined, message.retry);
  }

  comment(text: string): Promise<boolean> {
    if (this.#reason !== undefined) return GONE;
    return this.#send(encodeCommentFrame(text, this.options), false, undefined);
  }

  stream<Item>(
    source: StreamSource<Item>,
    options?: MapItem<Item> | StreamOptions<Item>,
  ): Promise<boolean> {
    return pump(source, options, this);
  }

  close(): void {
    this.endWith("ended");
  }

  complete(last?: LastMessage | string): Promise<boolean> {
    if (this.#reason !== undefined || COMPLETING.has(this)) return GONE;
    const frame =
      last === undefined ? undefined : encodeLast(last, this.options, this.wantsEventStream);
    if (last !== undefined && this.outlet.phase === "idle" && this.outlet.isHeadSent) {
      throw headersSent("The response has already been sent: complete the stream first");
    }
    const retry = typeof last === "object" ? last.retry : undefined;
    COMPLETING.add(this);
    return new Promise((resolve) => {
      this.whenClosed((reason) => resolve(reason === "completed" && this.outlet.whenSent()));
      this.onceDecided(() => {
        // The client will not reconnect for missed events, so it first gets everything published so far.
        const { reader } = this.outlet;
        if (reader === undefined) this.#complete(frame, retry);
        else reader.finish(() => this.#complete(frame, retry));
      });
    });
  }

  onClose(fn: (reason: CloseReason) => void): () => void {
    if (typeof fn !== "function") {
      throw new SseError(
        "ERR_SSE_INVALID_OPTION",
        `Expected onClose() to get a function, got ${describeValue(fn)}`,
      );
    }
    if (this.#reason === undefined) return this.whenClosed(fn);
    this.#tell(fn, this.#reason);
    return () => {};
  }

  /** Same as `onClose`, for a session that is open. The returned function removes the listener. */
  whenClosed(fn: (reason: CloseReason) => void): () => void {
    const scope = new Scope();
    // Wrapped, so that a function registered twice is called twice.
    const listener = (reason: CloseReason): void => scope.runInAsyncScope(fn, undefined, reason);
    this.#onClose ??= new Set();
    this.#onClose.add(listener);
    return () => void this.#onClose?.delete(listener);
  }

  /** Ends the stream for a shutdown, without a final message: the client already has its reconnection time. */
  shutDown(): void {
    this.endWith("shutdown");
  }

  /** Cuts the connection, whatever is still buffered. */
  destroy(): void {
    this.#finish("shutdown");
    this.outlet.destroy();
  }

  /** Closes the session: a newer one of the same client takes its place, and this one must not come back. */
  replace(): void {
    this.endWith("replaced", this.#toldToStay);
  }

  /**
   * Ends the session without what is due: its client may not have that any more. Bytes that still wait for the socket
   * are dropped, with the connection: at once if the socket has asked to wait, otherwise unless they leave
   * within milliseconds.
   *
   * @param reason - `revoked` or `error`.
   * @param isFinal - Whether to tell the client not to reconnect. One that has no stream yet is answered 204; otherwise
   *   it gets an empty stream.
   */
  revoke(reason: CloseReason, isFinal: boolean): void {
    if (this.#reason !== undefined) return;
    const { outlet } = this;
    if (outlet.phase === "idle") {
      if (outlet.isHeadSent) return this.#finish(reason);
      if (isFinal) {
        const options = resolveOpenOptions(undefined, this.options);
        this.#open({ ...options, isCompleted: true, reason });
        return this.#finish(reason);
      }
      if (!this.open()) return;
    }
    outlet.dropHeld();
    const isBackedUp = outlet.isOpen && outlet.isBlocked;
    // Node holds back what was written in this turn, so these bytes do not tell whether the client reads.
    const isUndecided = outlet.isOpen && !isBackedUp && outlet.bufferedBytes > 0;
    const last = isFinal && !isBackedUp ? this.#toldToStay : undefined;
    if (last !== undefined) outlet.send(last);
    const { isOpen } = outlet;
    this.#finish(reason);
    if (isBackedUp) outlet.destroy();
    // Otherwise the outlet ends itself, once its head is sent.
    else if (isOpen) outlet.end();
    if (isUndecided) cutUnlessSent(outlet);
  }

  /** Whether the client has its answer, or no longer needs one. */
  get isAnswered(): boolean {
    return this.outlet.isHeadSent || this.outlet.isClosed;
  }

  /**
   * Answers a client that does not get a stream whatever the route sends: it is turned away, does not accept event
   * streams, or reconnects after `complete()`.
   *
   * CORS may be evaluated before the answer, but the decision stands. If a stream were opened because there is room
   * by now, `authorize` would not have approved it.
   *
   * @param options - Options with which the route would open the stream.
   * @returns Whether the client is one of these.
   */
  protected dismiss(options: OpenOptions | undefined): boolean {
    if (this.#opening?.reception !== undefined) return true;
    if (this.state !== "idle") return false;
    const { outlet } = this;
    const obstacle = this.turnAway();
    const { checkAccept = this.options.checkAccept } = options ?? {};
    // Earlier responses on the connection may have made room by the time it is this one's turn.
    const isPassing = obstacle === "busy" && outlet.isQueued;
    const reception = receive(outlet.request, isPassing ? undefined : obstacle, { checkAccept });
    if (reception.kind === "stream" || reception.kind === "head") return false;
    this.#open({ ...resolveOpenOptions(options, this.options), reception });
    return true;
  }

  /** Refuses the request: the stream does not open, or ends if it is open. */
  refuseWith(error: unknown, reason: CloseReason): void {
    if (this.state !== "idle") return this.endWith(reason);
    // The route has answered while the client was being checked.
    if (this.outlet.isHeadSent) return this.#finish(reason);
    this.#refuse(error, reason);
  }

  outletReady(): void {
    this.#goOn();
  }

  outletFailed(fault: OutletFault, details: OutletFaultDetails = {}): void {
    if (fault === "expired") return this.endWith("expired");
    if (fault === "slow") return this.#finish("slow");
    if (!("error" in details)) return this.fail(details.last);
    this.#finish("error");
    this.report(details.error, "write");
  }

  outletClosed(by: "client" | "server"): void {
    this.#finish(by === "client" ? "client" : "ended");
  }

  /** Closes the session because the framework, a source or a snapshot has failed. */
  fail(last?: Uint8Array): void {
    if (this.#reason !== undefined || this.outlet.phase === "idle") return;
    this.endWith("error", this.outlet.isOpen ? last : undefined);
  }

  /** Closes the session because a source has failed, optionally with a last message. */
  failWith(last: (() => SseMessage | string | undefined) | undefined): void {
    if (this.#reason !== undefined) return;
    let frame: Buffer | undefined;
    let fields: Partial<SseMessage> = {};
    try {
      const message = last?.();
      if (message !== undefined) {
        frame = encodeFrame(message, this.options);
        fields = typeof message === "string" ? { data: message } : message;
        if (fields.id !== undefined) this.#claimIds();
      }
    } catch (error) {
      frame = undefined;
      this.report(error, "source");
    }
    if (frame === undefined) return this.fail();
    const { outlet } = this;
    this.#writeDue();
    this.endWith("error", outlet.introduce(frame, fields.data !== undefined, fields.retry));
  }

  /** @throws {SseError} `ERR_SSE_ID_RESERVED` or `ERR_SSE_HEADERS_SENT` if the stream cannot have channels. */
  protected claimChannels(): void {
    if (this.#ids === "own") {
      throw new SseError(
        "ERR_SSE_ID_RESERVED",
        "A stream that subscribes gets its ids from the log: send no id before",
      );
    }
    if (this.state === "idle" && this.outlet.isHeadSent) {
      throw headersSent("The response has already been sent: subscribe first, or not at all");
    }
  }

  /** For subclasses, after construction: closes the session if its client has already left and emits no more events. */
  protected closeIfGone(): void {
    const { outlet } = this;
    if (outlet.isOver || (outlet.isClosed && !outlet.isHeadSent)) {
      this.#finish(outlet.isHeadSent ? "ended" : "client");
    }
  }

  /** Whether `subscribe` was called, so that the stream's ids come from the log. */
  protected get hasIdsOfLog(): boolean {
    return this.#ids === "log";
  }

  /** From now on the stream's ids come from the log. */
  protected giveIdsToLog(): void {
    this.#ids = "log";
  }

  /** Writes everything published or sent before the end, even if the stream has not begun. */
  #writeDue(): void {
    this.outlet.reader?.catchUp();
    this.outlet.begun();
  }

  /** Ends the stream, optionally with one last frame. Idempotent. */
  protected endWith(reason: CloseReason, last?: Uint8Array): void {
    if (this.#reason !== undefined) return;
    const { outlet } = this;
    if (outlet.phase === "idle" && (outlet.isHeadSent || !this.open())) return this.#finish(reason);
    this.#writeDue();
    // This may have called application code that closed the session.
    if (this.state === "closed") return;
    if (last !== undefined) outlet.send(last);
    const isOpen = outlet.isOpen;
    this.#finish(reason);
    // Otherwise the outlet ends itself, once the head and held frames are written.
    if (isOpen) outlet.end();
  }

  /**
   * Continues `open()` once CORS is decided or it is the response's turn, which may have taken a while. Also for a
   * session that has closed meanwhile, because its client still needs an answer.
   */
  #goOn(error?: unknown, corsHeaders?: CorsHeaders): void {
    const opening = this.#opening;
    if (opening === undefined) return;
    const { outlet } = this;
    // The response was answered elsewhere, or the client has left.
    if (outlet.isHeadSent || outlet.isClosed) {
      this.#opening = undefined;
      if (error !== undefined && error !== null) this.report(error, "cors");
      return this.#finish(outlet.isHeadSent ? "ended" : "client");
    }
    if (error !== undefined && error !== null) {
      if (!outlet.hasErrorHandler) this.report(error, "cors");
      return this.#refuse(error, "refused");
    }
    try {
      for (const [name, value] of corsHeaders ?? []) outlet.headers.setHeader(name, value);
      this.#connect(opening);
    } catch (fault) {
      this.#headFailed(fault);
    }
  }

  /** The second half of `open()`. */
  #connect(opening: Opening): void {
    const { outlet } = this;
    // A response that waits for earlier ones on its connection is not an open stream yet: it would count towards the
    // limit for as long as the first of them lasts.
    if (outlet.isQueued) return outlet.awaitTurn();
    this.#opening = undefined;
    const reception = opening.reception ?? receive(outlet.request, this.turnAway(), opening);
    const hasStream = reception.kind === "stream" || reception.kind === "head";
    // CORS or earlier responses on the connection may have taken longer than the client's credentials last.
    if (hasStream && outlet.isExpired) return this.#refuse(expiredIdentity(), "refused");
    switch (reception.kind) {
      case "refused":
        return this.#refuse(reception.error, "refused");
      case "completed":
        this.#answer(opening.reason ?? "completed", 204);
        return outlet.lastIsWritten();
      case "unavailable":
        this.turnedAway();
        outlet.headers.setHeader("Retry-After", String(Math.ceil(reception.waitMs / 1_000)));
        return this.#answer(REASONS[reception.obstacle], 503);
      case "later":
        this.turnedAway();
        this.#finish(REASONS[reception.obstacle]);
        setStreamHeaders(outlet.headers, undefined);
        return outlet.request.method === "HEAD"
          ? outlet.answer(200)
          : this.handOver(reception.waitMs);
      case "head":
        setStreamHeaders(outlet.headers, opening.headers);
        return this.#answer("ended", opening.status);
      case "stream":
        setStreamHeaders(outlet.headers, opening.headers);
        return this.#start(opening);
    }
  }

  #start(opening: ResolvedOpenOptions): void {
    this.outlet.drive(opening);
    // V8 stores the difference of two large numbers as an object, and what `floor` returns as a small number.
    this.#openedAt = Math.floor(Date.now() - CLOCK_START);
    const reason = this.#reason;
    this.started();
    // Closed while CORS was being evaluated: the session accepts no messages, but still owes the client an answer, and
    // the heartbeat has to detect a client that does not read it.
    if (reason !== undefined) this.left(reason);
    else if (opening.reconnectAfter === "cut" && this.wantsEventStream) this.outlet.ending = "cut";
    this.outlet.start(opening.status);
  }

  #refuse(error: unknown, reason: CloseReason): void {
    this.#finish(reason);
    try {
      this.outlet.refuse(error);
    } catch (fault) {
      this.#headFailed(fault);
    }
  }

  /**
   * A hook on the head threw. This must affect only this session: the caller may be the hub closing all sessions, or an
   * event of the connection. No other answer is tried, because its head would run into the same hook.
   */
  #headFailed(error: unknown): void {
    this.outletFailed("error", { error });
    this.outlet.destroy();
  }

  /**
   * Ends the stream for good.
   *
   * @param last - The application's last message.
   * @param retry - Reconnection time in that message.
   */
  #complete(last: Buffer | undefined, retry: number | undefined): void {
    if (this.#reason !== undefined) return;
    const { outlet } = this;
    if (last !== undefined) {
      if (outlet.phase === "idle" && outlet.isHeadSent) return this.#finish("ended");
      if (outlet.phase === "idle" && !this.open()) return;
      return this.endWith("completed", outlet.introduce(last, true, retry));
    }
    if (outlet.phase === "idle") {
      if (outlet.isHeadSent) return this.#finish("ended");
      this.#open({ ...resolveOpenOptions(undefined, this.options), isCompleted: true });
      return this.#finish("completed");
    }
    this.endWith("completed", this.#toldToStay);
  }

  /** The frame that tells the client not to reconnect, if it understands one. */
  get #toldToStay(): Uint8Array | undefined {
    // Other clients do not reconnect, and some fail on an unknown event type.
    const isUnderstood = this.wantsEventStream && this.outlet.request.method === "GET";
    return isUnderstood ? COMPLETE : undefined;
  }

  #answer(reason: CloseReason, status: number): void {
    this.#finish(reason);
    this.outlet.answer(status);
  }

  /** The application sends its own ids, so the stream cannot have those of the log. */
  #claimIds(): void {
    if (this.#ids === "log") {
      throw new SseError(
        "ERR_SSE_ID_RESERVED",
        "A stream that has subscribed gets its ids from the log",
      );
    }
    this.#ids = "own";
  }

  #send(frame: Buffer, hasData: boolean, retry: number | undefined): Promise<boolean> {
    if (!this.open()) return GONE;
    const { outlet } = this;
    outlet.reader?.catchUp();
    if (!outlet.sendMessage(frame, hasData, retry)) return outlet.whenDrained();
    const pause = breathe();
    return pause === undefined ? SENT : pause.then(() => this.#reason === undefined);
  }

  #finish(reason: CloseReason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    if (!COMES_BACK.has(reason)) this.outlet.ending = "end";
    this.outlet.finish();
    this.left(reason);
    const signal = this.#signal;
    if (signal !== undefined) {
      signal.scope.runInAsyncScope(() => signal.controller.abort(abortOf(reason)));
    }
    const callbacks = this.#onClose;
    this.#onClose = undefined;
    if (callbacks !== undefined) for (const fn of callbacks) this.#tell(fn, reason);
  }

  #tell(fn: (reason: CloseReason) => unknown, reason: CloseReason): void {
    try {
      const result = fn(reason);
      if (result instanceof Promise) {
        result.catch((error: unknown) => this.report(error, "onClose"));
      }
    } catch (error) {
      this.report(error, "onClose");
    }
  }
}

/**
 * Sends an event whose data was serialized before, by an application that keeps its messages as text. The hub's option
 * `verbatimStrings` does not apply.
 *
 * @param session - A session of any adapter.
 * @param message - The event, with its data as text.
 * @returns Same as `session.send`.
 * @throws {SseError} Same as `session.send`.
 */
export function sendSerialized(session: object, message: EventMessage): Promise<boolean> {
  if (session instanceof EventStream) return EventStream.sendSerialized(session, message);
  // A session of another copy of the package.
  return (session as Stream).send(message as SseMessage);
}

/** Other libraries have `send("tick", data)`; here the data would be lost silently. */
function twoArguments(message: unknown): SseError {
  const event = typeof message === "string" ? JSON.stringify(message.slice(0, 100)) : "…";
  return new SseError(
    "ERR_SSE_INVALID_DATA",
    `Expected one message for send(), got two arguments: use send({ event: ${event}, data })`,
  );
}

function headersSent(message: string): SseError {
  return new SseError("ERR_SSE_HEADERS_SENT", message);
}
