/** Decides how a request for an event stream is answered; pure. */

import { acceptsEventStream, namesEventStream } from "../http/accept.js";
import { SseError } from "../errors.js";
import { readLastEventId } from "../http/last-event-id.js";
import { COMPLETE_ID } from "../wire/message.js";
import { draw } from "../options/jitter.js";
import type { OutletRequest } from "../outlet/outlet.js";

/** Why the hub can open no more streams: it is closed, or it has `maxSessions`. */
export type Obstacle = "shutdown" | "busy";

/** How a request for an event stream is answered. */
export type Reception =
  /** With a stream. */
  | { readonly kind: "stream" }
  /** With only the head of a stream: the request is a `HEAD`. */
  | { readonly kind: "head" }
  /** With 204: the client reconnects after `complete()`, or the route has nothing to send. */
  | { readonly kind: "completed" }
  /** By the framework's error handler. */
  | { readonly kind: "refused"; readonly error: SseError }
  /** With the head of a stream, whose client reconnects when that is cut; for a `HEAD`, with only the head. */
  | { readonly kind: "later"; readonly obstacle: Obstacle; readonly waitMs: number }
  /** With 503 and `Retry-After`. */
  | { readonly kind: "unavailable"; readonly obstacle: Obstacle; readonly waitMs: number };

/** Range of the time after which a turned-away client should reconnect, in milliseconds. */
const TURNED_AWAY_MS = { min: 5_000, max: 30_000 };

/**
 * Decides how a request for an event stream is answered. The answers are not thrown as exceptions, because they all
 * depend on the client or the load, not on the route.
 *
 * @param request - Method, path and headers.
 * @param obstacle - Why the hub can open no more streams; `undefined` if it can.
 * @param wishes - The route's choices: whether `Accept` counts, and whether it has nothing to send.
 * @returns The answer, which the session carries out.
 */
export function receive(
  request: OutletRequest,
  obstacle: Obstacle | undefined,
  {
    checkAccept,
    isCompleted = false,
  }: { readonly checkAccept: boolean | undefined; readonly isCompleted?: boolean },
): Reception {
  const { method = "GET", url, headers } = request;
  // Clients that POST often accept the type of the application's other routes: OpenAI's SDK does.
  const isChecked = checkAccept ?? (method === "GET" || method === "HEAD");
  if (isChecked && !acceptsEventStream(headers.accept)) {
    return {
      kind: "refused",
      // Frameworks show the message to the client, so it contains nothing of the request.
      error: new SseError(
        "ERR_SSE_NOT_ACCEPTABLE",
        "The client does not accept text/event-stream",
        { statusCode: 406 },
      ),
    };
  }
  if (isCompleted || readLastEventId(headers["last-event-id"], url ?? "") === COMPLETE_ID) {
    return { kind: "completed" };
  }
  if (obstacle !== undefined) {
    const waitMs = draw(TURNED_AWAY_MS);
    // A single answer other than 200 makes EventSource give up for good; other clients understand 503.
    const kind = namesEventStream(headers.accept) ? "later" : "unavailable";
    return { kind, obstacle, waitMs };
  }
  return { kind: method === "HEAD" ? "head" : "stream" };
}
