// A client of the chaos tests: an event stream over a bare socket that can be stalled, and cut at any byte.
import net from "node:net";
import { createParser } from "eventsource-parser";
import type { EventSourceMessage } from "eventsource-parser";

/** Receives the client's events. */
export interface ChaosListener {
  /**
   * A block was dispatched.
   *
   * @param at - Byte of the connection at which the server's write with this block begins.
   */
  block(block: EventSourceMessage, at: number): void;
  /** Number of bytes read from the connection. All blocks in them have been dispatched. */
  received(bytes: number): void;
  /** The stream is over, but the client did not cut it. */
  ended(): void;
}

/** A client that keeps its last event ID as `EventSource` does. */
export class ChaosClient {
  lastEventId = "";
  /** Address of the next connection. */
  address: net.NetConnectOpts;
  readonly #listener: ChaosListener;
  #socket: net.Socket | undefined;
  /** Bytes of the next chunk that arrive before the client is cut; `undefined` if no cut is planned. */
  #cutWithin: number | undefined;

  constructor(address: net.NetConnectOpts, listener: ChaosListener) {
    this.address = address;
    this.#listener = listener;
  }

  connect(path: string): void {
    const socket = net.connect(this.address);
    this.#socket = socket;
    const body = new Body((block, at) => {
      if (this.#socket !== socket) return;
      if (block.id !== undefined) this.lastEventId = block.id;
      this.#listener.block(block, at);
    });
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      if (this.#socket !== socket) return;
      if (this.#cutWithin !== undefined) {
        body.push(chunk.subarray(0, this.#cutWithin % chunk.length));
        this.cut();
        this.#listener.ended();
        return;
      }
      body.push(chunk);
      if (this.#socket === socket) this.#listener.received(body.offset);
      if (body.isOver && this.#socket === socket) this.#over();
    });
    socket.on("close", () => {
      if (this.#socket === socket) this.#over();
    });
    const id = this.lastEventId === "" ? "" : `Last-Event-ID: ${this.lastEventId}\r\n`;
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.test\r\nAccept: text/event-stream\r\n${id}\r\n`,
    );
  }

  /** Disconnects at once; bytes not dispatched yet are lost. */
  cut(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#cutWithin = undefined;
    if (socket === undefined) return;
    if (socket.remoteFamily !== undefined && socket.readyState === "open") {
      socket.resetAndDestroy();
    } else {
      socket.destroy();
    }
  }

  /** Disconnects in the middle of the next chunk. `ended` is called. */
  cutWithin(bytes: number): void {
    this.#cutWithin = bytes;
  }

  stall(): void {
    this.#socket?.pause();
  }

  goOn(): void {
    this.#socket?.resume();
  }

  #over(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#cutWithin = undefined;
    this.#listener.ended();
  }
}

/** Parses head and chunks, and records where each chunk began. */
class Body {
  isOver = false;
  readonly #onBlock: (block: EventSourceMessage, at: number) => void;
  readonly #decoder = new TextDecoder();
  readonly #parser = createParser({ onEvent: (block) => this.#onBlock(block, this.#at) });
  #rest: Buffer = Buffer.alloc(0);
  /** Number of parsed bytes of the connection. */
  offset = 0;
  /** Start of the chunk being parsed. */
  #at = 0;
  #isHeadRead = false;

  constructor(onBlock: (block: EventSourceMessage, at: number) => void) {
    this.#onBlock = onBlock;
  }

  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    if (!this.#isHeadRead) {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end === -1) return;
      this.#isHeadRead = true;
      this.#skip(end + 4);
    }
    while (!this.isOver) {
      const lineEnd = this.#rest.indexOf("\r\n");
      if (lineEnd === -1) return;
      const size = Number.parseInt(this.#rest.toString("latin1", 0, lineEnd), 16);
      const end = lineEnd + 2 + size + 2;
      if (this.#rest.length < end) return;
      this.#at = this.offset;
      const part = this.#rest.subarray(lineEnd + 2, lineEnd + 2 + size);
      this.#skip(end);
      this.isOver = size === 0;
      this.#parser.feed(this.#decoder.decode(part, { stream: true }));
    }
  }

  #skip(bytes: number): void {
    this.offset += bytes;
    this.#rest = this.#rest.subarray(bytes);
  }
}
