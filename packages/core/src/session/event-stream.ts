import { namesEventStream } from "../http/accept.js";
import type { SharedFrames } from "../wire/shared-frames.js";
import type { Cors } from "../http/cors.js";
import { SseError, describeValue } from "../errors.js";
import {
  COMPLETE,
  HEARTBEAT,
  encodeCommentFrame,
  encodeFrame,
  encodeRetryFrame,
} from "../wire/frame.js";
import { setStreamHeaders } from "../http/head.js";
import { MAX_SWEEPS, SWEEP_MS } from "../outlet/heartbeat.js";
import { readLastEventId } from "../http/last-event-id.js";
import type { SseMessage } from "../wire/message.js";
import { Opening } from "../outlet/opening.js";
import { draw } from "../options/jitter.js";
import { resolveOpenOptions } from "../options/open.js";
import type { ErrorStage, ResolvedOptions } from "../options/hub.js";
import type { OpenOptions, ResolvedOpenOptions } from "../options/open.js";
import { pump } from "./pump.js";
import type { MapItem } from "./pump.js";
import { receive } from "./reception.js";
import type { Obstacle } from "./reception.js";
import type { Sink } from "../outlet/sink.js";
import type { StreamSource } from "./source.js";
import type { SubscribeOptions } from "../options/subscribe.js";

/** Where a session stands: not opened, opening, taking messages, over. */
export type SessionState = "idle" | "connecting" | "open" | "closed";

/**
 * Why a session closed.
 *
 * - `client`: the client left, or its connection broke
 * - `closed`: `close()`, or the response was ended by somebody else, or the request was a `HEAD`
 * - `completed`: `complete()`, or the client came back after it
 * - `slow`: the client did not take what was sent: `maxBufferedBytes` or `stallTimeoutMs`
 * - `expired`: `maxAgeMs`
 * - `shutdown`: `hub.close()`, before or after the stream was opened
 * - `refused`: the stream was never opened: `Accept`, CORS or `maxSessions`
 * - `error`: the source of a `stream()` failed, or the handler as far as the framework tells (Fastify does;
 *   Express destroys the connection, which reads as `client`)
 */
export type CloseReason =
  | "client"
  | "closed"
  | "completed"
  | "slow"
  | "expired"
  | "shutdown"
  | "refused"
  | "error";

/** What follows the log on behalf of a session. */
export interface Follower {
  /** The head is out, or the client has taken what was written: there may be something to write. */
  advance(): void;
  /** Writes what was published in this turn, unless the client is behind. */
  catchUp(): void;
  /** Calls a function once everything that was published until now is written; never if the session closes before. */
  finish(fn: () => void): void;
  /** The session takes no more. */
  closed(): void;
  /** @returns What moves the client's position, if that is due. */
  beat(now: number, isSilent: boolean): SharedFrames | undefined;
  /** @returns For how many milliseconds the client's position may be left as it is. */
  restMs(now: number): number;
}

/** What a session needs of the heartbeat that drives it. */
export interface SessionClock {
  /** Number of sweeps that were begun. */
  readonly sweeps: number;
  /** Has `settle` called in each sweep until it says that this need not be. */
  watch(session: Session): void;
}

/** What a session needs of the hub that owns it. */
export interface SessionHost {
  readonly options: ResolvedOptions;
  readonly cors: Cors | undefined;
  /** Drives the sessions that were opened. */
  readonly heartbeat: SessionClock;
  /** @returns Why no further stream may be opened; `undefined` if one may. */
  turnAway(): Obstacle | undefined;
  /** The session is about to start its stream: from now on it is driven by the heartbeat. */
  opened(session: Session): void;
  /** The session takes no more messages. Only after `opened`. */
  closed(session: Session, reason: CloseReason): void;
  /** The response is over and its resources are free. Only after `opened`. */
  released(session: Session): void;
  /** Follows channels; settles with whether the session is subscribed now. Throws if the request is wrong. */
  subscribe(
    session: Session,
    channels: string | readonly string[],
    options: SubscribeOptions,
  ): Promise<boolean>;
  /** Stops following channels. Throws if there is a name among them that none can have. */
  unsubscribe(session: Session, channels: string | readonly string[]): void;
  /** Something failed where no caller can catch it. */
  report(error: unknown, stage: ErrorStage): void;
}

