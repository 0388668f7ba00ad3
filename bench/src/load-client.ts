import { connect } from "node:net";
import type { Socket } from "node:net";
import { MARK_BYTE } from "./event-text.js";

/** What a client tells. Shared by all clients, so that a client costs no closures. */
export interface LoadListener {
  /** The head and the first bytes behind it are there. */
  opened(client: LoadClient): void;
  /** Events have arrived, from the given one on. */
  arrived(client: LoadClient, from: number, count: number): void;
  failed(error: Error): void;
}

// One buffer for all: what is in it is looked at before the next socket is read.
const received = Buffer.allocUnsafe(256 * 1024);

/** Bytes of a head are far fewer. */
const HEAD_LIMIT = 4_096;

/**
 * One client: a bare socket that asks for an event stream and counts what it gets.
 */
export class LoadClient {
  events = 0;
  bytes = 0;
  /** What was received, if somebody wants to look at it. */
  transcript: Buffer[] | undefined;
  readonly #socket: Socket;
  readonly #listener: LoadListener;
  /** The beginning of the response until the stream's first bytes are there; `undefined` from then on. */
  #head: string | undefined = "";
  #isCut = false;

  constructor(port: number, path: string, lastEventId: string | undefined, listener: LoadListener) {
    this.#listener = listener;
    this.#socket = connect({
      port,
      host: "127.0.0.1",
      noDelay: true,
      onread: { buffer: received, callback: (size) => this.#read(size) },
    });
    const resume = lastEventId === undefined ? "" : `Last-Event-ID: ${lastEventId}\r\n`;
    this.#socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: text/event-stream\r\n${resume}\r\n`,
    );
    this.#socket.on("error", (error) => this.#over(error.message));
    this.#socket.on("close", () => this.#over("the server has closed the connection"));
  }

  /** Leaves without a word. */
  cut(): void {
    this.#isCut = true;
    this.#socket.destroy();
  }

  #over(reason: string): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#listener.failed(new Error(`A client has lost its stream: ${reason}`));
  }

  #read(size: number): boolean {
    const bytes = received.subarray(0, size);
    this.bytes += size;
    if (this.#head !== undefined) this.#readHead(bytes);
    let count = 0;
    for (let at = bytes.indexOf(MARK_BYTE); at !== -1; at = bytes.indexOf(MARK_BYTE, at + 1)) {
      count += 1;
    }
    this.transcript?.push(Buffer.from(bytes));
    if (count === 0) return true;
    const from = this.events;
    this.events += count;
    this.#listener.arrived(this, from, count);
    return true;
  }

  #readHead(bytes: Buffer): void {
    this.#head += bytes.toString("latin1", 0, HEAD_LIMIT);
    const end = this.#head?.indexOf("\r\n\r\n") ?? -1;
    if (end === -1 || this.#head === undefined) return;
    const head = this.#head.slice(0, end);
    if (!/^HTTP\/1\.1 200 [^]*\r\ncontent-type: text\/event-stream/i.test(head)) {
      this.cut();
      this.#listener.failed(new Error(`Expected an event stream, got ${JSON.stringify(head)}`));
      return;
    }
    this.#head = undefined;
    this.#listener.opened(this);
  }
}
