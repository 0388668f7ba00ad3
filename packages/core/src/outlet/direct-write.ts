/** Writes ready-made HTTP/1.1 chunks straight to a socket, where that sends the same bytes as `response.write`. */

import { OutgoingMessage } from "node:http";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Node's own `write`. A response with another `write` is wrapped, and the wrapper must see every byte. */
const WRITE = OutgoingMessage.prototype.write;

/**
 * `false` if switched off by an environment variable, for tests and debugging, or if the method was wrapped
 * process-wide before this file was loaded. Node's own method passes everything to `write_`; a wrapper does not.
 */
const IS_ON =
  process.env["TIDEWIRE_DIRECT_WRITE"] !== "off" &&
  Function.prototype.toString.call(WRITE).includes("write_(this");

const NOTHING: Uint8Array = new Uint8Array(0);

/** A socket of `node:http`, which knows the response that is being sent. */
type HttpSocket = Socket & { readonly _httpMessage?: unknown };

/**
 * Tells whether a response can take ready-made chunks.
 *
 * @param response - Response of `node:http`, after its first write: its head has been sent.
 * @returns `false` for HTTP/1.0, which has no chunks, and where writes are wrapped.
 */
export function takesChunks(response: ServerResponse): boolean {
  return IS_ON && response.chunkedEncoding && response.write === WRITE;
}

/**
 * Writes a ready-made HTTP/1.1 chunk straight to the socket of a response, if `response.write` would do exactly the
 * same.
 *
 * For a chunked body, `response.write(bytes)` corks the socket and writes the length, a line end, the bytes and a line
 * end. The next tick uncorks the socket, which sends the four pieces in one `writev`. Length and line ends are the same
 * for every client, so one buffer with all four can be written to each of them: same bytes, same order, a quarter less
 * work.
 *
 * This is valid only if the response writes straight to its socket. For every chunk:
 *
 * - it must be this response's turn: the next one on the connection has to wait for its end;
 * - the socket must be writable. Node drops writes to a response whose socket has been ended;
 * - `write` must not be wrapped: compressors and loggers wrap it, sometimes late;
 * - the response and its socket must not be corked: they may hold bytes that have to go first.
 *
 * The caller guarantees the rest: the response {@link takesChunks} and has not ended.
 *
 * No other property of the response is read. Up to Node 22 each Express response has its own hidden class, where
 * reading a property takes up to half a microsecond: a few reads would cost as much as the write saves.
 *
 * @param chunk - Length, line end, bytes, line end.
 * @returns `undefined` if the bytes have to be written in the ordinary way, or not at all. Otherwise whether the next
 *   bytes may follow, as from `response.write`; if not, the response emits "drain" when they may.
 */
export function writeDirectly(
  response: ServerResponse,
  socket: HttpSocket,
  chunk: Uint8Array,
): boolean | undefined {
  if (socket._httpMessage !== response || !socket.writable || response.write !== WRITE) {
    return undefined;
  }
  // Node also leaves the socket corked until the next tick, which does no harm.
  if (socket.writableCorked > 0 && response.writableLength !== socket.writableLength) {
    return undefined;
  }
  // A chunk above the high water mark asks for a pause even if the kernel has accepted all of it at once.
  if (socket.write(chunk) || socket.writableLength === 0) return true;
  // Sends no bytes. It makes the response note that the socket is full, so that it emits "drain".
  return response.write(NOTHING);
}
