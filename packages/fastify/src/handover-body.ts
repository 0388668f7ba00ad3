/** The body that Fastify gets for an event stream, and the point where the session takes over from it. */

import { Readable } from "node:stream";
import type { ExchangeStream, StreamBody } from "@tidewire/core/adapter";
import type { FastifyReply } from "fastify";

/**
 * The body that Fastify gets. Fastify runs its `onSend` hooks, sets the head and pipes the body to the response; at
 * that pipe the session takes over and writes directly.
 *
 * `reply.hijack()` would be shorter, but it skips the hooks in which cookie, session and rate-limit plugins set their
 * headers.
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

  /** Whether the session has taken over: the head is sent, or will be by the stream in front of the response. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Another answer follows. Once the hooks let this body through, it writes nothing and leaves the response open. */
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
      // Ends the body for Fastify, which would otherwise log a leaving client as an error.
      this.#finish();
    } else {
      destination.once("finish", () => this.#finish());
    }
    return destination;
  }

  /** Called when the body is read without a pipe: a hook builds its own stream from it. */
  override _read(): void {
    if (this.#isReplaced) return;
    if (this.#isOpen) this.emit("drain");
    else this.#open(new ReadBody(this));
  }

  #open(body: StreamBody): void {
    this.#isOpen = true;
    this.#stream.opened(body);
    // The hooks have run. From here on a handler timeout does not apply to the stream.
    this.#reply.hijack();
  }

  #finish(): void {
    this.push(null);
    this.resume();
  }
}

/** The target of a session when a hook reads its body without a pipe. */
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
