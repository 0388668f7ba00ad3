/** Node responses as outlets: the only file that writes to them, besides direct-write. */

import { STATUS_CODES } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { SharedFrames } from "../wire/shared-frames.js";
import { takesChunks, writeDirectly } from "./direct-write.js";
import { checkExchange, isHeadSent, isHttp1 } from "../http/exchange.js";
import type {
  Exchange,
  ExchangeStream,
  NodeRequest,
  NodeResponse,
  StreamBody,
} from "../http/exchange.js";
import { removeBodyHeaders } from "../http/head.js";
import type { HeaderTarget } from "../http/head.js";
import type { ResolvedOpenOptions } from "../options/open.js";
import { findCompressor } from "./compressor.js";
import type { Compressor } from "./compressor.js";
import { Outlet } from "./outlet.js";
import type { OutletSettings } from "./outlet.js";
import { dropUnreadBody } from "./unread-body.js";

/** Largest single write over HTTP/2. */
const SLICE_BYTES = 65_536;

const NO_BYTES: Uint8Array = new Uint8Array(0);

/**
 * The error with which an HTTP/2 stream is destroyed: Node then resets it with INTERNAL_ERROR. Without an error it
 * would use NO_ERROR, which many clients treat as an orderly end. (`stream.close(code)` before `destroy()` aborts the
 * process, because Node 20 asserts that a destroyed stream is never asked for its trailers.)
 */
const CUT: Error = new Error("The event stream was cut");

/** The response ends because of our own `end`, `answer` or `refuse`. */
const ENDED_HERE = 1;
/** The owner has been notified that the response has closed, or it closed before the outlet existed. */
const OVER = 2;
/** A write has had to wait: from then on there is a listener for "drain". */
const WAITED = 4;
/** An HTTP/1 response has ended or closed. */
const ENDED = 8;
/** The socket was given all of an HTTP/1 response. */
const FLUSHED = 16;

/** `true` while a response is uncorked, in the middle of a write. */
let isLettingGo = false;

/** Marks a response that has a sink. The shared listeners find the sink here, so they need no closures. */
const SINK: unique symbol = Symbol("tidewire.sink");
/** Further sinks of a response that has sessions of several hubs. They have not begun to answer. */
const OTHERS: unique symbol = Symbol("tidewire.others");
type Marked = NodeResponse & {
  [SINK]?: NodeSink | undefined;
  [OTHERS]?: readonly NodeSink[] | undefined;
};

/**
 * A response of `node:http` (HTTP/1.0, HTTP/1.1) or `node:http2` as an outlet.
 */
export class NodeSink extends Outlet implements ExchangeStream {
  readonly #exchange: Exchange;
  readonly #response: NodeResponse;
  /** `undefined` until the body may begin; then the response, or a stream in front of it. */
  #body: StreamBody | undefined;
  /**
   * Sum of the flags above that are set. Separate fields would account for most of the memory of an idle stream here.
   */
  #flags = 0;
  /** Set from the first write to an HTTP/1.1 response without a stream in front of it, until it is ended elsewhere. */
  #socket: Socket | undefined;
  /** Counted only over HTTP/2. */
  #writtenBytes = 0;
  /** Set only if a compressor has to be flushed after each event. */
  #compressor: Compressor | undefined;

  /**
   * @param exchange - Request and response. The client may already have left.
   * @param settings - Settings of the hub.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the exchange is invalid.
   */
  constructor(exchange: Exchange, settings: OutletSettings) {
    super(settings);
    checkExchange(exchange);
    const response: Marked = exchange.response;
    this.#exchange = exchange;
    this.#response = response;
    if (response[SINK] === undefined) {
      response[SINK] = this;
      response.on("close", onClose);
    } else {
      // Sessions commit nothing until they open: the first to open gets the response.
      response[OTHERS] = [...(response[OTHERS] ?? []), this];
    }
    // A pipelined response waits without a socket and would not notice its end.
    if (isHttp1(response) && response.socket === null) waitOn(socketOf(this.request), this);
    // A closed response does not emit "close" again.
    if (isHttp1(response) ? response.closed : response.stream.closed) this.#flags |= OVER;
  }

  get request(): NodeRequest {
    return this.#exchange.request;
  }

  get headers(): HeaderTarget {
    return this.#exchange.headers ?? this.#response;
  }

  get context(): unknown {
    return this.#exchange.context ?? this.request;
  }

  get hasErrorHandler(): boolean {
    return this.#exchange.refuse !== undefined;
  }

  override get server(): object | undefined {
    return this.#exchange.server;
  }

