// A client of the chaos: an event stream over a bare socket that can be stalled, and cut at any byte.
import net from "node:net";
import { createParser } from "eventsource-parser";
import type { EventSourceMessage } from "eventsource-parser";

/** What the client hands on. */
export interface ChaosListener {
  /**
   * A block was dispatched.
   *
   * @param at - Where on the connection the write of the server begins that it came in.
   */
  block(block: EventSourceMessage, at: number): void;
  /** So many bytes of the connection have been read, and all blocks in them dispatched. */
  received(bytes: number): void;
  /** The stream is over, and it was not the client who cut it. */
  ended(): void;
}

/** A client that keeps its last event ID as `EventSource` does. */
export class ChaosClient {
  lastEventId = "";
  /** Where it connects to next. */
  address: net.NetConnectOpts;
  readonly #listener: ChaosListener;
  #socket: net.Socket | undefined;
  /** How many bytes of the next chunk arrive before the client is cut; `undefined` for no such plan. */
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

  /** Leaves at once; bytes that have not been dispatched are lost. */
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

  /** Leaves in the middle of the next chunk. `ended` is called. */
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

/** Takes head and chunks apart, and knows where each chunk began. */
class Body {
  isOver = false;
  readonly #onBlock: (block: EventSourceMessage, at: number) => void;
  readonly #decoder = new TextDecoder();
  readonly #parser = createParser({ onEvent: (block) => this.#onBlock(block, this.#at) });
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of the connection that were taken apart. */
  offset = 0;
  /** Where the chunk begins that is being parsed. */
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
