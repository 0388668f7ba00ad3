/** Bytes to one client: what every kind of response has in common. A session and a subscription write to it. */

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

/** What an outlet knows of the request that it answers. */
export interface OutletRequest {
  /** HTTP method. */
  readonly method?: string | undefined;
  /** Path and query. */
  readonly url?: string | undefined;
  /** Headers, their names in lower case. */
  readonly headers: IncomingHttpHeaders;
}

/** What all outlets of a hub share. */
export interface OutletSettings {
  /** Drives the outlets whose stream has started. */
  readonly heartbeat: Heartbeat<Outlet>;
  /** Bytes that the application may send while the client does not take them. */
  readonly maxBufferedBytes: number;
  /** How long a socket with unsent bytes may take none, in milliseconds. */
  readonly stallTimeoutMs: number;
  /** Whether the hub is closing: from then on a connection of HTTP/1 is closed with its response. */
  readonly isClosing: boolean;
}

/** Why an outlet can no longer be used. */
export type OutletFault = "slow" | "expired" | "error";

/** What there is to say of a fault. */
export interface OutletFaultDetails {
  /** What a write threw; absent if no write did. */
  readonly error?: unknown;
  /** Last frame of the stream. */
  readonly last?: Uint8Array;
}

/** The owner of an outlet. Sessions are one kind; tests have others. */
export interface OutletOwner {
  /** The response waits for earlier ones on its connection no more: it may start. */
  outletReady(): void;
  /**
   * The stream has to end: the client is too slow, the stream has lived long enough, or the framework or a write has
   * failed.
   *
   * @param details - What a write threw, or the frame that the stream ends with.
   */
  outletFailed(fault: OutletFault, details?: OutletFaultDetails): void;
  /** The response is over and its resources are free. Called exactly once, last of all. */
  outletClosed(by: "client" | "server"): void;
}

/**
 * - `idle`: no head
 * - `opening`: the head is on its way
 * - `open`: bytes may be written
 * - `ended`: no bytes are accepted any more; those accepted before may still be on their way
 */
export type OutletPhase = "idle" | "opening" | "open" | "ended";

/**
 * How a response ends that has finished.
 *
 * - `end`: in order, after everything that was accepted
 * - `cut`: without an end, once the kernel has everything that was accepted: the client sees its connection break
 * - `hold`: not by itself. Its owner destroys it
 */
export type Ending = "end" | "cut" | "hold";

/**
 * How long before its time a heartbeat goes out at least, in milliseconds: a sweep over thousands of sessions takes its
 * time, and a proxy that counts to the millisecond would cut the last of them.
 */
const LEAD_MS = 100;

/** Of {@link Outlet} `#unsent`: the client has taken everything. */
const NOT_BLOCKED = -1;

/** Who waits for the last bytes of a response: few do, so that no outlet has a field for it. */
const WAITING = new WeakMap<
  Outlet,
  { isWritten: boolean; readonly settle: (isSent: boolean) => void }
>();

/** Messages that were sent before the reader has begun the stream: few have some, so that no outlet has a field for it. */
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

/** Promise for callers that wait for a client that has left. */
const GONE: Promise<boolean> = Promise.resolve(false);

/**
 * The bytes going out to one client: opening bytes, back-pressure, heartbeat, stall.
 *
 * Subclasses say how bytes reach a socket. A subclass MUST
 * - call `headSent` after `start`, in the same turn or later, unless the response closed before;
 * - call `responseClosed` exactly once, but never from inside its constructor, unless `isOver` was `true` from the start;
 * - take bytes whole and in order, and have them on their way to the client in the same tick, whatever compressor stands
 *   in between;
 * - return `false` from `put` and `putShared` when the next bytes should wait, and then call `drained` or
 *   `responseClosed`.
 *
 * It MUST NOT throw, reject or emit because the client has left, change the bytes it is given (sessions share them), or
 * keep a timer.
 */
