/** Writes ready-made chunks of HTTP/1.1 straight to a socket, if that sends the same bytes as `response.write`. */

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
 * Tells whether a response may be given ready chunks.
 *
 * @param response - Response of `node:http`, after its first write: its head has gone out.
 * @returns `false` for HTTP/1.0, which has no chunks, and where somebody wraps the writes.
 */
export function takesChunks(response: ServerResponse): boolean {
  return IS_ON && response.chunkedEncoding && response.write === WRITE;
}

/**
 * Writes a ready chunk of HTTP/1.1 straight to the socket of a response, if that is the very thing that
 * `response.write` would do.
 *
 * For a body in chunks `response.write(bytes)` corks the socket, writes the length, a line end, the bytes and a line
 * end, and has the socket uncorked in the next tick, which sends the four pieces by one `writev`. Length and line
 * ends are the same for every client. So one buffer with all four can be written to each of them: same bytes,
 * same order, a quarter less work.
 *
 * That holds only while nothing stands between the response and its socket. Every chunk requires that
 *
 * - it is still this response's turn: the next one on the connection has to wait for its end;
 * - the socket can be written to. Node drops what is written to a response whose socket somebody has ended;
 * - `write` is not wrapped: compressors and loggers wrap it, also late;
 * - the response is not corked, and with it the socket: it may hold bytes that have to go first.
 *
 * The caller guarantees the rest: the response {@link takesChunks} and has not ended.
 *
 * No other property of the response is read. Up to Node 22 each response of Express has its own hidden class, for which
 * reading a property takes up to half a microsecond: a few of them would cost as much as the write saves.
 *
 * @param chunk - Length, line end, bytes, line end.
 * @returns `undefined` if the bytes have to be written in the ordinary way, or not at all. Else, as
 *   `response.write`, whether the next bytes may follow; if not, the response emits "drain" when they may.
 */
export function writeDirectly(
  response: ServerResponse,
  socket: HttpSocket,
  chunk: Uint8Array,
): boolean | undefined {
  if (socket._httpMessage !== response || !socket.writable || response.write !== WRITE) {
    return undefined;
  }
  // Corked is also what Node leaves until the next tick, which does no harm.
  if (socket.writableCorked > 0 && response.writableLength !== socket.writableLength) {
    return undefined;
  }
  // A chunk past the high water mark asks for a pause even if the kernel has taken all of it at once.
  if (socket.write(chunk) || socket.writableLength === 0) return true;
  // Sends nothing. The response takes note that the socket is full, and tells when it is not.
  return response.write(NOTHING);
}
