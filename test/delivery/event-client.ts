import net from "node:net";
import { createParser } from "eventsource-parser";
import type { EventSourceMessage } from "eventsource-parser";

/** How a connection is cut. */
export type Cut = "fin" | "rst";

/**
 * A client with the behaviour of `EventSource` over a bare socket: it parses, keeps the last event ID it has
 * dispatched, and reconnects with it. It can be cut at any byte.
 */
export class EventClient {
  /** Dispatched events, without Tidewire's own. */
  readonly events: EventSourceMessage[] = [];
  /** `sse-reset` events with parsed data. */
  readonly resets: { reason: string; channels: string[] }[] = [];
  /** Number of events before the last reset. */
  resetAt = 0;
  /** `sse-cursor` events. */
  cursors = 0;
  /** Status lines of all responses. */
  readonly statuses: string[] = [];
  lastEventId = "";
  isOpen = false;
  connections = 0;
  /** Port for the next connection. */
  port: number;
  readonly #path: string;
  #socket: net.Socket | undefined;
  /** Called with each chunk before it is parsed. The returned part is parsed, the rest is lost. */
  onChunk: (chunk: Buffer) => Buffer = (chunk) => chunk;
  onEvent: (event: EventSourceMessage) => void = () => {};

  constructor(port: number, path: string) {
    this.port = port;
    this.#path = path;
  }

  connect(): void {
    this.connections += 1;
    const socket = net.connect(this.port, "127.0.0.1");
    this.#socket = socket;
    const decoder = new TextDecoder();
    const parser = createParser({
      onEvent: (event) => {
        // The id counts only once its event is dispatched.
        if (event.id !== undefined) this.lastEventId = event.id;
        this.#dispatch(event);
      },
    });
    let head = "";
    let body: ChunkedBody | undefined;
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#socket === socket) this.isOpen = false;
    });
    socket.on("data", (received) => {
      // A connection that is cut can still hand on what it had read.
      if (this.#socket !== socket) return;
      const chunk = this.onChunk(received);
      if (this.#socket !== socket) return;
      if (body === undefined) {
        head += chunk.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end === -1) return;
        this.statuses.push(head.slice(0, head.indexOf("\r\n")));
        body = new ChunkedBody();
        this.isOpen = true;
        const rest = Buffer.from(head.slice(end + 4), "latin1");
        for (const part of body.push(rest)) parser.feed(decoder.decode(part, { stream: true }));
        return;
      }
      for (const part of body.push(chunk)) parser.feed(decoder.decode(part, { stream: true }));
    });
    const id = this.lastEventId === "" ? "" : `Last-Event-ID: ${this.lastEventId}\r\n`;
    socket.write(
      `GET ${this.#path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${id}\r\n`,
    );
  }

  /** Data not dispatched yet is lost, as in a browser that loses its connection. */
  cut(how: Cut): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.isOpen = false;
    if (how === "rst") socket?.resetAndDestroy();
    else socket?.destroy();
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  #dispatch(event: EventSourceMessage): void {
    if (event.event === "sse-cursor") {
      this.cursors += 1;
    } else if (event.event === "sse-reset") {
      this.resetAt = this.events.length;
      this.resets.push(JSON.parse(event.data) as { reason: string; channels: string[] });
    } else {
      this.events.push(event);
      this.onEvent(event);
    }
  }
}

/** Decodes HTTP/1.1 chunks. */
class ChunkedBody {
  #rest: Buffer = Buffer.alloc(0);

  /** @returns The complete parts of the body. */
  push(bytes: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const parts: Buffer[] = [];
    for (;;) {
      const lineEnd = this.#rest.indexOf("\r\n");
      if (lineEnd === -1) return parts;
      const size = Number.parseInt(this.#rest.toString("latin1", 0, lineEnd), 16);
      const end = lineEnd + 2 + size + 2;
      if (this.#rest.length < end) return parts;
      parts.push(this.#rest.subarray(lineEnd + 2, lineEnd + 2 + size));
      this.#rest = this.#rest.subarray(end);
    }
  }
}

/** A random sequence that can be repeated from its seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
