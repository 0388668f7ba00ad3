/** Drains request bodies that the application does not read, because they would end their streams. */

import type { IncomingMessage } from "node:http";
import { runOutside } from "./async-context.js";

/** Longest time that a body is left to the application, in milliseconds. */
const LEFT_MS = 30_000;

/**
 * Reads and drops the body of a request later, unless the application starts to read it first.
 *
 * Node cuts a connection whose request has not arrived in full within `server.requestTimeout` (five minutes by
 * default), and an unread body stops arriving when the buffers are full. An application that reads it while its stream
 * is open has to start within a quarter of that time, and within half a minute; the client has the rest to send it.
 *
 * @param request - An HTTP/1 request whose stream has opened.
 */
export function dropUnreadBody(request: IncomingMessage): void {
  const { headers, complete } = request;
  const hasBody =
    headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  if (!hasBody || complete) return;
  // Requests that did not come over a connection of a Node server have no such limit.
  const socket = request.socket as {
    readonly server?: { readonly requestTimeout?: number };
  } | null;
  const requestTimeout = socket?.server?.requestTimeout ?? 0;
  if (requestTimeout <= 0) return;
  const timer = runOutside(() =>
    setTimeout(drop, Math.min(LEFT_MS, requestTimeout / 4), request).unref(),
  );
  // Also emitted once the body has been read.
  request.once("close", () => clearTimeout(timer));
}

function drop(request: IncomingMessage): void {
  // Code that has begun to read it, and paused, will continue.
  if (request.readableFlowing === null && request.listenerCount("readable") === 0) request.resume();
}
