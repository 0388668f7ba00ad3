import { OutgoingMessage } from "node:http";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Node's own `write`. A response whose `write` is another has a wrapper, which is to see every byte. */
const WRITE = OutgoingMessage.prototype.write;

/**
 * `false` where the environment says so, for tests and for finding faults, and where the method was wrapped for the
 * whole process before this file was loaded. Node's own hands everything on to `write_`; a wrapper does not.
 */
const IS_ON =
  process.env["TIDEWIRE_DIRECT_WRITE"] !== "off" &&
  Function.prototype.toString.call(WRITE).includes("write_(this");

const NOTHING: Uint8Array = new Uint8Array(0);

/** A socket of `node:http`, which knows the response whose turn it is. */
type HttpSocket = Socket & { readonly _httpMessage?: unknown };

/**
 * Writes ready chunks of HTTP/1.1 straight to the socket of a response, as long as that is the very thing that
 * `response.write` would do.
 *
 * For a body in chunks `response.write(bytes)` corks the socket, writes the length, a line end, the bytes and a line
 * end, and has the socket uncorked in the next tick, which sends the four pieces by one `writev`. Length and line
 * ends are the same for every client. So one buffer with all four can be written to each of them: same bytes,
 * same order, a quarter less work.
 *
 * That holds only while nothing stands between the response and its socket. Before every chunk it is seen to that
 *
 * - it is still this response's turn: the next one on the connection has to wait for its end;
 * - nobody has wrapped `write`: compressors and loggers do, also late;
 * - nobody has corked the response, and with it the socket: it may hold back bytes that have to go before;
 * - nobody has ended it, and the socket can be written to. Node drops what is written to a response that is over.
 *
 * Nobody can have done the last two since the chunk before if the socket is not corked and has not been written a
 * byte since, because an end is written too. Only where it has been is the response itself asked. The reason is
 * that up to Node 22 each response of Express has a shape of its own, for which a property takes half a
 * microsecond to read: all the questions together would take half as long as the write.
 */
export class DirectWriter {
  readonly #response: ServerResponse;
  readonly #socket: HttpSocket;
  /** What the socket's `bytesWritten` was after the last chunk; -1 before the first. */
  #bytesWritten = -1;

  /**
   * @param response - A response that {@link takesChunks}.
   * @param socket - Its socket.
   */
  constructor(response: ServerResponse, socket: Socket) {
    this.#response = response;
    this.#socket = socket;
  }

  /** Bytes that wait for the client. */
  get bufferedBytes(): number {
    const socket = this.#socket;
    return socket.writableCorked === 0 ? socket.writableLength : this.#response.writableLength;
  }

  /**
   * Writes a chunk, if it may.
   *
   * @param chunk - Length, line end, bytes, line end.
   * @returns `undefined` if the bytes have to be written in the ordinary way, or not at all. Else, as
   *   `response.write`, whether the next bytes may follow; if not, the response emits "drain" when they may.
   */
  write(chunk: Uint8Array): boolean | undefined {
    const socket = this.#socket;
    const response = this.#response;
    if (socket._httpMessage !== response || !socket.writable || response.write !== WRITE) {
      return undefined;
    }
    const { bytesWritten } = socket;
    const isAsLeft = bytesWritten === this.#bytesWritten && socket.writableCorked === 0;
    // In a turn where something else was written the socket is corked, which does no harm.
    if (
      !isAsLeft &&
      (response.writableEnded || response.writableLength !== socket.writableLength)
    ) {
      return undefined;
    }
    this.#bytesWritten = bytesWritten + chunk.byteLength;
    // A chunk past the high water mark asks for a pause even if the kernel has taken all of it at once.
    if (socket.write(chunk) || socket.writableLength === 0) return true;
    // Sends nothing. The response takes note that the socket is full, and tells when it is not.
    return response.write(NOTHING);
  }
}

/**
 * Tells whether a response may be given ready chunks.
 *
 * @param response - Response of `node:http`, after its first write: its head has gone out.
 * @returns `false` for HTTP/1.0, which has no chunks, and where somebody wraps the writes.
 */
export function takesChunks(response: ServerResponse): boolean {
  return IS_ON && response.chunkedEncoding && response.write === WRITE;
}