export abstract class Outlet implements Beating {
  /** The request that the response answers. */
  abstract readonly request: OutletRequest;
  /** The request as the framework has it. */
  abstract readonly context: unknown;
  /** The response's headers, until the head has gone out. */
  abstract readonly headers: HeaderTarget;
  /** `true` once a head has gone out, by whomever. */
  abstract readonly isHeadSent: boolean;
  /** `true` while earlier responses on the same connection have to end before this one may start. */
  abstract readonly isQueued: boolean;
  /** `true` once nothing can reach the client any more. */
  abstract readonly isClosed: boolean;
  /** `true` once the response has closed, also if that was before there was an outlet. */
  abstract readonly isOver: boolean;
  /** Bytes that were written and that the socket has not taken yet. */
  abstract readonly bufferedBytes: number;
  /** A number that changes whenever the socket takes bytes. Compare, do not add. */
  abstract readonly progress: number;

  /** The heartbeat's: place in its ring; `undefined` while this is not driven. */
  place: number | undefined = undefined;
  /** The heartbeat's: place among those that have written; `undefined` while the socket has taken everything. */
  watched: number | undefined = undefined;
  /** What reads the log for this outlet; `undefined` until the session subscribes. */
  reader: Reader | undefined = undefined;
  /**
   * Reconnection time that the client has yet to be told, or the range it is drawn from; `false` once it has been told,
   * or if it is left to the client.
   */
  reconnectionTimeMs: ResolvedOpenOptions["reconnectionTimeMs"] = false;
  /** Longest silence of the stream in milliseconds, `false` for none. Meaningful once driven. */
  heartbeatMs: ResolvedOpenOptions["heartbeatMs"] = false;
  /** How the response ends once it has finished. */
  ending: Ending = "end";
  readonly #settings: OutletSettings;
  #owner: OutletOwner | undefined;
  #phase: OutletPhase = "idle";
  /** Set from `open` until the first bytes are out. */
  #opening: Opening | undefined;
  /** Set while a caller waits for the client to take what was sent. */
  #drain:
    | { readonly promise: Promise<boolean>; readonly resolve: (open: boolean) => void }
    | undefined;
  /** Bytes that the application has sent while the client has yet to take what was written; negative otherwise. */
  #unsent = NOT_BLOCKED;
  /** What the heartbeat's `sweeps` was when something was written. */
  #wroteAt = 0;
  /** Time at which the stream has lived long enough; 0 for never. */
  #expiresAt = 0;
  /** Sweeps that found a backed-up socket as it was; `undefined` while it is not backed up. */
  #stall: { sweeps: number; readonly progress: number } | undefined;

  constructor(settings: OutletSettings) {
    this.#settings = settings;
  }

