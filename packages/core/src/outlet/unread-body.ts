/** Bodies of requests that nobody reads, which would end their streams. */

import type { IncomingMessage } from "node:http";
import { runOutside } from "./async-context.js";

/** The longest that a body is left to the application, in milliseconds. */
const LEFT_MS = 30_000;

/**
 * Reads and drops the body of a request later, unless somebody reads it until then.
 *
 * Node cuts a connection whose request has not arrived in full within `server.requestTimeout`, five minutes by default, and
 * a body that nobody reads does not arrive beyond what fits into buffers. An application that reads it later, while its
 * stream is open, has a quarter of that time to begin, and half a minute at most; the client has the rest to send it.
 *
 * @param request - A request of HTTP/1 whose stream has opened.
 */
export function dropUnreadBody(request: IncomingMessage): void {
  const { headers, complete } = request;
  const hasBody =
    headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  if (!hasBody || complete) return;
  // Requests that did not come over a connection of Node's server have no such limit.
  const socket = request.socket as {
    readonly server?: { readonly requestTimeout?: number };
  } | null;
  const requestTimeout = socket?.server?.requestTimeout ?? 0;
  if (requestTimeout <= 0) return;
  const timer = runOutside(() =>
    setTimeout(drop, Math.min(LEFT_MS, requestTimeout / 4), request).unref(),
  );
  // Comes once the body has been read, too.
  request.once("close", () => clearTimeout(timer));
}

function drop(request: IncomingMessage): void {
  // Whoever has begun to read it, and has paused, is the one to go on.
  if (request.readableFlowing === null && request.listenerCount("readable") === 0) request.resume();
}
