/** Decides how a request for an event stream is answered; pure. */

import { acceptsEventStream, namesEventStream } from "../http/accept.js";
import { SseError } from "../errors.js";
import { readLastEventId } from "../http/last-event-id.js";
import { COMPLETE_ID } from "../wire/message.js";
import { draw } from "../options/jitter.js";
import type { OutletRequest } from "../outlet/outlet.js";

/** Why no further stream may be opened: the hub is closed, or it has `maxSessions`. */
export type Obstacle = "shutdown" | "busy";

/** How a request for an event stream is answered. */
export type Reception =
  /** With a stream. */
  | { readonly kind: "stream" }
  /** With the head of a stream alone: the request is a `HEAD`. */
  | { readonly kind: "head" }
  /** With 204: the client comes back after `complete()`, or the route has nothing to send. */
  | { readonly kind: "completed" }
  /** By the framework's error handler. */
  | { readonly kind: "refused"; readonly error: SseError }
  /** With the head of a stream whose client comes back when its connection is cut; a `HEAD` with the head alone. */
  | { readonly kind: "later"; readonly obstacle: Obstacle; readonly waitMs: number }
  /** With 503 and `Retry-After`. */
  | { readonly kind: "unavailable"; readonly obstacle: Obstacle; readonly waitMs: number };

/** What a client that is turned away waits before it comes back, in milliseconds. */
const TURNED_AWAY_MS = { min: 5_000, max: 30_000 };

/**
 * Decides how a request for an event stream is answered. None of the answers is an exception: all
 * depend on the client or on how busy the hub is, not on the route.
 *
 * @param request - Method, path and headers.
 * @param obstacle - Why no further stream may be opened; `undefined` if one may.
 * @param wishes - Of the route: whether `Accept` counts, and whether it has nothing to send.
 * @returns The answer; what it takes is up to the session.
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
  // Clients that POST often name the type that other routes of theirs answer with: OpenAI's SDK does.
  const isChecked = checkAccept ?? (method === "GET" || method === "HEAD");
  if (isChecked && !acceptsEventStream(headers.accept)) {
    return {
      kind: "refused",
      // Frameworks show the message to the client: nothing of the request is in it.
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
    // One answer other than 200 makes EventSource give up for ever; other clients understand 503.
    const kind = namesEventStream(headers.accept) ? "later" : "unavailable";
    return { kind, obstacle, waitMs };
  }
  return { kind: method === "HEAD" ? "head" : "stream" };
}