/** What it is called for the session that the hub has no room for it. */
const REASONS = { shutdown: "shutdown", busy: "refused" } as const;

const NO_BYTES: Uint8Array = new Uint8Array(0);

// Two promises for all messages that need not wait: a promise each would be most of what a send costs.
const SENT: Promise<boolean> = Promise.resolve(true);
const GONE: Promise<boolean> = Promise.resolve(false);

/**
 * One event stream to one client: `res.sse`, `reply.sse`.
 *
 * It is idle until something is sent; until then the route may answer in any other way. Once open it
 * writes at once, and it never throws, rejects or hangs because the client has left.
 */
export class Session<Owner = unknown> {
  /** The hub it belongs to. */
  readonly hub: Owner;
  readonly #sink: Sink;
  readonly #host: SessionHost;
  #state: SessionState = "idle";
  /** Set exactly when `#state` is `closed`. */
  #reason: CloseReason | undefined;
  /** Set from `open()` until the first bytes are out. */
  #opening: Opening | undefined;
  /** Set while a caller waits for the client to take what was sent. */
  #drain:
    | { readonly promise: Promise<boolean>; readonly resolve: (open: boolean) => void }
    | undefined;
  #controller: AbortController | undefined;
  /** `undefined` when there are none. */
  #onClose: Set<(reason: CloseReason) => void> | undefined;
  /** Set once the session has subscribed to something. */
  #follower: Follower | undefined;
  /** `true` while the client has yet to take what was written. */
  #isBlocked = false;
  /** Whose the ids are: the log's once `subscribe` was called, the application's own once `send` has written one. */
  #ids: "log" | "own" | undefined;
  /** The stream's own, or the hub's. Meaningful once opened. */
  #reconnectionTimeMs: ResolvedOpenOptions["reconnectionTimeMs"] = false;
  /** What the heartbeat's `sweeps` was when something was written. */
  #wroteAt = 0;
  /** Sweeps of silence after which a heartbeat is due; 0 for never. */
  #heartbeatSweeps = 0;
  /** Time at which the stream has lived long enough; 0 for never. */
  #expiresAt = 0;
  /** When a backed-up socket was last seen to take something; `undefined` while it is not backed up. */
  #stall: { readonly since: number; readonly progress: number } | undefined;

  /** @internal Sessions are made by `hub.createSession`. */
  constructor(sink: Sink, host: SessionHost, hub: Owner) {
    this.#sink = sink;
    this.#host = host;
    this.hub = hub;
    sink.attach(this);
    // A client that left before the handler ran will send no further "close".
    if (sink.isOver || (sink.isClosed && !sink.isHeadSent)) {
      this.#finish(sink.isHeadSent ? "closed" : "client");
    }
  }

  /** The request as the framework has it: `req` of Express, `request` of Fastify, else the raw one. */
  get request(): unknown {
    return this.#sink.context;
  }

  /** Where the session stands. */
  get state(): SessionState {
    return this.#state;
  }