  get isHeadSent(): boolean {
    const { isAnswered } = this.#exchange;
    return isAnswered === true || isHeadSent(this.#response) || this.#isTaken;
  }

  /** Whether another sink has begun to answer, possibly with its head still unsent. */
  get #isTaken(): boolean {
    const sink = (this.#response as Marked)[SINK];
    return sink !== undefined && sink !== this && sink.phase !== "idle";
  }

  get isQueued(): boolean {
    return isHttp1(this.#response) && this.#response.socket === null && !this.isClosed;
  }

  get isOver(): boolean {
    return (this.#flags & OVER) !== 0;
  }

  get isClosed(): boolean {
    const response = this.#response;
    if (this.isOver || response.writableEnded) return true;
    return isHttp1(response)
      ? response.destroyed || (response.socket ?? socketOf(this.request))?.destroyed === true
      : response.stream.destroyed;
  }

  get bufferedBytes(): number {
    // Unless the response is corked and may hold bytes itself.
    if (this.#socket?.writableCorked === 0) return this.#socket.writableLength;
    const held =
      this.#body === undefined || this.#body === this.#response ? 0 : this.#body.writableLength;
    const waiting = held + (this.#compressor?.heldBytes ?? 0) + this.#response.writableLength;
    // A socket that does not report its buffer makes the sum `NaN`.
    return Number.isNaN(waiting) ? 0 : waiting;
  }

  get progress(): number {
    const response = this.#response;
    if (!isHttp1(response)) return this.#writtenBytes - this.bufferedBytes;
    const socket = socketOf(response);
    if (socket === undefined) return 0;
    const { bytesWritten = 0 } = socket;
    // Node reports a write as accepted only when all of it is, but the handle's queue shrinks on the way. Without it, a
    // slow but steady reader of one large write would look stalled.
    return bytesWritten - socket.writableLength - queuedBytes(socket);
  }

  override open(reconnectionTimeMs: ResolvedOpenOptions["reconnectionTimeMs"]): void {
    this.#take();
    super.open(reconnectionTimeMs);
  }

  /** From now on this sink answers. */
  #take(): void {
    const response: Marked = this.#response;
    const sink = response[SINK];
    if (sink === undefined || sink === this) return;
    response[OTHERS] = [...(response[OTHERS] ?? []).filter((other) => other !== this), sink];
    response[SINK] = this;
  }

  override wait(isWaiting: boolean): void {
    this.#exchange.wait?.(isWaiting);
  }

  start(status: number): void {
    this.#announceClose();
    const { start } = this.#exchange;
    if (start !== undefined) {
      start.call(this.#exchange, status, this);
      return;
    }
    this.#response.writeHead(status);
    this.opened(this.#response);
  }

  opened(body: StreamBody): void {
    if (this.isClosed) return;
    const response = this.#response;
    if (isHttp1(response)) {
      response.on("prefinish", onEnd);
      dropUnreadBody(this.request as IncomingMessage);
    } else {
      response.on("error", ignore);
    }
    if (!isHeadSent(response) && body === response) {
      removeBodyHeaders(response);
      // Otherwise Node would send, with the first bytes, the status that the response has by then.
      response.writeHead(response.statusCode);
    }
    this.#body = body;
    if (body !== response) {
      body.on("error", ignore);
      mark(body, this);
    }
    this.#compressor = findCompressor(body, response);
    this.headSent();
  }

  failed(): void {
    this.owner.outletFailed("error");
  }

  protected put(bytes: Uint8Array): boolean {
    return this.#writeBytes(bytes) || this.#letGo();
  }

  protected putShared(shared: SharedFrames): boolean {
    const socket = this.#socket;
    const waiting = socket === undefined ? this.bufferedBytes : socket.writableLength;
    // These bytes have to wait behind earlier ones, so use compact memory.
    const frames = waiting > 0 ? shared.compact : shared;
    if (socket === undefined) return this.put(frames.bytes);
    const isTaken = writeDirectly(this.#response as ServerResponse, socket, frames.chunk);
    return isTaken === undefined ? this.put(frames.bytes) : isTaken || this.#letGo();
  }

  #writeBytes(bytes: Uint8Array): boolean {
    const body = this.#body;
    const response = this.#response;
    if (body === undefined || this.isClosed) {
      // The response was ended or destroyed elsewhere; "close" would come too late for this write.
      this.closed();
      return false;
    }
    const isTaken = isHttp1(response) ? body.write(bytes) : this.#writeSlices(body, bytes);
    const compressor = this.#compressor;
    if (compressor !== undefined) {
      compressor.flush();
      compressor.heldBytes = isTaken ? 0 : compressor.heldBytes + bytes.byteLength;
    } else if (this.#socket === undefined) {
      this.#socket = this.#findSocket();
    }
    return isTaken;
  }

  /** Called after a write, by which the head has been sent at the latest. */
  #findSocket(): Socket | undefined {
    const response = this.#response;
    if (this.#body !== response || !isHttp1(response) || response.socket === null) return undefined;
    return takesChunks(response) ? response.socket : undefined;
  }

  /** @returns Same as `write`, after a write that has asked to wait. */
  #letGo(): boolean {
    const body = this.#body;
    if (body === undefined || this.isOver) return false;
    isLettingGo = true;
    const isTaken = body === this.#response && uncork(this.#response);
    isLettingGo = false;
    // Most clients never make a stream wait, so a listener for each would waste memory.
    if (isTaken || (this.#flags & WAITED) !== 0) return isTaken;
    this.#flags |= WAITED;
    // A compressor that wraps the response moves listeners to its own stream, which has no mark.
    body.on("drain", this.#compressor === undefined ? onDrain : () => this.bodyDrained());
    return false;
  }

  /**
   * Over HTTP/2, Node reports a write only when the client has accepted all of it. Slices distinguish a slow but steady
   * reader of a large event from one that has stalled.
   */
  #writeSlices(body: StreamBody, bytes: Uint8Array): boolean {
    this.#writtenBytes += bytes.byteLength;
    let isTaken = true;
    for (let start = 0; start < bytes.byteLength; start += SLICE_BYTES) {
      isTaken = body.write(bytes.subarray(start, start + SLICE_BYTES));
    }
    return isTaken;
  }

  protected endBody(closesConnection: boolean): void {
    this.#flags |= ENDED_HERE;
    this.#watchFinish();
    const response = this.#response;
    const body = this.#body ?? response;
    const socket = closesConnection && isHttp1(response) ? socketOf(response) : undefined;
    // The head has promised to keep the connection, but the next request on it would reach a server that is closing.
    if (socket !== undefined) response.once("finish", () => closeSoon(socket));
    if (!body.writableEnded) body.end();
  }

  protected override whenTaken(fn: () => void): void {
    const response = this.#response;
    // A stream in front of the response does not report what it holds.
    if (this.#body !== response || this.#compressor !== undefined || this.isOver) return;
    if (this.bufferedBytes === 0) fn();
    else (response as ServerResponse).write(NO_BYTES, fn);
  }

  awaitTurn(): void {
    this.#response.once("socket", onTurn);
  }

  destroy(): void {
    this.#flags |= ENDED_HERE;
    const response = this.#response;
    if (isHttp1(response)) response.destroy();
    else response.destroy(CUT);
  }

  answer(status: number): void {
    this.#take();
    this.#flags |= ENDED_HERE;
    this.#watchFinish();
    this.#announceClose();
    // A length set for another body would make the client wait for it.
    removeBodyHeaders(this.headers);
    const { answer } = this.#exchange;
    if (answer !== undefined) {
      answer.call(this.#exchange, status);
      return;
    }
    this.#response.writeHead(status);
    this.#response.end();
  }

  refuse(error: unknown): void {
    this.#take();
    this.#flags |= ENDED_HERE;
    this.#announceClose();
    const { refuse } = this.#exchange;
    if (refuse !== undefined) {
      refuse.call(this.#exchange, error);
      return;
    }
    const status = statusOf(error);
    removeBodyHeaders(this.headers);
    this.headers.setHeader("Content-Type", "text/plain; charset=utf-8");
    this.#response.writeHead(status);
    // Never the error's own message, which may quote text from the network.
    this.#response.end(`${STATUS_CODES[status] ?? "Error"}\n`);
  }

  /**
   * Announces to an HTTP/1 client that its connection is closed with this response. Not if the connection is cut: after
   * such a head, Node's `fetch` treats the cut as an orderly end.
   */
  #announceClose(): void {
    if (!isHttp1(this.#response)) return;
    if (this.ending === "end") {
      if (this.isHubClosing) this.headers.setHeader("Connection", "close");
    } else if (this.headers.getHeader("Connection") !== undefined) {
      // Fastify announces it on every answer while it closes.
      this.headers.removeHeader("Connection");
    }
  }

  /** Called by the shared listener of the body. */
  bodyDrained(): void {
    // The corresponding write has not returned yet.
    if (isLettingGo) return;
    if (this.#compressor !== undefined) this.#compressor.heldBytes = 0;
    this.drained();
  }

  #watchFinish(): void {
    if (this.isAwaited && isHttp1(this.#response)) this.#response.once("finish", onFinish);
  }

  /** Called by the shared listener of the response: it has finished, or its client has left. */
  finished(): void {
    if (socketOf(this.request)?.destroyed !== true) this.#flags |= FLUSHED;
  }

  /** Called by the shared listener of the response: it was ended elsewhere, and its last bytes are on their way. */
  ended(): void {
    if ((this.#flags & ENDED) !== 0 || !isHttp1(this.#response)) return;
    this.#flags |= ENDED;
    this.#socket = undefined;
    this.#response.on("error", ignore);
  }

  /** Called by the shared listener of the response, and wherever its end is detected first. */
  closed(): void {
    if (this.isOver) return;
    this.#flags |= OVER;
    const response: Marked = this.#response;
    // Not deleted, because that would turn each response into a slow object.
    if (response[SINK] === this) response[SINK] = undefined;
    if (response[OTHERS] === undefined) response.off("close", onClose);
    this.#body?.off("drain", onDrain);
    this.ended();
    if (isHttp1(response))
      (socketOf(this.request) as WaitedSocket | undefined)?.[WAITING]?.delete(this);
    const isByServer = (this.#flags & ENDED_HERE) !== 0 || response.writableEnded;
    // An HTTP/1 response without its socket reports that it has finished, whether its bytes were sent or not.
    const isFlushed = isHttp1(response)
      ? (this.#flags & FLUSHED) !== 0
      : response.stream.writableFinished;
    this.responseClosed(isByServer ? "server" : "client", isFlushed);
  }
}

/**
 * A connection as Node provides it. An HTTP server accepts any duplex stream, which lacks members of network sockets. A
 * request made up by a test or a host may have an object with fewer members, or `undefined`.
 */
type AnySocket = Pick<Socket, "destroyed" | "writableCorked" | "writableLength"> &
  Partial<Pick<Socket, "bytesWritten" | "destroySoon" | "end" | "once">> &
  Pick<Socket, "cork" | "uncork">;

/** @returns The connection of a message; `undefined` while it has none. */
function socketOf(message: { readonly socket: AnySocket | null }): AnySocket | undefined {
  return message.socket ?? undefined;
}

/** Closes a connection once everything has been sent, as Node does after the last response. */
function closeSoon(socket: AnySocket): void {
  if (socket.destroySoon === undefined) socket.end?.();
  else socket.destroySoon();
}

/** Bytes of the current write that libuv still holds; 0 if Node does not report them. */
function queuedBytes(socket: AnySocket): number {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null || !("writeQueueSize" in handle)) return 0;
  return typeof handle.writeQueueSize === "number" ? handle.writeQueueSize : 0;
}

/** Sinks of pipelined responses on a socket whose turn is still to come. They share one listener. */
const WAITING: unique symbol = Symbol("tidewire.waiting");
type WaitedSocket = AnySocket & { [WAITING]?: Set<NodeSink> };

function waitOn(socket: WaitedSocket | undefined, sink: NodeSink): void {
  if (socket?.once === undefined) return;
  if (socket[WAITING] === undefined) {
    socket[WAITING] = new Set();
    socket.once("close", onSocketClose);
  }
  socket[WAITING].add(sink);
}

function onSocketClose(this: WaitedSocket): void {
  for (const sink of this[WAITING] ?? []) sink.closed();
}

function onClose(this: Marked): void {
  const others = this[OTHERS];
  this[SINK]?.closed();
  if (others === undefined) return;
  this[OTHERS] = undefined;
  for (const sink of others) sink.closed();
}

/** A pipelined response has been given its connection. */
function onTurn(this: Marked): void {
  this[SINK]?.owner.outletReady();
}

/** "prefinish" is emitted inside `response.end`, "finish" only when the client has accepted everything. */
function onEnd(this: Marked): void {
  this[SINK]?.ended();
}

function onFinish(this: Marked): void {
  this[SINK]?.finished();
}

function onDrain(this: { [SINK]?: NodeSink | undefined }): void {
  this[SINK]?.bodyDrained();
}

/**
 * A late error comes from the client's leaving or from a write after the end. Without a listener it would end the
 * process.
 */
function ignore(): void {}

function mark(body: StreamBody & { [SINK]?: NodeSink }, sink: NodeSink): void {
  body[SINK] = sink;
}

/**
 * Sends what Node holds back until the next tick: it corks the socket (from Node 26 on the response), so that head and
 * body leave together. Above the high water mark, that only hides how much the client has read: a burst within one
 * tick would look like a slow client and keep all its bytes in memory.
 *
 * @returns Whether the next bytes may follow after all.
 */
function uncork(response: NodeResponse): boolean {
  const socket = isHttp1(response) ? socketOf(response) : undefined;
  if (socket === undefined) return false;
  const corked = response.writableLength > socket.writableLength ? response : socket;
  if (corked.writableCorked > 0) {
    corked.uncork();
    // Balanced: the caller that corked it will uncork it.
    corked.cork();
  }
  return !response.writableNeedDrain;
}

function statusOf(error: unknown): number {
  const status =
    typeof error === "object" && error !== null && "statusCode" in error ? error.statusCode : 500;
  return typeof status === "number" && status >= 400 && status <= 599 ? status : 500;
}
