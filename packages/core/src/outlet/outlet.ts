/** The bytes going out to one client: the base of every kind of response. Sessions and subscriptions write to it. */

import type { IncomingHttpHeaders } from "node:http";
import type { HeaderTarget } from "../http/head.js";
import { draw } from "../options/jitter.js";
import type { ResolvedOpenOptions } from "../options/open.js";
import { HEARTBEAT, OPENING, withRetry } from "../wire/frame.js";
import type { SharedFrames } from "../wire/shared-frames.js";
import { afterTurn } from "./after-turn.js";
import { MAX_SWEEPS, SWEEP_MS } from "./heartbeat.js";
import type { Beating, Heartbeat } from "./heartbeat.js";
import { Opening } from "./opening.js";
import type { Reader } from "./reader.js";

/** The parts of a request that an outlet uses. */
export interface OutletRequest {
  /** HTTP method. */
  readonly method?: string | undefined;
  /** Path and query. */
  readonly url?: string | undefined;
  /** Headers, with names in lower case. */
  readonly headers: IncomingHttpHeaders;
}

/** Counts of all outlets of a hub, kept up to date, because visiting them would take too long. */
export class OutletCounts {
  /** Outlets that are open. */
  open = 0;
  /** Those of them that have a reader. */
  subscribed = 0;
  /** Messages with data that the application has sent. */
  sent = 0;
  /** Bytes of `sent`. */
  sentBytes = 0;
}

/** Settings shared by all outlets of a hub. */
export interface OutletSettings {
  /** Kept up to date by each outlet. */
  readonly counts: OutletCounts;
  /** Drives the outlets whose stream has started. */
  readonly heartbeat: Heartbeat<Outlet>;
  /** Bytes that the application may send while the client is not reading. */
  readonly maxBufferedBytes: number;
  /** How long a socket with unsent bytes may accept none, in milliseconds. */
  readonly stallTimeoutMs: number;
  /** Whether the hub is closing. HTTP/1 connections are then closed with their response. */
  readonly isClosing: boolean;
}

/** Why an outlet has failed. */
export type OutletFault = "slow" | "expired" | "error";

/** Details of a fault. */
export interface OutletFaultDetails {
  /** The error that a write threw; absent if no write did. */
  readonly error?: unknown;
  /** Last frame of the stream. */
  readonly last?: Uint8Array;
}

/** The owner of an outlet: a session, a turned-away client, or a test. */
export interface OutletOwner {
  /** Earlier responses on the connection have ended: this one may start. */
  outletReady(): void;
  /**
   * The stream has to end: the client is too slow, the stream has reached its maximum lifetime, or the framework or a
   * write has failed.
   *
   * @param details - The error of a write, or the last frame of the stream.
   */
  outletFailed(fault: OutletFault, details?: OutletFaultDetails): void;
  /**
   * Called by the heartbeat while the outlet is open. May finish it.
   *
   * @param now - Milliseconds of a monotonic clock.
   * @returns Milliseconds after which the owner needs the next call. It comes at most a sweep later.
   */
  outletBeat?(now: number): number;
  /** The response is over and its resources are free. Always the last call, made exactly once. */
  outletClosed(by: "client" | "server"): void;
}

/**
 * - `idle`: no head yet
 * - `opening`: the head is on its way
 * - `open`: bytes may be written
 * - `ended`: no bytes are accepted any more; earlier ones may still be on their way
 */
export type OutletPhase = "idle" | "opening" | "open" | "ended";

/**
 * How a finished response ends.
 *
 * - `end`: in order, after everything that was accepted
 * - `cut`: without an end, once the kernel has all accepted bytes: the client sees a broken connection
 * - `hold`: stays open until its owner destroys it
 */
export type Ending = "end" | "cut" | "hold";

/**
 * Shortest lead of a heartbeat before its deadline, in milliseconds. A sweep over thousands of sessions takes a while,
 * and a proxy with an exact timeout would cut the last of them.
 */
const LEAD_MS = 100;

/** Value of `#unsent` while the socket has accepted everything. */
const NOT_BLOCKED = -1;

/** Callers that wait for the last bytes of a response: too few to justify a field in each outlet. */
const WAITING = new WeakMap<
  Outlet,
  { isWritten: boolean; readonly settle: (isSent: boolean) => void }
>();

