/** Streams that record when bytes arrive, without keeping them: thousands of them cost their process little. */

import { once } from "node:events";
import net from "node:net";

/** One open stream. */
export class TimedStream {
  /** When the last part with an event arrived, in milliseconds since 1970; 0 if none did. */
  lastEventAt = 0;
  /** Parts with an event. */
  count = 0;
  isEnded = false;
  readonly #socket: net.Socket;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (part) => {
      // The last chunk of a body that ends in order.
      if (part.includes("\r\n0\r\n\r\n") || part.equals(LAST_CHUNK)) this.isEnded = true;
      if (!part.includes("data: at ")) return;
      this.count += 1;
      this.lastEventAt = performance.timeOrigin + performance.now();
    });
    socket.on("close", () => {
      this.isEnded = true;
    });
  }

  /** Opens a stream. `address` varies where thousands of them would need more ports than one address has. */
  static async open(port: number, path: string, address = "127.0.0.1"): Promise<TimedStream> {
    const socket = net.connect(port, address);
    const stream = new TimedStream(socket);
    await once(socket, "connect");
    socket.write(`GET ${path} HTTP/1.1\r\nHost: node\r\nAccept: text/event-stream\r\n\r\n`);
    await once(socket, "data");
    return stream;
  }

  close(): void {
    this.#socket.destroy();
  }
}

const LAST_CHUNK = Buffer.from("0\r\n\r\n");