  /**
   * Whether the client asks for an event stream by name: for routes that serve both JSON and a stream.
   *
   * `false` for a wildcard, which `curl` and `fetch` send by default.
   */
  get requested(): boolean {
    return namesEventStream(this.#sink.request.headers.accept);
  }

  /**
   * The last event ID that the client reports, `""` if none: the `Last-Event-ID` header, else the
   * query parameter `lastEventId`. It comes from the network and may be anything.
   *
   * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
   */
  get lastEventId(): string {
    const { headers, url } = this.#sink.request;
    return readLastEventId(headers["last-event-id"], url ?? "");
  }

  /**
   * Aborted when the session closes, with the {@link CloseReason} as its `reason`. Made on first read.
   *
   * Pass it to whatever the route waits for: a generator that is stuck in an `await` can be woken by
   * nothing else.
   */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Bytes that were sent and that the client's socket has not taken yet. `0` once the session is closed. */
  get bufferedBytes(): number {
    if (this.#state === "closed") return 0;
    return (this.#opening?.heldBytes ?? 0) + this.#sink.bufferedBytes;
  }

  /**
   * Opens the stream: commits the head and sends the first bytes. `send`, `comment` and `stream` do
   * it by themselves; opening a stream that is open does nothing.
   *
   * A client that does not accept event streams is answered 406 by the framework's error handler, one
   * that comes back after `complete()` with 204, one too many as `maxSessions` says: all that is no
   * exception here but a session that is closed.
   *
   * @param options - Status, headers and times of this stream.
   * @returns `true` if messages will reach the client; `false` if the session is closed.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is not what it may be.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has answered already, or if options are given
   *   for a stream that is open.
   */
  open(options?: OpenOptions): boolean {
    if (this.#state === "closed") return false;
    if (this.#state !== "idle") {
      if (options === undefined) return true;
      throw headersSent(
        "The stream is open: pass options to the first open(), before anything is sent",
      );
    }
    const resolved = resolveOpenOptions(options, this.#host.options);
    if (this.#sink.isHeadSent) {
      throw headersSent(
        "The response has been sent already: open the stream before, or not at all",
      );
    }
    if (this.#sink.isClosed) {
      this.#finish("client");
      return false;
    }
    this.#opening = new Opening(resolved);
    this.#reconnectionTimeMs = resolved.reconnectionTimeMs;
    this.#state = "connecting";
    const { cors } = this.#host;
    if (cors === undefined) this.#connect(resolved);
    else cors.apply(this.#sink.request, this.#sink.headers, (error) => this.#allowed(error));
    return this.#isSending();
  }

  /**
   * Sends one event to this client. Once the session is closed the message is not looked at any more. What was
   * published before on channels of this session comes before it, unless the client is behind.
   *
   * @param message - The event, or a string that stands for `{ data: string }`.
   * @returns Settles when the next may follow: at once while the client keeps up, so that `await` is
   *   back-pressure. `false` once the session is closed. Never rejects, never hangs.
   * @throws {SseError} `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_DATA` or `ERR_SSE_ID_RESERVED` if the message
   *   cannot be sent as it is; nothing has been written then. On a stream that has subscribed every `id` is reserved.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has answered already.
   */
  send(message: SseMessage | string): Promise<boolean> {
    if (this.#state === "closed") return GONE;
    const frame = encodeFrame(message, this.#host.options);
    if (typeof message === "object" && message.id !== undefined) this.#claimIds();
    return this.#send(frame);
  }

  /**
   * Sends a comment, which the client ignores.
   *
   * @param text - Comment; it may have several lines.
   * @returns As {@link Session.send}.
   * @throws {SseError} `ERR_SSE_INVALID_DATA` if `text` is not a string or is too large.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has answered already.
   */
  comment(text: string): Promise<boolean> {
    if (this.#state === "closed") return GONE;
    return this.#send(encodeCommentFrame(text, this.#host.options));
  }

  /**
   * Sends each item of a source as an event, as fast as the client takes them and no faster.
   *
   * When the session closes, the source is told at once, also while it is idle: an iterator's `return()`
   * is called, a Node stream destroyed, a web stream cancelled. A generator that waits in an `await` of
   * its own hears of it only through `signal`. The stream stays open when the source ends: follow with
   * `complete()` or `close()`.
   *
   * @param source - Iterable, async iterable, Node stream or web stream. Bytes are decoded as one UTF-8 stream.
   * @param map - Makes a message of an item; `undefined` skips it. Absent: items are messages themselves.
   * @returns `true` when the source is exhausted and all of it was sent; `false` as soon as the session is
   *   closed. Rejects with what the source or `map` threw; the session is closed with `error` then.
   */
  stream<Item>(source: StreamSource<Item>, map?: MapItem<Item>): Promise<boolean> {
    return pump(source, map, this);
  }

  /**
   * Joins channels: from here on the client gets what is published on them, in order.
   *
   * The first call of a stream decides what is replayed: everything after the client's last event ID, or, if
   * that is impossible, one `sse-reset` event that says so. Calls in the same turn take part in it, unless they
   * have a `snapshot`, which brings their state up to date. Channels joined later start live. The stream is
   * opened; a client that `authorize` turns away gets 403.
   *
   * @param channels - One name or several, each a string of 1 to 256 characters.
   * @param options - What a client gets that comes for the first time.
   * @returns `true` once subscribed; `false` if the session is closed. Never rejects.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a name or an option is not what it may be.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has answered already.
   * @throws {SseError} `ERR_SSE_ID_RESERVED` if ids of the application's own were sent on this stream.
   */
  subscribe(
    channels: string | readonly string[],
    options: SubscribeOptions = {},
  ): Promise<boolean> {
    if (this.#ids === "own") {
      throw new SseError(
        "ERR_SSE_ID_RESERVED",
        "The ids of a stream that subscribes are those of the log: send none before",
      );
    }
    if (this.#state === "idle" && this.#sink.isHeadSent) {
      throw headersSent("The response has been sent already: subscribe before, or not at all");
    }
    const subscribed = this.#host.subscribe(this, channels, options);
    this.#ids = "log";
    return subscribed;
  }

  /**
   * Leaves channels. What was published before may still be on its way.
   *
   * @param channels - One name or several; those that were not joined are ignored.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a name is not what it may be.
   */
  unsubscribe(channels: string | readonly string[]): void {
    this.#host.unsubscribe(this, channels);
  }

  /**
   * Ends the stream; the client will come back. On an idle session the stream is opened first, so that
   * the client has an answer. Closing twice is closing once.
   */
  close(): void {
    this.#endWith("closed");
  }

  /**
   * Ends the stream and tells the client not to come back: `EventSource` reconnects once more, with the
   * id of the last event, and is answered 204, which stops it for good. A session that has subscribed is sent
   * everything that was published until now before.
   */
  complete(): void {
    // The client will not come back for what it has missed: it gets all that was published until now first.
    if (this.#follower === undefined) this.#endWith("completed", COMPLETE);
    else this.#follower.finish(() => this.#endWith("completed", COMPLETE));
  }

  /**
   * Calls a function once when the session closes; at once if it is closed already.
   *
   * @param fn - Receives the reason. What it throws goes to the option `onError`.
   */
  onClose(fn: (reason: CloseReason) => void): void {
    if (typeof fn !== "function") {
      throw new SseError(
        "ERR_SSE_INVALID_OPTION",
        `Expected onClose to be given a function, got ${describeValue(fn)}`,
      );
    }
    if (this.#reason !== undefined) {
      this.#tell(fn, this.#reason);
      return;
    }
    this.#onClose ??= new Set();
    // Wrapped, so that the same function given twice is called twice.
    this.#onClose.add((reason) => fn(reason));
  }

  /** @internal Ends the stream for a shutdown, with a reconnection time of its own. */
  shutDown(): void {
    const range = this.#reconnectionTimeMs;
    this.#endWith("shutdown", range === false ? undefined : encodeRetryFrame(draw(range)));
  }

  /** @internal Cuts the connection, whatever is buffered. */
  destroy(): void {
    this.#finish("shutdown");
    this.#sink.destroy();
  }

  /** @internal The heartbeat's own: set from the host's `opened` to its `released`. */
  place: number | undefined;

  /** @internal The heartbeat's own: set from a write until the socket was seen to have taken all. */
  watched: number | undefined;

  /** @internal Called by the heartbeat. */
  beat(now: number): number {
    const isExpired = this.#expiresAt > 0 && now >= this.#expiresAt;
    if (isExpired && this.#state === "open") this.#endWith("expired");
    if (this.#state !== "open") return 1;
    // A client that has yet to take what was written is sent nothing that can wait.
    if (this.watched === undefined) {
      const isSilent = this.#heartbeatSweeps > 0 && this.#sweepsToHeartbeat() <= 0;
      const frames = this.#follower?.beat(now, isSilent) ?? (isSilent ? HEARTBEAT : undefined);
      if (frames !== undefined) this.writeFrames(frames);
    }
    return this.#sweepsToSleep(now);
  }

  #sweepsToHeartbeat(): number {
    return this.#heartbeatSweeps - (this.#host.heartbeat.sweeps - this.#wroteAt);
  }

  /** @returns Sweeps until there is something to do, if nothing is written until then. */
  #sweepsToSleep(now: number): number {
    let sweeps = MAX_SWEEPS;
    if (this.#heartbeatSweeps > 0) sweeps = Math.min(sweeps, this.#sweepsToHeartbeat());
    if (this.#expiresAt > 0) {
      sweeps = Math.min(sweeps, Math.ceil((this.#expiresAt - now) / SWEEP_MS));
    }
    if (this.#follower !== undefined) {
      sweeps = Math.min(sweeps, Math.floor(this.#follower.restMs(now) / SWEEP_MS));
    }
    return Math.max(1, sweeps);
  }

  /** @internal Called by the heartbeat: whether the socket has taken all. One that has taken nothing for too long is cut. */
  settle(now: number): boolean {
    const sink = this.#sink;
    if (sink.bufferedBytes === 0) {
      this.#stall = undefined;
      if (this.#isBlocked) {
        // Node 22 does not tell of it where the application had corked the response.
        this.sinkDrained();
        return false;
      }
      return true;
    }
    const { progress } = sink;
    if (this.#stall === undefined || progress !== this.#stall.progress) {
      this.#stall = { since: now, progress };
    } else if (now - this.#stall.since >= this.#host.options.stallTimeoutMs) {
      this.#cut();
    }
    return false;
  }

  /** @internal */
  sinkOpened(): void {
    const opening = this.#opening;
    if (opening === undefined || opening.first !== undefined) return;
    // A session that was closed while the head was on its way still owes the client what it accepted.
    const isOpen = this.#state === "connecting";
    if (isOpen) this.#state = "open";
    const range = this.#reconnectionTimeMs;
    opening.begin(range === false ? undefined : draw(range));
    if (!isOpen) {
      this.#host.heartbeat.watch(this);
      this.#sink.write(this.#withOpening(opening, NO_BYTES));
      this.#sink.end();
      return;
    }
    this.#follower?.advance();
    if (this.#opening !== undefined) this.#write(NO_BYTES);
    if (!this.#isBlocked) this.sinkDrained();
  }

  /** @internal */
  sinkDrained(): void {
    this.#isBlocked = false;
    const drain = this.#drain;
    this.#drain = undefined;
    drain?.resolve(true);
    this.#follower?.advance();
  }

  /** @internal */
  sinkClosed(by: "client" | "server"): void {
    this.#finish(by === "client" ? "client" : "closed");
    this.#opening = undefined;
    if (this.place !== undefined) this.#host.released(this);
  }

  /** @internal The framework or the source has failed. */
  fail(): void {
    if (!this.#isSending()) return;
    const isOpen = this.#state === "open";
    this.#finish("error");
    if (isOpen) this.#sink.end();
  }

  /** @internal Whether the client is answered without a stream, whatever the route has for it. */
  get isUnwelcome(): boolean {
    if (this.#state !== "idle") return false;
    const { kind } = receive(this.#sink.request, this.#host.turnAway());
    return kind !== "stream" && kind !== "head";
  }

  /** @internal Set once, by the hub, when the session subscribes for the first time. */
  get follower(): Follower | undefined {
    return this.#follower;
  }

  set follower(follower: Follower) {
    this.#follower = follower;
  }

  /** @internal */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** @internal */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** @internal Writes frames that are shared with other sessions. */
  writeFrames(frames: SharedFrames): boolean {
    if (this.#opening !== undefined || this.#state !== "open") return this.#write(frames.bytes);
    const wasBlocked = this.#beginWrite();
    return this.#sink.writeShared(frames) || this.#blocked(wasBlocked);
  }

  /** @internal Encodes a message whose place is given by the log, so that it has no id. */
  encode(message: SseMessage | string): Buffer {
    if (typeof message === "object" && message.id !== undefined) throw idReserved();
    return encodeFrame(message, this.#host.options);
  }

  /** @internal Refuses the request: the stream is not opened, or ended if it is. */
  refuse(error: unknown, reason: CloseReason = "refused"): void {
    if (this.#state !== "idle") return this.#endWith(reason);
    // The route has answered while the client was looked at.
    if (this.#sink.isHeadSent) return this.#finish(reason);
    this.#refuse(error, reason);
  }

  /** @internal */
  get closeReason(): CloseReason | undefined {
    return this.#reason;
  }

  /** @internal As `onClose`, for a function that may be taken back. */
  whenClosed(fn: (reason: CloseReason) => void): () => void {
    this.#onClose ??= new Set();
    this.#onClose.add(fn);
    return () => void this.#onClose?.delete(fn);
  }

  /** @internal Something failed while a source was cancelled. */
  report(error: unknown): void {
    this.#host.report(error, "source");
  }

  #isSending(): boolean {
    return this.#state === "connecting" || this.#state === "open";
  }

  /** The origin was looked at, which may have taken a while. */
  #allowed(error: unknown): void {
    const opening = this.#opening;
    // The client has left or the route has answered meanwhile.
    if (opening === undefined || this.#sink.isClosed || this.#sink.isHeadSent) return;
    if (error !== undefined && error !== null) this.#refuse(error);
    else this.#connect(opening.options);
  }

  /** The second half of `open()`. */
  #connect(opening: ResolvedOpenOptions): void {
    const sink = this.#sink;
    const reception = receive(sink.request, this.#host.turnAway());
    switch (reception.kind) {
      case "refused":
        return this.#refuse(reception.error);
      case "completed":
        return this.#answer("completed", 204);
      case "unavailable":
        sink.headers.setHeader("Retry-After", String(Math.ceil(reception.waitMs / 1_000)));
        return this.#answer(REASONS[reception.obstacle], 503);
      case "later":
        this.#finish(REASONS[reception.obstacle]);
        this.#opening?.drop();
        this.#reconnectionTimeMs = reception.waitMs;
        setStreamHeaders(sink.headers, undefined);
        return this.#start({ ...opening, status: 200 });
      case "head":
        setStreamHeaders(sink.headers, opening.headers);
        return this.#answer("closed", opening.status);
      case "stream":
        setStreamHeaders(sink.headers, opening.headers);
        return this.#start(opening);
    }
  }

  #start({ status, heartbeatMs, maxAgeMs }: ResolvedOpenOptions): void {
    if (heartbeatMs !== false) this.#heartbeatSweeps = Math.floor(heartbeatMs / SWEEP_MS);
    if (maxAgeMs !== false) {
      const min = Math.ceil(maxAgeMs * 0.8);
      // It is found out at the next sweep.
      const max = Math.max(min, maxAgeMs - SWEEP_MS);
      this.#expiresAt = performance.now() + draw({ min, max });
    }
    this.#host.opened(this);
    // Closed while the origin was looked up, or turned away: it takes no messages, but still owes the client
    // an answer, and the heartbeat has to watch that the client takes it.
    if (this.#reason !== undefined) this.#host.closed(this, this.#reason);
    try {
      this.#sink.start(status);
    } catch (error) {
      // Somebody's hook on the head has thrown: that is the framework's to answer.
      this.#refuse(error, "error");
    }
  }

  #refuse(error: unknown, reason: CloseReason = "refused"): void {
    this.#finish(reason);
    this.#sink.refuse(error);
  }

  #answer(reason: CloseReason, status: number): void {
    this.#finish(reason);
    this.#sink.answer(status);
  }

  /** The application sends ids of its own: then it has to do without those of the log. */
  #claimIds(): void {
    if (this.#ids === "log") throw idReserved();
    this.#ids = "own";
  }

  #send(frame: Uint8Array): Promise<boolean> {
    if (!this.open()) return GONE;
    this.#follower?.catchUp();
    return this.#write(frame) ? SENT : this.#drained();
  }

  /** @returns `false` if the next bytes should wait, or the session has closed. */
  #write(frame: Uint8Array): boolean {
    const opening = this.#opening;
    if (this.#state === "connecting" && opening !== undefined) {
      opening.hold(frame);
      if (opening.heldBytes > this.#host.options.maxBufferedBytes) this.#cut();
      return false;
    }
    const bytes = opening === undefined ? frame : this.#withOpening(opening, frame);
    const wasBlocked = this.#beginWrite();
    return this.#sink.write(bytes) || this.#blocked(wasBlocked);
  }

  /** @returns Whether the client has yet to take what was written before. */
  #beginWrite(): boolean {
    this.#wroteAt = this.#host.heartbeat.sweeps;
    if (this.watched === undefined) this.#host.heartbeat.watch(this);
    return this.#isBlocked;
  }

  /** @returns `false`, as a write that has to wait. */
  #blocked(wasBlocked: boolean): false {
    this.#isBlocked = true;
    // What goes to a client that had taken everything before is not held against it, however large it is.
    if (wasBlocked && this.#sink.bufferedBytes > this.#host.options.maxBufferedBytes) this.#cut();
    return false;
  }

  /** @returns The first bytes of the stream, which go out before everything else, and a frame behind them. */
  #withOpening({ first }: Opening, frame: Uint8Array): Uint8Array {
    this.#opening = undefined;
    if (first === undefined) return frame;
    return frame.byteLength === 0 ? first : Buffer.concat([first, frame]);
  }

  #drained(): Promise<boolean> {
    if (!this.#isSending()) return GONE;
    if (this.#drain === undefined) {
      let resolve: (open: boolean) => void = () => {};
      const promise = new Promise<boolean>((settle) => {
        resolve = settle;
      });
      this.#drain = { promise, resolve };
    }
    return this.#drain.promise;
  }

  /** The client does not take what it is sent: nothing more can reach it, so what is buffered is dropped. */
  #cut(): void {
    this.#finish("slow");
    this.#sink.destroy();
  }

  #endWith(reason: CloseReason, last?: Uint8Array): void {
    if (this.#state === "closed") return;
    if (this.#state === "idle" && (this.#sink.isHeadSent || !this.open()))
      return this.#finish(reason);
    if (last !== undefined) this.#write(last);
    const isOpen = this.#state === "open";
    this.#finish(reason);
    // Otherwise `sinkOpened` ends it, once the head and what was held are out.
    if (isOpen) this.#sink.end();
  }

  #finish(reason: CloseReason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#state = "closed";
    if (this.place !== undefined) this.#host.closed(this, reason);
    this.#drain?.resolve(false);
    this.#drain = undefined;
    this.#controller?.abort(reason);
    this.#follower?.closed();
    const callbacks = this.#onClose;
    this.#onClose = undefined;
    if (callbacks !== undefined) for (const fn of callbacks) this.#tell(fn, reason);
  }

  #tell(fn: (reason: CloseReason) => unknown, reason: CloseReason): void {
    try {
      const result = fn(reason);
      if (result instanceof Promise) {
        result.catch((error: unknown) => this.#host.report(error, "onClose"));
      }
    } catch (error) {
      this.#host.report(error, "onClose");
    }
  }
}

function headersSent(message: string): SseError {
  return new SseError("ERR_SSE_HEADERS_SENT", message);
}

function idReserved(): SseError {
  return new SseError(
    "ERR_SSE_ID_RESERVED",
    "The ids of a stream that has subscribed are those of the log",
  );
}
