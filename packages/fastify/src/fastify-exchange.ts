import { Readable } from "node:stream";
import type { Exchange, ExchangeStream, HeaderTarget, StreamBody } from "@tidewire/core/adapter";
import type { FastifyReply, FastifyRequest } from "fastify";

type RawRequest = Exchange["request"];
type RawResponse = Exchange["response"];

/** Set on a reply once the route's handler runs: until then it is hooks that send. */
export const HANDLED: unique symbol = Symbol("tidewire.handled");
type HandledReply = FastifyReply & { [HANDLED]?: boolean };

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

  get context(): FastifyRequest {
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
    const body = new HandoverBody(stream, reply);
    reply.send(body);
    guard(reply, stream, body);
  }

  answer(status: number): void {
    const reply = this.#reply.code(status);
    // An empty stream: for nothing at all the HEAD routes that Fastify adds would claim a length of 0.
    reply.send(reply.request.method === "HEAD" ? Readable.from([]) : undefined);
    close(reply);
  }

  refuse(error: unknown): void {
    const reply = this.#reply;
    // The error handler answers, whenever and however it likes; what the handler of the route still sends or
    // returns is no answer any more. A reply of its own tells the one from the other.
    const answering = Object.create(reply) as FastifyReply;
    answering.send = (Object.getPrototypeOf(reply) as FastifyReply).send;
    close(reply);
    answering.send(error);
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
  #isOpen = false;
  #isReplaced = false;

  constructor(stream: ExchangeStream, reply: FastifyReply) {
    super();
    this.#stream = stream;
    this.#reply = reply;
  }

  /** Another answer follows: once the hooks let this body through, it writes nothing and leaves the response open. */
  replace(): void {
    this.#isReplaced = true;
  }

  override pipe<Destination extends NodeJS.WritableStream>(destination: Destination): Destination {
    if (this.#isReplaced) {
      this.#finish();
      return destination;
    }
    const isRaw = (destination as unknown) === this.#reply.raw;
    this.#open(destination as unknown as StreamBody);
    if (isRaw) {
      // For Fastify the body is over: otherwise it would log a client that leaves as an error.
      this.#finish();
    } else {
      destination.once("finish", () => this.#finish());
    }
    return destination;
  }

  /** Somebody reads without a pipe: a hook that makes a stream of its own from this one. */
  override _read(): void {
    if (this.#isReplaced) return;
    if (this.#isOpen) this.emit("drain");
    else this.#open(new ReadBody(this));
  }

  #open(body: StreamBody): void {
    this.#isOpen = true;
    this.#stream.opened(body);
    // The hooks have run. From here on a time limit for handlers does not apply to the stream.
    this.#reply.hijack();
  }

  #finish(): void {
    this.push(null);
    this.resume();
  }
}

/** What a session writes to when a hook reads its body without a pipe. */
class ReadBody implements StreamBody {
  readonly #body: Readable;
  #isEnded = false;

  constructor(body: Readable) {
    this.#body = body;
  }

  get writableEnded(): boolean {
    return this.#isEnded;
  }

  get writableLength(): number {
    return this.#body.readableLength;
  }

  write(bytes: Uint8Array): boolean {
    return this.#body.push(bytes);
  }

  end(): void {
    this.#isEnded = true;
    this.#body.push(null);
  }

  on(event: "drain" | "error", listener: () => void): void {
    this.#body.on(event, listener.bind(this));
  }

  off(): void {}
}

/**
 * Keeps anything else from being sent on a reply whose stream has started.
 *
 * A hijacked reply counts as sent, so that no further hook and no handler runs. What the handler itself throws
 * has to come through all the same: it goes through Fastify's error handling, so that it is logged and hooks see
 * it, and then ends the stream.
 */
function guard(reply: FastifyReply, stream: ExchangeStream, body: HandoverBody): void {
  const send = reply.send.bind(reply);
  let isFailing = false;
  reply.send = (payload?: unknown): FastifyReply => {
    // What `send`, `stream` and the like return is returned by many a handler.
    if (payload === undefined || typeof payload === "boolean") return reply;
    // The second call is the error handler's answer, for which it is too late.
    if (isFailing) return reply;
    if (stream.isClosed) return logLate(reply, payload);
    if (!reply.raw.headersSent) {
      // A hook holds the head back: there is still time for an ordinary error response.
      stream.failed();
      body.replace();
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
  Object.defineProperty(reply, "sent", SENT);
}

/** Keeps everything else from being sent on a reply that is answered. */
function close(reply: FastifyReply): void {
  reply.send = (payload?: unknown): FastifyReply => logLate(reply, payload);
}

/** A handler that hears of the end of its stream by an `AbortSignal` often fails with just that. */
function logLate(reply: FastifyReply, payload: unknown): FastifyReply {
  if (payload instanceof Error && payload.name !== "AbortError") {
    reply.log.error({ err: payload }, "The handler failed after its event stream was over");
  }
  return reply;
}

const SENT: PropertyDescriptor = {
  configurable: true,
  get(this: HandledReply): boolean {
    return this[HANDLED] !== true || this.raw.writableEnded;
  },
};

const NOT_A_STREAM =
  "The handler of an event stream threw or sent a value: expected nothing or the reply";