/** Messages sent before the reader has begun the stream: too few to justify a field in each outlet. */
const EARLY = new WeakMap<
  Outlet,
  {
    readonly messages: {
      readonly block: Buffer;
      readonly hasData: boolean;
      readonly retry: number | undefined;
    }[];
    bytes: number;
  }
>();

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** Result for callers that wait for a client that has left. */
const GONE: Promise<boolean> = Promise.resolve(false);

/**
 * The bytes going out to one client: opening bytes, back-pressure, heartbeat, stall detection.
 *
 * Subclasses implement how bytes reach a socket. A subclass MUST
 * - call `headSent` after `start`, in the same turn or later, unless the response closed first;
 * - call `responseClosed` exactly once, but never from inside its constructor, unless `isOver` was `true` from the start;
 * - accept bytes whole and in order, and send them on their way in the same tick, whatever compressor stands in
 *   between;
 * - return `false` from `put` and `putShared` when the next bytes should wait, and later call `drained` or
 *   `responseClosed`.
 *
 * It MUST NOT throw, reject or emit because the client has left, modify the bytes it is given (sessions share them), or
 * keep a timer.
 */
export abstract class Outlet implements Beating {
  /** The request that the response answers. */
  abstract readonly request: OutletRequest;
  /** The framework's request. */
  abstract readonly context: unknown;
  /** The response's headers, until the head is sent. */
  abstract readonly headers: HeaderTarget;
  /** `true` once a head has been sent, by any code. */
  abstract readonly isHeadSent: boolean;
  /** `true` while earlier responses on the same connection still have to end. */
  abstract readonly isQueued: boolean;
  /** `true` once no more bytes can reach the client. */
  abstract readonly isClosed: boolean;
  /** `true` once the response has closed, even if that was before the outlet existed. */
  abstract readonly isOver: boolean;
  /** Bytes written that the socket has not accepted yet. */
  abstract readonly bufferedBytes: number;
  /** Changes whenever the socket accepts bytes. Compare values, do not add them. */
  abstract readonly progress: number;

  /** Owned by the heartbeat: place in its ring; `undefined` while not driven. */
  place: number | undefined = undefined;
  /** Owned by the heartbeat: place among watched members; `undefined` while the socket has accepted everything. */
  watched: number | undefined = undefined;
  /**
   * Reconnection time still to be sent, or the range to draw it from; `false` once sent, or if it is left to the
   * client.
   */
  reconnectionTimeMs: ResolvedOpenOptions["reconnectionTimeMs"] = false;
  /** Longest silence of the stream in milliseconds, `false` for no limit. Valid once driven. */
  heartbeatMs: ResolvedOpenOptions["heartbeatMs"] = false;
  /** Events from the log and messages of the application, with data. */
  eventCount = 0;
  /** Bytes of these events and messages. */
  eventBytes = 0;
  /** How the response ends once finished. */
  ending: Ending = "end";
  readonly #settings: OutletSettings;
  #reader: Reader | undefined;
  #owner: OutletOwner | undefined;
  #phase: OutletPhase = "idle";
  /** Set from `open` until the first bytes are written. */
  #opening: Opening | undefined;
  /** Set while a caller waits for the socket to accept what was sent. */
  #drain:
    | { readonly promise: Promise<boolean>; readonly resolve: (open: boolean) => void }
    | undefined;
  /**
   * Bytes sent by the application while earlier bytes were waiting; negative while the socket has accepted everything.
   */
  #unsent = NOT_BLOCKED;
  /** Value of the heartbeat's `sweeps` at the last write. */
  #wroteAt = 0;
  /** Time at which the maximum lifetime ends, or the client's credentials; 0 for never. */
  #expiresAt = 0;
  /** Sweeps that found a backed-up socket unchanged; `undefined` while it is not backed up. */
  #stall: { sweeps: number; readonly progress: number } | undefined;

  constructor(settings: OutletSettings) {
    this.#settings = settings;
  }

