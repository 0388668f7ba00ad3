/** The body that Fastify is given for an event stream, and where the session takes over from it. */

import { Readable } from "node:stream";
import type { ExchangeStream, StreamBody } from "@tidewire/core/adapter";
import type { FastifyReply } from "fastify";

/**
 * The body that Fastify is given. Fastify runs its `onSend` hooks, sets the head, and pipes the body to
 * the response: that pipe is where the session takes over and writes by itself.
 *
 * `reply.hijack()` would be shorter, but it skips the hooks in which cookie, session and rate-limit
 * plugins set their headers.
 */
export class HandoverBody extends Readable {
  readonly #stream: ExchangeStream;
  readonly #reply: FastifyReply;
  #isOpen = false;
  #isReplaced = false;

  constructor(stream: ExchangeStream, reply: FastifyReply) {
    super();
    this.#stream = stream;
    this.#reply = reply;
  }

  /** Whether the session has taken over: the head is out, or whatever stands before the response sends it. */
  get isOpen(): boolean {
    return this.#isOpen;
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
