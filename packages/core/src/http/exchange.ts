/** The contract between adapters and core: one request, its response, and the framework's handling of both. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { SseError } from "../errors.js";
import type { HeaderTarget } from "./head.js";

/** A request of `node:http` or of the compatibility API of `node:http2`. */
export type NodeRequest = IncomingMessage | Http2ServerRequest;
/** A response of `node:http` or of the compatibility API of `node:http2`. */
export type NodeResponse = ServerResponse | Http2ServerResponse;

/**
 * One request and its response, as an adapter passes them to `hub.createSession`.
 *
 * Plain `node:http` needs only `request` and `response`. The other members are for frameworks with their own handling
 * of headers, sending and errors.
 */
export interface Exchange {
  /** The raw request. */
  readonly request: NodeRequest;
  /** The raw response. */
  readonly response: NodeResponse;
  /** The framework's request object. Absent: `request`. */
  readonly context?: unknown;
  /** The response's headers, those already set included. Absent: the headers of `response`. */
  readonly headers?: HeaderTarget | undefined;
  /** The server that the request came through: `hub.closeServer(server)` ends its session. */
  readonly server?: object | undefined;
  /**
   * Whether the framework already has an answer whose head a hook is holding back. Absent: `false`.
   */
  readonly isAnswered?: boolean | undefined;
  /**
   * Called with `true` when the session starts to wait before its stream can open (for `authorize`, CORS or the log),
   * and with `false` if that wait ends without a stream. In between, a handler may return although the request is not
   * answered yet. Not called when the wait ends in a stream or another answer of the session.
   */
  wait?(isWaiting: boolean): void;
  /**
   * Sends the head through the framework, including its hooks, and then calls `stream.opened`. On failure it calls
   * `stream.failed`, and the framework answers. Absent: the head is written to `response`.
   */
  start?(status: number, stream: ExchangeStream): void;
  /** Answers with this status, the headers set so far and without a body. Absent: written to `response`. */
  answer?(status: number): void;
  /** Hands an error to the framework's error handler. Absent: a plain answer with the error's `statusCode`. */
  refuse?(error: unknown): void;
}

/**
 * An exchange for a hub whose sessions have this type of request.
 *
 * @typeParam Request - The framework's request type.
 */
export type ExchangeOf<Request> = Exchange &
  ({ readonly request: Request; readonly context?: undefined } | { readonly context: Request });

/** The target of a stream's body: the response, or a compressor that a hook has put before it. */
export interface StreamBody {
  readonly writableEnded: boolean;
  readonly writableLength: number;
  write(bytes: Uint8Array): boolean;
  end(): unknown;
  on(event: "drain" | "error", listener: () => void): unknown;
  off(event: "drain", listener: () => void): unknown;
}

/** Receives from the framework the progress of a stream that it was asked to start. */
export interface ExchangeStream {
  /** `true` once the response has closed or has been ended elsewhere. */
  readonly isClosed: boolean;
  /**
   * The body may begin.
   *
   * @param body - Target of the bytes: the raw response, or a compressor that a hook has put before it.
   */
  opened(body: StreamBody): void;
  /** The handler or a hook failed after the start: the session closes with `error`. */
  failed(): void;
}

/**
 * Checks that a value is an exchange.
 *
 * @param exchange - Value passed by the caller: anything.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it lacks a Node request and response.
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
 * Tells whether the head of a response has been sent.
 *
 * Express inside Fastify hides this: `@fastify/express` gives each response its own `headersSent`, which covers only
 * what Express sent.
 */
export function isHeadSent(response: NodeResponse): boolean {
  if (response.headersSent) return true;
  if (!Object.hasOwn(response, "headersSent")) return false;
  return Reflect.get(Object.getPrototypeOf(response) as object, "headersSent", response) === true;
}

/** Whether a response uses HTTP/1.0 or HTTP/1.1. */
export function isHttp1(response: NodeResponse): response is ServerResponse {
  return !("stream" in response);
}