  /** Receives the outlet's events. Set before any other use, and again when a client is turned away. */
  get owner(): OutletOwner {
    if (this.#owner === undefined) throw new Error("The outlet has no owner yet");
    return this.#owner;
  }

  set owner(owner: OutletOwner) {
    this.#owner = owner;
  }

  /** Reads the log for this outlet; `undefined` until the session subscribes. Set once. */
  get reader(): Reader | undefined {
    return this.#reader;
  }

  set reader(reader: Reader) {
    this.#reader = reader;
    if (this.#phase === "open") this.#settings.counts.subscribed += 1;
  }

  get phase(): OutletPhase {
    return this.#phase;
  }

  /** `true` from the sending of the head to the end of the stream. */
  get isOpen(): boolean {
    return this.#phase === "open";
  }

  /** `true` while the socket has not accepted everything written. */
  get isBlocked(): boolean {
    return this.#unsent >= 0;
  }

  /** Bytes accepted here that the socket has not accepted yet. */
  get acceptedBytes(): number {
    const early = EARLY.get(this)?.bytes ?? 0;
    return early + (this.#opening?.heldBytes ?? 0) + this.bufferedBytes;
  }

  /** Whether HTTP/1 connections are closed with their response. */
  protected get isHubClosing(): boolean {
    return this.#settings.isClosing;
  }

  /** The server that the request came through; `undefined` if unknown. */
  get server(): object | undefined {
    return undefined;
  }

  /**
   * Notes that the session waits for something before its stream can start.
   *
   * @param isWaiting - `false` once that wait has ended without a stream.
   */
  wait(isWaiting: boolean): void {
    void isWaiting;
  }

  /** Commits the head with this status and the headers set so far, then calls `headSent`. */
  abstract start(status: number): void;
  /** Writes bytes of the body. */
  protected abstract put(bytes: Uint8Array): boolean;
  /** Same as `put`, for frames sent to many clients: a chunked body may use their ready-made chunk. */
  protected abstract putShared(frames: SharedFrames): boolean;
  /**
   * Ends the body, after buffered bytes.
   *
   * @param closesConnection - Whether to close the HTTP/1 connection afterwards.
   */
  protected abstract endBody(closesConnection: boolean): void;
  /** Calls `owner.outletReady` once the response is next on its connection. Only while `isQueued`. */
  abstract awaitTurn(): void;
  /** Cuts the connection (the stream in HTTP/2) and drops buffered bytes. */
  abstract destroy(): void;
  /** Answers with this status, the headers set so far and no body, instead of a stream. */
  abstract answer(status: number): void;
  /** Whether the framework has an error handler that receives errors given to `refuse`. */
  abstract readonly hasErrorHandler: boolean;
  /**
   * Hands an error to the framework's error handler instead of opening a stream. Without one, its status is answered.
   */
  abstract refuse(error: unknown): void;

  /**
   * Accepts frames from now on. They are sent after the head.
   *
   * @param reconnectionTimeMs - Sent with the first block for this client alone; `false` leaves it to the client.
   */
  open(reconnectionTimeMs: ResolvedOpenOptions["reconnectionTimeMs"]): void {
    this.reconnectionTimeMs = reconnectionTimeMs;
    this.#phase = "opening";
    this.#opening = new Opening();
  }

  /**
   * Lets the heartbeat drive the stream from now on.
   *
   * @param times - Heartbeat and maximum lifetime of this stream.
   */
  drive({
    heartbeatMs,
    maxStreamMs,
  }: Pick<ResolvedOpenOptions, "heartbeatMs" | "maxStreamMs">): void {
    this.heartbeatMs = heartbeatMs;
    if (maxStreamMs !== false) {
      const min = Math.ceil(maxStreamMs * 0.8);
      // The expiry is detected by the next sweep, up to `SWEEP_MS` later.
      const max = Math.max(min, maxStreamMs - SWEEP_MS);
      this.expireAt(performance.now() + draw({ min, max }));
    }
    this.#settings.heartbeat.add(this);
  }

  /**
   * Ends the stream at a time, or at the one set before if that is earlier.
   *
   * @param time - Milliseconds of a monotonic clock.
   */
  expireAt(time: number): void {
    // 0 stands for never.
    const at = Math.max(1, Math.round(time));
    this.#expiresAt = this.#expiresAt === 0 ? at : Math.min(at, this.#expiresAt);
  }

  /** Whether the time of {@link Outlet.expireAt} has come. */
  get isExpired(): boolean {
    return this.#expiresAt > 0 && performance.now() >= this.#expiresAt;
  }

  /**
   * Accepts a message of the application. It waits if the stream has not begun yet.
   *
   * @param block - The encoded message.
   * @param hasData - Whether it has data.
   * @param retry - Reconnection time in the message.
   * @returns Same as {@link Outlet.send}.
   */
  sendMessage(block: Buffer, hasData: boolean, retry: number | undefined): boolean {
    if (this.#phase !== "opening" && this.#phase !== "open") return false;
    if (hasData) this.#countSent(block.byteLength);
    if (this.#reader?.isBeginning !== true) {
      return this.send(this.introduce(block, hasData, retry));
    }
    const early = EARLY.get(this) ?? { messages: [], bytes: 0 };
    EARLY.set(this, early);
    early.messages.push({ block, hasData, retry });
    early.bytes += block.byteLength;
    if (early.bytes > this.#settings.maxBufferedBytes) this.#cut();
    return false;
  }

  /** The reader has begun the stream, or never will: sends the messages that waited for it. */
  begun(): void {
    const early = EARLY.get(this);
    if (early === undefined) return;
    EARLY.delete(this);
    this.send(
      Buffer.concat(
        early.messages.map(({ block, hasData, retry }) => this.introduce(block, hasData, retry)),
      ),
    );
    if (this.isBlocked || this.#phase !== "open") return;
    const drain = this.#drain;
    this.#drain = undefined;
    drain?.resolve(true);
  }

  /**
   * Accepts bytes of the application.
   *
   * @returns `false` if the next bytes should wait, or the stream has ended.
   */
  send(bytes: Uint8Array): boolean {
    const { maxBufferedBytes } = this.#settings;
    if (this.#phase === "opening") {
      this.#opening?.hold(bytes);
      if ((this.#opening?.heldBytes ?? 0) > maxBufferedBytes) this.#cut();
      return false;
    }
    if (this.#phase !== "open") return false;
    const wasBlocked = this.isBlocked;
    if (this.#write(bytes)) return true;
    // Bytes for a socket that had accepted everything do not count, however many. Neither do bytes of delivery: a
    // socket buffer is first in, first out, so the application's bytes are the last to leave it.
    if (wasBlocked) {
      this.#unsent += bytes.byteLength;
      if (Math.min(this.#unsent, this.bufferedBytes) > maxBufferedBytes) this.#cut();
    }
    return false;
  }

  /**
   * Adds the reconnection time to the first block for this client alone. Only to one with data: some clients treat a
   * block with `retry` alone as an event without data.
   *
   * @param block - The block.
   * @param hasData - Whether it has data.
   * @param retry - Reconnection time that the block already has.
   */
  introduce(block: Buffer, hasData: boolean, retry: number | undefined): Buffer {
    if (this.reconnectionTimeMs === false || !(hasData || retry !== undefined)) return block;
    const own = this.takeRetry();
    return retry === undefined && own !== undefined ? withRetry(own, block) : block;
  }

  /**
   * Takes the reconnection time for the first block of this client, which has to have data.
   *
   * @returns Milliseconds; `undefined` if the client has it, or is left to choose.
   */
  takeRetry(): number | undefined {
    const range = this.reconnectionTimeMs;
    this.reconnectionTimeMs = false;
    return range === false ? undefined : draw(range);
  }

  /**
   * Writes bytes on behalf of the reader. Only while the outlet is open.
   *
   * @returns Same as {@link Outlet.send}.
   */
  write(bytes: Uint8Array): boolean {
    return this.#phase === "open" && this.#write(bytes);
  }

  /** Same as {@link Outlet.write}, for frames shared with other outlets. */
  writeFrames(frames: SharedFrames): boolean {
    if (this.#phase !== "open") return false;
    if (this.#opening !== undefined) return this.#write(frames.bytes);
    this.#wrote();
    try {
      if (this.putShared(frames)) return true;
    } catch (error) {
      return this.#fault(error);
    }
    if (this.#unsent < 0) this.#unsent = 0;
    return false;
  }

  /** @returns Settles when the next bytes may be sent; `false` once the stream has ended. Never rejects. */
  whenDrained(): Promise<boolean> {
    if (this.#phase !== "opening" && this.#phase !== "open") return GONE;
    if (this.#drain === undefined) {
      let resolve: (open: boolean) => void = () => {};
      const promise = new Promise<boolean>((settle) => {
        resolve = settle;
      });
      this.#drain = { promise, resolve };
    }
    return this.#drain.promise;
  }

  /**
   * Waits for the end of a stream that has just finished with its last bytes. Called at most once.
   *
   * @returns Settles when the response is over: `true` if the socket was given all of it, including the last bytes.
   */
  whenSent(): Promise<boolean> {
    if (this.isOver) return GONE;
    return new Promise((settle) => void WAITING.set(this, { isWritten: false, settle }));
  }

  /** Whether a caller waits for the last bytes. */
  protected get isAwaited(): boolean {
    return WAITING.has(this);
  }

  /** Notes that the last bytes are written. */
  lastIsWritten(): void {
    const waiting = WAITING.get(this);
    if (waiting !== undefined) waiting.isWritten = true;
  }

  /** Accepts nothing more. Bytes accepted earlier are still sent, unless the connection is cut. Idempotent. */
  finish(): void {
    if (this.#phase === "ended") return;
    if (this.#phase === "open") this.#count(-1);
    this.#phase = "ended";
    this.#drain?.resolve(false);
    this.#drain = undefined;
    this.#reader?.closed();
  }

  /**
   * Ends a finished response as {@link Outlet.ending} says. If it was not open yet, it ends once its head is sent.
   */
  end(): void {
    try {
      if (this.#opening !== undefined) this.#writeOpening();
      if (this.ending === "hold") return;
      if (this.ending === "end") {
        this.lastIsWritten();
        return this.endBody(this.isHubClosing);
      }
      this.#wrote();
      this.whenTaken(() => this.#cutIfTaken());
    } catch (error) {
      this.#fault(error);
    }
  }

  /**
   * Ends the stream because a source of it has failed.
   *
   * @param last - Last frame of the stream.
   */
  fail(last: Uint8Array): void {
    this.owner.outletFailed("error", { last });
  }

  /**
   * Drops the bytes accepted before the head was sent.
   *
   * @param instead - The only frame of the stream; absent for a stream of opening bytes alone.
   */
  dropHeld(instead?: Uint8Array): void {
    this.reconnectionTimeMs = false;
    WAITING.get(this)?.settle(false);
    WAITING.delete(this);
    EARLY.delete(this);
    this.#opening?.drop();
    if (instead !== undefined) this.#opening?.hold(instead);
  }

  /**
   * Called by the heartbeat.
   *
   * @returns Sweeps until the next action, provided that nothing is written before.
   */
  beat(now: number): number {
    if (this.#phase === "open" && this.#expiresAt > 0 && now >= this.#expiresAt) {
      this.owner.outletFailed("expired");
    }
    if (this.#phase !== "open") return 1;
    const restMs = this.owner.outletBeat?.(now) ?? Infinity;
    if (this.#phase !== "open") return 1;
    // While the socket has not accepted everything, messages that can wait are not sent.
    if (this.watched === undefined) {
      const isSilent = this.#sweepsToHeartbeat() <= 0;
      const frames = this.#reader?.beat(now, isSilent) ?? (isSilent ? HEARTBEAT : undefined);
      if (frames !== undefined) this.writeFrames(frames);
    }
    return this.#sweepsToSleep(now, restMs);
  }

  /** Called by the heartbeat: whether the socket has accepted everything. Cuts a client that has stopped reading. */
  settle(): boolean {
    if (this.bufferedBytes === 0) {
      this.#stall = undefined;
      if (this.isBlocked) {
        // Node 22 emits no "drain" if the application had corked the response.
        this.drained();
        return false;
      }
      // Bytes in a compressor are not visible: it gets the time between two sweeps to pass them on.
      const isSettled = !this.#isCutting || this.#settings.heartbeat.sweeps - this.#wroteAt > 1;
      if (isSettled) this.#cutIfTaken();
      return isSettled;
    }
    const { progress } = this;
    // Counted in sweeps: a paused process makes none, and its pause must not count against the client.
    if (this.#stall === undefined || progress !== this.#stall.progress) {
      this.#stall = { sweeps: 0, progress };
    } else if (++this.#stall.sweeps * SWEEP_MS >= this.#settings.stallTimeoutMs) {
      this.#cut();
    }
    return false;
  }

  /** For subclasses: the head is sent, or will be sent with the first bytes. Called at most once. */
  protected headSent(): void {
    const opening = this.#opening;
    if (opening === undefined || opening.isHeadOut) return;
    opening.isHeadOut = true;
    // A session that closed while the head was being sent still owes the client what it accepted.
    if (this.#phase === "ended") return this.end();
    this.#phase = "open";
    this.#count(1);
    this.#reader?.wake();
    if (this.#opening !== undefined) {
      if (opening.heldBytes > 0) this.#writeOpening();
      // If something is sent in this turn, no comment is needed.
      else afterTurn(() => this.#writeOpening());
    }
    if (!this.isBlocked) this.drained();
  }

  /** For subclasses that can detect it: calls a function once the kernel has all written bytes. */
  protected whenTaken(_fn: () => void): void {}

  /** For subclasses: the socket has accepted the held-back bytes. */
  protected drained(): void {
    this.#unsent = NOT_BLOCKED;
    const drain = this.#drain;
    this.#drain = undefined;
    drain?.resolve(true);
    this.#reader?.wake();
    if (this.#isCutting) this.whenTaken(() => this.#cutIfTaken());
  }

  /**
   * For subclasses: the response is over.
   *
   * @param isFlushed - Whether the socket was given all of it.
   */
  protected responseClosed(by: "client" | "server", isFlushed: boolean): void {
    this.finish();
    this.#opening = undefined;
    const waiting = WAITING.get(this);
    waiting?.settle(isFlushed && waiting.isWritten);
    this.owner.outletClosed(by);
    this.#settings.heartbeat.delete(this);
  }

  /** @returns Same as `put`. Not called for shared bytes, unless they are the first of the stream. */
  #write(bytes: Uint8Array): boolean {
    this.#wrote();
    try {
      if (this.put(this.#withHeld(bytes))) return true;
    } catch (error) {
      return this.#fault(error);
    }
    if (this.#unsent < 0) this.#unsent = 0;
    return false;
  }

  /** A wrapper around the response threw. This ends the stream, and must not reach the code that publishes. */
  #fault(error: unknown): false {
    this.owner.outletFailed("error", { error });
    this.destroy();
    return false;
  }

  /** The client does not read: no more bytes can reach it, and buffered ones are dropped. */
  #cut(): void {
    this.owner.outletFailed("slow");
    this.destroy();
  }

  /** Writes the first bytes of the stream, unless already written. */
  #writeOpening(): void {
    const opening = this.#opening;
    if (opening !== undefined) this.#write(opening.heldBytes === 0 ? OPENING : NO_BYTES);
  }

  /** @returns The bytes accepted before the head was sent, followed by a frame. */
  #withHeld(frame: Uint8Array): Uint8Array {
    const opening = this.#opening;
    if (opening === undefined) return frame;
    this.#opening = undefined;
    return opening.withHeld(frame);
  }

  #countSent(bytes: number): void {
    this.eventCount += 1;
    this.eventBytes += bytes;
    const { counts } = this.#settings;
    counts.sent += 1;
    counts.sentBytes += bytes;
  }

  #count(change: 1 | -1): void {
    const { counts } = this.#settings;
    counts.open += change;
    if (this.#reader !== undefined) counts.subscribed += change;
  }

  #wrote(): void {
    const { heartbeat } = this.#settings;
    this.#wroteAt = heartbeat.sweeps;
    // This heartbeat does not drive turned-away clients.
    if (this.watched === undefined && this.place !== undefined) heartbeat.watch(this);
  }

  /** `true` from the end of a stream that is about to be cut. */
  get #isCutting(): boolean {
    return this.#phase === "ended" && this.ending === "cut";
  }

  /** Second half of a cut. */
  #cutIfTaken(): void {
    if (this.#isCutting && this.bufferedBytes === 0) this.destroy();
  }

  /** Sweeps of silence until a heartbeat is due; `Infinity` without heartbeats. */
  #sweepsToHeartbeat(): number {
    if (this.heartbeatMs === false) return Infinity;
    const sweeps = Math.max(1, Math.floor((this.heartbeatMs - LEAD_MS) / SWEEP_MS));
    return sweeps - (this.#settings.heartbeat.sweeps - this.#wroteAt);
  }

  #sweepsToSleep(now: number, restMs: number): number {
    const sweepsToBeat = Math.ceil(restMs / SWEEP_MS);
    let sweeps = Math.min(MAX_SWEEPS, this.#sweepsToHeartbeat(), sweepsToBeat);
    if (this.#expiresAt > 0) {
      sweeps = Math.min(sweeps, Math.ceil((this.#expiresAt - now) / SWEEP_MS));
    }
    if (this.#reader !== undefined) {
      sweeps = Math.min(sweeps, Math.floor(this.#reader.restMs(now) / SWEEP_MS));
    }
    return Math.max(1, sweeps);
  }
}
