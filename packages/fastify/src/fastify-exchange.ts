/** One request of Fastify and its reply as an exchange of the core: what the reply sends, and when it counts as sent. */

import { Readable } from "node:stream";
import type { Exchange, ExchangeStream, HeaderTarget } from "@tidewire/core/adapter";
import type { FastifyReply, FastifyRequest } from "fastify";
import { HandoverBody } from "./handover-body.js";

type RawRequest = Exchange["request"];
type RawResponse = Exchange["response"];

/**
 * How far a reply has come, as a sum of the flags below. `undefined` where the hooks of the plugin do not run: in a scope
 * that was registered before it.
 */
export const PROGRESS: unique symbol = Symbol("tidewire.progress");
/** A hook has the request: its handler has yet to run. */
export const IN_HOOKS = 1;
/** Something has failed, and the error handler answers. */
export const FAILED = 2;

/** A reply with what the hooks of the plugin write down. */
export type TrackedReply = FastifyReply & { [PROGRESS]?: number };

/**
 * A request of Fastify and its reply, answered through the reply's whole lifecycle.
 *
 * From the first look at the session on everything that the route sends comes by here: Fastify does not say whether a
 * reply has an answer that a hook holds back, and takes the end of an `async` handler for an empty answer.
 */
export class FastifyExchange implements Exchange, HeaderTarget {
  readonly #reply: TrackedReply;
  /** What the reply would send with otherwise. */
  readonly #send: FastifyReply["send"];
  /** Set from when the stream starts, unless an error is answered in its place. */
  #stream: ExchangeStream | undefined;
  /** Set exactly while there is a stream. */
  #body: HandoverBody | undefined;
  /** The session waits for something before its stream can start. */
  #isWaiting = false;
  /** The handler has returned while the session was waiting. */
  #isReturned = false;
  /** The route has sent an answer of its own. */
  #isAnswered = false;
  /** The session has been answered without a stream. */
  #isOver = false;
  /** What ends the stream; `undefined` while nothing has failed since its head. */
  #fault: Error | undefined;

  constructor(reply: FastifyReply) {
    this.#reply = reply;
    this.#send = reply.send;
    reply.send = (payload?: unknown): FastifyReply => this.#take(payload);
  }

  get request(): RawRequest {
    return this.#reply.request.raw;
  }

  get response(): RawResponse {
    return this.#reply.raw;
  }

  get context(): FastifyRequest {
    return this.#reply.request;
  }

  get server(): object {
    return this.#reply.server.server;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  get headers(): HeaderTarget {
    return this;
  }

  getHeader(name: string): number | string | string[] | undefined {
    return this.#reply.getHeader(name);
  }

  setHeader(name: string, value: string | string[]): void {
    // Fastify adds to the cookies that are there; to set is to replace.
    this.removeHeader(name);
    this.#reply.header(name, value);
  }

  removeHeader(name: string): void {
    this.#reply.removeHeader(name);
    this.#reply.raw.removeHeader(name);
  }

  wait(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    // There is no stream after all: what the end of the handler meant stands.
    if (isWaiting || !this.#isReturned || this.#isAnswered) return;
    this.#isAnswered = true;
    this.#sendNow(undefined);
  }

  start(status: number, stream: ExchangeStream): void {
    const reply = this.#reply;
    // @fastify/compress does not heed `no-transform`, only this header; it would hold events back.
    reply.request.raw.headers["x-no-compression"] ??= "event-stream";
    reply.code(status);
    this.#isWaiting = false;
    this.#stream = stream;
    this.#body = new HandoverBody(stream, reply);
    this.#forgetFailure();
    this.#sendNow(this.#body);
  }

  answer(status: number): void {
    const reply = this.#reply.code(status);
    this.#isOver = true;
    this.#forgetFailure();
    // An empty stream: for nothing at all the HEAD routes that Fastify adds would claim a length of 0.
    this.#sendNow(reply.request.method === "HEAD" ? Readable.from([]) : undefined);
  }

  refuse(error: unknown): void {
    const reply = this.#reply;
    this.#isOver = true;
    // The error handler answers, whenever and however it likes; what the handler of the route still sends or
    // returns is no answer any more. A reply of its own tells the one from the other.
    const answering = Object.create(reply) as FastifyReply;
    answering.send = (Object.getPrototypeOf(reply) as FastifyReply).send;
    Object.defineProperty(answering, "sent", { get: () => reply.raw.writableEnded });
    Object.defineProperty(reply, "sent", SENT);
    answering.send(error);
  }

  /** Whether something has failed since the stream was started or the request answered. */
  get #hasFailed(): boolean {
    return ((this.#reply[PROGRESS] ?? 0) & FAILED) !== 0;
  }

  #forgetFailure(): void {
    this.#reply[PROGRESS] = (this.#reply[PROGRESS] ?? 0) & ~FAILED;
  }

  /** Sends something that counts as the answer, whoever else has claimed the reply (`reply.hijack()`). */
  #sendNow(payload: unknown): FastifyReply {
    const reply = this.#reply;
    Object.defineProperty(reply, "sent", NOT_SENT);
    try {
      return this.#send.call(reply, payload);
    } finally {
      Object.defineProperty(reply, "sent", SENT);
    }
  }

