import { Readable } from "node:stream";
import type { Exchange, ExchangeStream, HeaderTarget, StreamBody } from "@tidewire/core";
import type { FastifyReply } from "fastify";

type RawRequest = Exchange["request"];
type RawResponse = Exchange["response"];

/**
 * A request of Fastify and its reply, answered through the reply's whole lifecycle.
 */
export class FastifyExchange implements Exchange, HeaderTarget {
  readonly #reply: FastifyReply;

  constructor(reply: FastifyReply) {
    this.#reply = reply;
  }

  get request(): RawRequest {
    return this.#reply.request.raw;
  }

  get response(): RawResponse {
    return this.#reply.raw;
  }

  get context(): unknown {
    return this.#reply.request;
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

  start(status: number, stream: ExchangeStream): void {
    const reply = this.#reply;
    // @fastify/compress does not heed `no-transform`, only this header; it would hold events back.
    reply.request.raw.headers["x-no-compression"] ??= "event-stream";
    reply.code(status);
    reply.send(new HandoverBody(stream, reply));
    guard(reply, stream);
  }

  answer(status: number): void {
    const reply = this.#reply.code(status);
    // An empty stream: for nothing at all the HEAD routes that Fastify adds would claim a length of 0.
    reply.send(reply.request.method === "HEAD" ? Readable.from([]) : undefined);
    guard(this.#reply);
  }

  refuse(error: unknown): void {
    this.#reply.send(error);
    guard(this.#reply);
  }
}

/**
 * The body that Fastify is given. Fastify runs its `onSend` hooks, sets the head, and pipes the body to
 * the response: that pipe is where the session takes over and writes by itself.
 *
 * `reply.hijack()` would be shorter, but it skips the hooks in which cookie, session and rate-limit
 * plugins set their headers.
 */
class HandoverBody extends Readable {
  readonly #stream: ExchangeStream;
  readonly #reply: FastifyReply;

  constructor(stream: ExchangeStream, reply: FastifyReply) {
    super();
    this.#stream = stream;
    this.#reply = reply;
  }

  override pipe<Destination extends NodeJS.WritableStream>(destination: Destination): Destination {
    const isRaw = (destination as unknown) === this.#reply.raw;
    this.#stream.opened(destination as unknown as StreamBody);
    // The hooks have run. From here on a time limit for handlers does not apply to the stream.
    this.#reply.hijack();
    if (isRaw) {
      // For Fastify the body is over: otherwise it would log a client that leaves as an error.
      this.push(null);
      this.resume();
    }
    return destination;
  }

  override _read(): void {}
}

/**
 * Keeps anything else from being sent on a reply that the session has answered.
 *
 * Fastify sends what a handler returns or throws. For what `send`, `stream` and the like return that would
 * be a second answer. An error goes through Fastify's error handling, so that it is logged and hooks see
 * it, and then ends the stream.
 */
function guard(reply: FastifyReply, stream?: ExchangeStream): void {
  const send = reply.send.bind(reply);
  let isFailing = false;
  reply.send = (payload?: unknown): FastifyReply => {
    if (payload === undefined || typeof payload === "boolean") return reply;
    // The second call is the error handler's answer, for which it is too late.
    if (isFailing) return reply;
    if (stream === undefined || stream.isClosed) return send(payload);
    if (!reply.raw.headersSent) {
      // A hook holds the head back: there is still time for an ordinary error response.
      stream.failed();
      reply.send = send;
      return send(payload);
    }
    isFailing = true;
    try {
      send(payload instanceof Error ? payload : new Error(NOT_A_STREAM, { cause: payload }));
    } finally {
      stream.failed();
    }
    return reply;
  };
  // A hijacked reply counts as sent, and what its handler throws would end in a line of the log.
  Object.defineProperty(reply, "sent", {
    configurable: true,
    get: () => reply.raw.writableEnded,
  });
}

const NOT_A_STREAM =
  "The handler of an event stream returned or threw a value: expected nothing or the reply";