  /** The one that is told what happens. Set before anything else, and again when a client is turned away. */
  get owner(): OutletOwner {
    if (this.#owner === undefined) throw new Error("The outlet has no owner yet");
    return this.#owner;
  }

  set owner(owner: OutletOwner) {
    this.#owner = owner;
  }

  get phase(): OutletPhase {
    return this.#phase;
  }

  /** `true` from when the head is out until the stream ends. */
  get isOpen(): boolean {
    return this.#phase === "open";
  }

  /** `true` while the client has yet to take what was written. */
  get isBlocked(): boolean {
    return this.#unsent >= 0;
  }

  /** Bytes that were accepted and that the socket has not taken yet. */
  get acceptedBytes(): number {
    const early = EARLY.get(this)?.bytes ?? 0;
    return early + (this.#opening?.heldBytes ?? 0) + this.bufferedBytes;
  }

  /** Whether connections of HTTP/1 are closed with their response. */
  protected get isHubClosing(): boolean {
    return this.#settings.isClosing;
  }

  /** What the request came in through; `undefined` if nothing is known of it. */
  get server(): object | undefined {
    return undefined;
  }

  /**
   * The session begins to wait for something before its stream can start, or waits no more and has none.
   *
   * @param isWaiting - Which of the two.
   */
  wait(isWaiting: boolean): void {
    void isWaiting;
  }

  /** Commits the head with this status and the headers set so far, then calls `headSent`. */
  abstract start(status: number): void;
  /** Writes bytes of the body. */
  protected abstract put(bytes: Uint8Array): boolean;
  /** As `put`, for frames that many are given: a body in chunks may be given the chunk as it is. */
  protected abstract putShared(frames: SharedFrames): boolean;
  /**
   * Ends the body, after what is buffered.
   *
   * @param closesConnection - Whether to close a connection of HTTP/1 behind it.
   */
  protected abstract endBody(closesConnection: boolean): void;
  /** Calls `owner.outletReady` once the response is the next on its connection. Only while `isQueued`. */
  abstract awaitTurn(): void;
  /** Cuts the connection (the stream in HTTP/2) and drops what is buffered. */
  abstract destroy(): void;
  /** Answers with this status, the headers set so far and no body, in place of a stream. */
  abstract answer(status: number): void;
  /** Whether the framework has an error handler: then an error given to `refuse` is not lost. */
  abstract readonly hasErrorHandler: boolean;
  /** Hands an error to the framework's own error handler, in place of a stream. Without one its status is answered. */
  abstract refuse(error: unknown): void;

  /**
   * From now on frames are accepted: they go out behind the head.
   *
   * @param reconnectionTimeMs - What the client is told on the first block of its own; `false` leaves it to the client.
   */
  open(reconnectionTimeMs: ResolvedOpenOptions["reconnectionTimeMs"]): void {
    this.reconnectionTimeMs = reconnectionTimeMs;
    this.#phase = "opening";
    this.#opening = new Opening();
  }

  /**
   * Has the heartbeat drive the stream from here on.
   *
   * @param times - Heartbeat and age of this stream.
   */
  drive({
    heartbeatMs,
    maxStreamMs,
  }: Pick<ResolvedOpenOptions, "heartbeatMs" | "maxStreamMs">): void {
    this.heartbeatMs = heartbeatMs;
    if (maxStreamMs !== false) {
      const min = Math.ceil(maxStreamMs * 0.8);
      // Found by the next sweep.
      const max = Math.max(min, maxStreamMs - SWEEP_MS);
      this.#expiresAt = performance.now() + draw({ min, max });
    }
    this.#settings.heartbeat.add(this);
  }

  /**
   * Accepts a message of the application. On a stream that has yet to begin it waits for that.
   *
   * @param block - The message.
   * @param hasData - Whether it has data.
   * @param retry - Reconnection time that it says.
   * @returns As {@link Outlet.send}.
   */
  sendMessage(block: Buffer, hasData: boolean, retry: number | undefined): boolean {
    if (this.reader?.isBeginning !== true) return this.send(this.introduce(block, hasData, retry));
    if (this.#phase !== "opening" && this.#phase !== "open") return false;
    const early = EARLY.get(this) ?? { messages: [], bytes: 0 };
    EARLY.set(this, early);
    early.messages.push({ block, hasData, retry });
    early.bytes += block.byteLength;
    if (early.bytes > this.#settings.maxBufferedBytes) this.#cut();
    return false;
  }

  /** The reader has begun the stream, or never will: what the application has sent meanwhile may follow. */
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
    // What goes to a client that had taken everything before is not held against it, however large it is; nor is
    // what delivery has written. Socket buffers are first in, first out: the application's bytes are the last to go.
    if (wasBlocked) {
      this.#unsent += bytes.byteLength;
      if (Math.min(this.#unsent, this.bufferedBytes) > maxBufferedBytes) this.#cut();
    }
    return false;
  }

  /**
   * Adds the reconnection time to the first block that is written for this client alone. In a block without data it would
   * be an event without data to some clients.
   *
   * @param block - The block.
   * @param hasData - Whether it has data.
   * @param retry - Reconnection time that the block says already.
   */
  introduce(block: Buffer, hasData: boolean, retry: number | undefined): Buffer {
    const range = this.reconnectionTimeMs;
    if (range === false || !(hasData || retry !== undefined)) return block;
    this.reconnectionTimeMs = false;
    return retry === undefined ? withRetry(draw(range), block) : block;
  }

  /**
   * Writes bytes on behalf of the reader. Only while the outlet is open.
   *
   * @returns As {@link Outlet.send}.
   */
  write(bytes: Uint8Array): boolean {
    return this.#phase === "open" && this.#write(bytes);
  }

  /** As {@link Outlet.write}, for frames that are shared with other outlets. */
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

  /** @returns Settles when the next bytes may follow; `false` once the stream has ended. Never rejects. */
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
   * For a stream that has just finished with its last bytes. Called at most once.
   *
   * @returns Settles when the response is over: `true` if all of it, its last bytes included, went to the socket.
   */
  whenSent(): Promise<boolean> {
    if (this.isOver) return GONE;
    return new Promise((settle) => void WAITING.set(this, { isWritten: false, settle }));
  }

  /** Whether somebody waits for the last bytes. */
  protected get isAwaited(): boolean {
    return WAITING.has(this);
  }

  /** The last bytes are written. */
  lastIsWritten(): void {
    const waiting = WAITING.get(this);
    if (waiting !== undefined) waiting.isWritten = true;
  }

  /** Accepts nothing more. What was accepted still goes out, unless the connection is cut. Idempotent. */
  finish(): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#drain?.resolve(false);
    this.#drain = undefined;
    this.reader?.closed();
  }

  /**
   * Ends a response that has finished after it was open, as {@link Outlet.ending} says. One that was not open ends once
   * its head is out.
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
   * Something that feeds the stream has failed: it ends.
   *
   * @param last - Frame that it ends with.
   */
  fail(last: Uint8Array): void {
    this.owner.outletFailed("error", { last });
  }

  /**
   * Forgets what was accepted before the head was out.
   *
   * @param instead - Frame that the stream consists of; absent for a stream with nothing but its opening bytes.
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
   * @returns Sweeps until there is something to do, if nothing is written until then.
   */
  beat(now: number): number {
    if (this.#phase === "open" && this.#expiresAt > 0 && now >= this.#expiresAt) {
      this.owner.outletFailed("expired");
    }
    if (this.#phase !== "open") return 1;
    // A client that has yet to take what was written is sent nothing that can wait.
    if (this.watched === undefined) {
      const isSilent = this.#sweepsToHeartbeat() <= 0;
      const frames = this.reader?.beat(now, isSilent) ?? (isSilent ? HEARTBEAT : undefined);
      if (frames !== undefined) this.writeFrames(frames);
    }
    return this.#sweepsToSleep(now);
  }

  /** Called by the heartbeat: whether the socket has taken all. One that has taken nothing for too long is cut. */
  settle(): boolean {
    if (this.bufferedBytes === 0) {
      this.#stall = undefined;
      if (this.isBlocked) {
        // Node 22 does not tell of it where the application had corked the response.
        this.drained();
        return false;
      }
      // What a compressor holds is not seen: it gets the time between two sweeps to hand it on.
      const isSettled = !this.#isCutting || this.#settings.heartbeat.sweeps - this.#wroteAt > 1;
      if (isSettled) this.#cutIfTaken();
      return isSettled;
    }
    const { progress } = this;
    // Counted in sweeps: while this process itself was paused there was none, and that is not the client's fault.
    if (this.#stall === undefined || progress !== this.#stall.progress) {
      this.#stall = { sweeps: 0, progress };
    } else if (++this.#stall.sweeps * SWEEP_MS >= this.#settings.stallTimeoutMs) {
      this.#cut();
    }
    return false;
  }

  /** For subclasses: the head is out, or goes out with the first bytes. Called at most once. */
  protected headSent(): void {
    const opening = this.#opening;
    if (opening === undefined || opening.isHeadOut) return;
    opening.isHeadOut = true;
    // A session that was closed while the head was on its way still owes the client what it accepted.
    if (this.#phase === "ended") return this.end();
    this.#phase = "open";
    this.reader?.wake();
    if (this.#opening !== undefined) {
      if (opening.heldBytes > 0) this.#writeOpening();
      // A client that is sent something in this turn needs no comment.
      else afterTurn(() => this.#writeOpening());
    }
    if (!this.isBlocked) this.drained();
  }

  /** For subclasses that can tell: calls a function once the kernel has all bytes that were written. */
  protected whenTaken(_fn: () => void): void {}

  /** For subclasses: the client took what was held back. */
  protected drained(): void {
    this.#unsent = NOT_BLOCKED;
    const drain = this.#drain;
    this.#drain = undefined;
    drain?.resolve(true);
    this.reader?.wake();
    if (this.#isCutting) this.whenTaken(() => this.#cutIfTaken());
  }

  /**
   * For subclasses: the response is over.
   *
   * @param isFlushed - Whether the socket was handed all of it.
   */
  protected responseClosed(by: "client" | "server", isFlushed: boolean): void {
    this.finish();
    this.#opening = undefined;
    const waiting = WAITING.get(this);
    waiting?.settle(isFlushed && waiting.isWritten);
    this.owner.outletClosed(by);
    this.#settings.heartbeat.delete(this);
  }

  /** @returns As `put`; not called for bytes that are shared, unless the stream begins with them. */
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

  /** A wrapper around the response has thrown. That ends this stream, and must not reach the code that publishes. */
  #fault(error: unknown): false {
    this.owner.outletFailed("error", { error });
    this.destroy();
    return false;
  }

  /** The client does not take what it is sent: nothing more can reach it, and what is buffered is dropped. */
  #cut(): void {
    this.owner.outletFailed("slow");
    this.destroy();
  }

  /** Writes the first bytes of the stream, unless that has been done. */
  #writeOpening(): void {
    const opening = this.#opening;
    if (opening !== undefined) this.#write(opening.heldBytes === 0 ? OPENING : NO_BYTES);
  }

  /** @returns What was accepted before the head was out, and a frame behind it. */
  #withHeld(frame: Uint8Array): Uint8Array {
    const opening = this.#opening;
    if (opening === undefined) return frame;
    this.#opening = undefined;
    return opening.withHeld(frame);
  }

  #wrote(): void {
    const { heartbeat } = this.#settings;
    this.#wroteAt = heartbeat.sweeps;
    // A client that is turned away is not driven by this heartbeat.
    if (this.watched === undefined && this.place !== undefined) heartbeat.watch(this);
  }

  /** `true` from the end of a stream that is to be cut. */
  get #isCutting(): boolean {
    return this.#phase === "ended" && this.ending === "cut";
  }

  /** The second half of a cut. */
  #cutIfTaken(): void {
    if (this.#isCutting && this.bufferedBytes === 0) this.destroy();
  }

  /** Sweeps of silence until a heartbeat is due; never if there is none. */
  #sweepsToHeartbeat(): number {
    if (this.heartbeatMs === false) return Infinity;
    const sweeps = Math.max(1, Math.floor((this.heartbeatMs - LEAD_MS) / SWEEP_MS));
    return sweeps - (this.#settings.heartbeat.sweeps - this.#wroteAt);
  }

  #sweepsToSleep(now: number): number {
    let sweeps = Math.min(MAX_SWEEPS, this.#sweepsToHeartbeat());
    if (this.#expiresAt > 0) {
      sweeps = Math.min(sweeps, Math.ceil((this.#expiresAt - now) / SWEEP_MS));
    }
    if (this.reader !== undefined) {
      sweeps = Math.min(sweeps, Math.floor(this.reader.restMs(now) / SWEEP_MS));
    }
    return Math.max(1, sweeps);
  }
}
