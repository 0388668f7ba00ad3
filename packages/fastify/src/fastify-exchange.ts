/** One Fastify request and its reply as an exchange of the core. Tracks what the reply sends. */

import { Readable } from "node:stream";
import type { Exchange, ExchangeStream, HeaderTarget } from "@tidewire/core/adapter";
import type { FastifyReply, FastifyRequest } from "fastify";
import { HandoverBody } from "./handover-body.js";
import {
  ANSWERED,
  FAILED,
  PROGRESS,
  SENDING,
  prepareScope,
  setProgress,
} from "./reply-progress.js";
import type { TrackedReply } from "./reply-progress.js";

type RawRequest = Exchange["request"];
type RawResponse = Exchange["response"];

/**
 * A Fastify request and its reply, answered through the reply's whole lifecycle.
 *
 * Once the session has been read, everything that the route sends passes through here: Fastify does not report whether
 * a hook is holding back an answer, and treats the end of an `async` handler as an empty answer.
 */
export class FastifyExchange implements Exchange, HeaderTarget {
  readonly #reply: TrackedReply;
  /** The reply's original `send`. */
  readonly #send: FastifyReply["send"];
  /** Set when the stream starts, unless an error is answered instead. */
  #stream: ExchangeStream | undefined;
  /** Set exactly while there is a stream. */
  #body: HandoverBody | undefined;
  /** The session is waiting before its stream can start. */
  #isWaiting = false;
  /** The handler returned while the session was waiting. */
  #isReturned = false;
  /** The route has sent its own answer. */
  #isAnswered = false;
  /** The session has been answered without a stream. */
  #isOver = false;
  /** The error that ends the stream; `undefined` if there has been no error since its head. */
  #fault: Error | undefined;

  constructor(reply: FastifyReply) {
    this.#reply = reply;
    this.#send = reply.send;
    prepareScope(reply);
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
    // Fastify appends cookies to existing ones, but they have to be replaced.
    if (name.toLowerCase() === "set-cookie") this.removeHeader(name);
    this.#reply.header(name, value);
  }

  removeHeader(name: string): void {
    this.#reply.removeHeader(name);
    this.#reply.raw.removeHeader(name);
  }

  wait(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    // No stream follows, so the end of the handler counts as the answer.
    if (isWaiting || !this.#isReturned || this.#isAnswered) return;
    this.#isAnswered = true;
    this.#sendNow(undefined);
  }

  start(status: number, stream: ExchangeStream): void {
    const reply = this.#reply;
    // @fastify/compress ignores `no-transform` and heeds only this header. Compressed, events would be held back.
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
    // An empty stream: without a body, Fastify's HEAD routes would claim a length of 0.
    this.#sendNow(reply.request.method === "HEAD" ? Readable.from([]) : undefined);
  }

  refuse(error: unknown): void {
    const reply = this.#reply;
    this.#isOver = true;
    // The error handler answers, at any time and in any way. Anything that the route's handler still sends or returns
    // is not an answer any more. Giving the error handler its own reply object tells the two apart.
    const answering = Object.create(reply) as FastifyReply;
    answering.send = (Object.getPrototypeOf(reply) as FastifyReply).send;
    Object.defineProperty(answering, "sent", {
      configurable: true,
      get: () => reply.raw.writableEnded,
    });
    setProgress(reply, ANSWERED, SENDING);
    answering.send(error);
  }

  /** Whether an error occurred after the stream started or the request was answered. */
  get #hasFailed(): boolean {
    return ((this.#reply[PROGRESS] ?? 0) & FAILED) !== 0;
  }

  #forgetFailure(): void {
    setProgress(this.#reply, 0, FAILED);
  }

  /** Sends the actual answer, even if the reply was claimed elsewhere (`reply.hijack()`). */
  #sendNow(payload: unknown): FastifyReply {
    const reply = this.#reply;
    setProgress(reply, ANSWERED | SENDING, 0);
    try {
      return this.#send.call(reply, payload);
    } finally {
      setProgress(reply, 0, SENDING);
    }
  }

  /** The route, or Fastify on its behalf, sends something. */
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
    // The client left before there was a stream, and code that was given the signal fails with its abort.
    if (isAbort(payload) && isGone(this.response)) return this.#reply;
    // An error is answered by the error handler, which may open the stream for it if the route has not.
    this.#isAnswered ||= this.#isWaiting || !(payload instanceof Error);
    return this.#send.call(this.#reply, payload);
  }

  /**
   * Prevents other answers on a reply whose stream has started.
   *
   * Errors that the handler throws must still get through: they pass through Fastify's error handling, so that they are
   * logged and hooks see them, and then end the stream.
   */
  #takeBeside(stream: ExchangeStream, payload: unknown): FastifyReply {
    const reply = this.#reply;
    if (this.#fault !== undefined) {
      // The error handler's answer, which is too late, or its own failure, which would otherwise go unnoticed.
      if (payload instanceof Error && payload !== this.#fault) logLate(reply, payload);
      return reply;
    }
    const isHeld = this.#body?.isOpen !== true && !reply.raw.headersSent;
    // A hook on the head failed: this is the error handler's answer.
    const isForHook = isHeld && this.#hasFailed;
    if (isNothing(payload) && !isForHook) return reply;
    if (stream.isClosed) return this.#takeLate(payload);
    if (isHeld) {
      // An ordinary error response is still possible.
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
    // A hook on the head of the answer failed: this is the error handler's answer.
    if (this.#hasFailed && !headersSent && !writableEnded && !destroyed) {
      return this.#sendNow(payload);
    }
    if (payload instanceof Error) logLate(reply, payload);
    return reply;
  }
}

/** Many handlers return the result of `send`, `stream` and similar calls. */
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
  // A handler that was given an `AbortSignal` often fails with its abort when the stream ends.
  if (isAbort(error)) return;
  reply.log.error({ err: error }, "The handler failed after its event stream was over");
}

const NOT_A_STREAM =
  "The handler of an event stream threw or sent a value: expected nothing or the reply";