  /** The route sends something, or Fastify does for it. */
  #take(payload: unknown): FastifyReply {
    if (this.#stream !== undefined) return this.#takeBeside(this.#stream, payload);
    if (this.#isOver) return this.#takeLate(payload);
    if (isNothing(payload)) {
      if (this.#isAnswered) return this.#reply;
      if (this.#isWaiting) {
        this.#isReturned = true;
        return this.#reply;
      }
    }
    // The client has left before there was a stream: what was given its signal fails with just that.
    if (isAbort(payload) && isGone(this.response)) return this.#reply;
    // An error is answered by the error handler, which may open the stream for that if the route has not.
    this.#isAnswered ||= this.#isWaiting || !(payload instanceof Error);
    return this.#send.call(this.#reply, payload);
  }

  /**
   * Keeps anything else from being sent on a reply whose stream has started.
   *
   * What the handler itself throws has to come through all the same: it goes through Fastify's error handling, so that it
   * is logged and hooks see it, and then ends the stream.
   */
  #takeBeside(stream: ExchangeStream, payload: unknown): FastifyReply {
    const reply = this.#reply;
    if (this.#fault !== undefined) {
      // The error handler's answer, for which it is too late, or its own failure, which nobody else would hear of.
      if (payload instanceof Error && payload !== this.#fault) logLate(reply, payload);
      return reply;
    }
    const isHeld = this.#body?.isOpen !== true && !reply.raw.headersSent;
    // A hook on the head has failed: this is what the error handler answers.
    const isForHook = isHeld && this.#hasFailed;
    if (isNothing(payload) && !isForHook) return reply;
    if (stream.isClosed) return this.#takeLate(payload);
    if (isHeld) {
      // There is still time for an ordinary error response.
      stream.failed();
      this.#body?.replace();
      this.#stream = undefined;
      this.#body = undefined;
      this.#isAnswered = true;
      return this.#sendNow(isForHook ? payload : asError(payload));
    }
    this.#fault = asError(payload);
    try {
      return this.#sendNow(this.#fault);
    } finally {
      stream.failed();
    }
  }

  /** The session is over. */
  #takeLate(payload: unknown): FastifyReply {
    const reply = this.#reply;
    const { headersSent, writableEnded, destroyed } = reply.raw;
    // A hook on the head of the answer has failed: this is what the error handler answers.
    if (this.#hasFailed && !headersSent && !writableEnded && !destroyed) {
      return this.#sendNow(payload);
    }
    if (payload instanceof Error) logLate(reply, payload);
    return reply;
  }
}

/** What `send`, `stream` and the like return is returned by many a handler. */
function isNothing(payload: unknown): boolean {
  return payload === undefined || typeof payload === "boolean";
}

function asError(payload: unknown): Error {
  return payload instanceof Error ? payload : new Error(NOT_A_STREAM, { cause: payload });
}

function isAbort(payload: unknown): boolean {
  return payload instanceof Error && payload.name === "AbortError";
}

function isGone(response: RawResponse): boolean {
  return "stream" in response ? response.stream.destroyed : response.destroyed;
}

function logLate(reply: FastifyReply, error: Error): void {
  // A handler that hears of the end of its stream by an `AbortSignal` often fails with just that.
  if (isAbort(error)) return;
  reply.log.error({ err: error }, "The handler failed after its event stream was over");
}

/**
 * Whether a reply with a stream is sent. To hooks it is, so that no further one and no handler runs. To a handler it is
 * not, because Fastify would only log what a handler throws after that.
 */
const SENT: PropertyDescriptor = {
  configurable: true,
  get(this: TrackedReply): boolean {
    return ((this[PROGRESS] ?? 0) & IN_HOOKS) !== 0 || this.raw.writableEnded;
  },
};

const NOT_SENT: PropertyDescriptor = { configurable: true, get: () => false };

const NOT_A_STREAM =
  "The handler of an event stream threw or sent a value: expected nothing or the reply";
