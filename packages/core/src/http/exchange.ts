/** The contract between an adapter and the core: one request, its response, and what the framework does with both. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { SseError } from "../errors.js";
import type { HeaderTarget } from "./head.js";

/** A request of `node:http` or of the compatibility API of `node:http2`. */
export type NodeRequest = IncomingMessage | Http2ServerRequest;
/** A response of `node:http` or of the compatibility API of `node:http2`. */
export type NodeResponse = ServerResponse | Http2ServerResponse;

/**
 * One request and its response: what an adapter hands to `hub.createSession`.
 *
 * `request` and `response` are enough for plain `node:http`. The rest is for frameworks that have their
 * own idea of headers, of sending and of errors.
 */
export interface Exchange {
  /** The raw request. */
  readonly request: NodeRequest;
  /** The raw response. */
  readonly response: NodeResponse;
  /** The request as the framework has it. Absent: `request`. */
  readonly context?: unknown;
  /** Headers set before and to be set. Absent: those of `response`. */
  readonly headers?: HeaderTarget | undefined;
  /** What the request came in through: `hub.closeServer(server)` ends its session. */
  readonly server?: object | undefined;
  /**
   * Whether the framework has an answer already whose head is not out yet, because a hook holds it back. Absent: it
   * holds none back.
   */
  readonly isAnswered?: boolean | undefined;
  /**
   * Called with `true` when the session begins to wait for something before its stream can start (`authorize`, CORS,
   * the log), and with `false` if it waits no more and has no stream: until then a handler that has returned without an
   * answer has not answered. Not called when the wait ends in a stream or in another answer of the session.
   */
  wait?(isWaiting: boolean): void;
  /**
   * Sends the head through the framework, hooks included, and then calls `stream.opened`. If that fails
   * it calls `stream.failed`, and the framework answers. Absent: the head is written to `response`.
   */
  start?(status: number, stream: ExchangeStream): void;
  /** Answers with this status, the headers set so far and no body. Absent: written to `response`. */
  answer?(status: number): void;
  /** Hands an error to the framework's error handler. Absent: a plain answer with the error's `statusCode`. */
  refuse?(error: unknown): void;
}

/**
 * An exchange that a hub takes whose sessions have this type of request.
 *
 * @typeParam Request - Type of the request that the framework has.
 */
export type ExchangeOf<Request> = Exchange &
  ({ readonly request: Request; readonly context?: undefined } | { readonly context: Request });

/** What the body of a stream is written to: the response, or a compressor that a hook has put before it. */
export interface StreamBody {
  readonly writableEnded: boolean;
  readonly writableLength: number;
  write(bytes: Uint8Array): boolean;
  end(): unknown;
  on(event: "drain" | "error", listener: () => void): unknown;
  off(event: "drain", listener: () => void): unknown;
}

/** What a framework tells of the stream it was asked to start. */
export interface ExchangeStream {
  /** `true` once the response has closed or somebody has ended it. */
  readonly isClosed: boolean;
  /**
   * The body may begin.
   *
   * @param body - Where to write it: the raw response, or a compressor that a hook has put before it.
   */
  opened(body: StreamBody): void;
  /** The handler or a hook failed after the start: the session closes with `error`. */
  failed(): void;
}

/**
 * Checks that an exchange is one.
 *
 * @param exchange - What the caller gave: anything.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it has no request and response of Node's.
 */
export function checkExchange(exchange: Exchange): void {
  const { request, response } = (exchange ?? {}) as Partial<Exchange>;
  if (typeof request?.headers !== "object" || typeof response?.writeHead !== "function") {
    throw new SseError(
      "ERR_SSE_INVALID_OPTION",
      "Expected { request, response } of node:http or node:http2",
    );
  }
}

/**
 * Whether the head of a response has gone out.
 *
 * Express inside Fastify hides that: `@fastify/express` gives every response a `headersSent` of its own, which knows only
 * what Express has sent.
 */
export function isHeadSent(response: NodeResponse): boolean {
  return (
    response.headersSent ||
    Reflect.get(Object.getPrototypeOf(response) as object, "headersSent", response) === true
  );
}

/** Whether a response is of HTTP/1.0 or HTTP/1.1. */
export function isHttp1(response: NodeResponse): response is ServerResponse {
  return !("stream" in response);
}
