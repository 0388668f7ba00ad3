import { connect } from "node:net";
import type { Socket } from "node:net";
import { MARK_BYTE } from "./event-text.js";

/** Callbacks of a client. All clients share them, so that a client costs no closures. */
export interface LoadListener {
  /** The head and the first bytes after it have arrived. */
  opened(client: LoadClient): void;
  /** Events have arrived, starting with the given one. */
  arrived(client: LoadClient, from: number, count: number): void;
  failed(error: Error): void;
}

// One buffer for all sockets: its bytes are parsed before the next socket is read.
const received = Buffer.allocUnsafe(256 * 1024);

/** Upper limit for a head, which is much shorter. */
const HEAD_LIMIT = 4_096;

const CR = 0x0d;
const LF = 0x0a;

/**
 * The next part of a chunked body.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-7.1
 */
type Part = "size" | "size's end" | "data" | "data's CR" | "data's LF";

/**
 * One client: a bare socket that asks for an event stream and counts what it gets.
 */
export class LoadClient {
  events = 0;
  /** Bytes on the wire. */
  bytes = 0;
  /** Bytes of the body, without the framing of its chunks. */
  bodyBytes = 0;
  /** The bytes received, kept only for the client that is checked. */
  transcript: Buffer[] | undefined;
  readonly #socket: Socket;
  readonly #listener: LoadListener;
  /** The start of the response until the stream's first bytes have arrived; `undefined` afterwards. */
  #head: string | undefined = "";
  /** `false` if the head does not announce a chunked body. */
  #isChunked = false;
  #part: Part = "size";
  /** Bytes left in the chunk while `#part` is `data`; the size so far while it is read. */
  #left = 0;
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

  /** Disconnects without ending the stream. */
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
    const body = this.#head === undefined ? bytes : this.#readHead(bytes);
    if (this.#isChunked) this.#readChunks(body);
    else this.bodyBytes += body.byteLength;
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

  /** @returns The bytes after the head. */
  #readHead(bytes: Buffer): Buffer {
    const before = this.#head?.length ?? 0;
    this.#head += bytes.toString("latin1", 0, HEAD_LIMIT);
    const end = this.#head?.indexOf("\r\n\r\n") ?? -1;
    if (end === -1 || this.#head === undefined) return bytes.subarray(bytes.byteLength);
    const head = this.#head.slice(0, end);
    if (!/^HTTP\/1\.1 200 [^]*\r\ncontent-type: text\/event-stream/i.test(head)) {
      this.cut();
      this.#listener.failed(new Error(`Expected an event stream, got ${JSON.stringify(head)}`));
      return bytes.subarray(bytes.byteLength);
    }
    this.#head = undefined;
    this.#isChunked = /\r\ntransfer-encoding: chunked/i.test(head);
    this.#listener.opened(this);
    return bytes.subarray(end + "\r\n\r\n".length - before);
  }

  /** Counts the bytes of the body, and checks that every chunk is whole. */
  #readChunks(bytes: Buffer): void {
    for (let at = 0; at < bytes.byteLength;) {
      if (this.#part === "data") {
        const taken = Math.min(this.#left, bytes.byteLength - at);
        at += taken;
        this.#left -= taken;
        this.bodyBytes += taken;
        if (this.#left === 0) this.#part = "data's CR";
      } else if (!this.#readFraming(bytes[at++] as number)) {
        const text = JSON.stringify(bytes.toString("latin1", Math.max(0, at - 20), at + 20));
        return this.#over(`a chunk is broken or the last, near ${text}`);
      }
    }
  }

  /** @returns `false` if the byte is not allowed here. */
  #readFraming(byte: number): boolean {
    switch (this.#part) {
      case "size": {
        if (byte === CR) {
          this.#part = "size's end";
          return true;
        }
        const digit = Number.parseInt(String.fromCharCode(byte), 16);
        this.#left = this.#left * 16 + digit;
        return !Number.isNaN(digit);
      }
      case "size's end":
        this.#part = "data";
        // An empty chunk ends the body, and these streams must not end.
        return byte === LF && this.#left > 0;
      case "data's CR":
        this.#part = "data's LF";
        return byte === CR;
      default:
        this.#part = "size";
        return byte === LF;
    }
  }
}
