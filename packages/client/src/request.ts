/** One request for a stream, and what its answer means. */

import { readRetryAfter } from "./backoff.js";
import { encodeLastEventId } from "./last-event-id.js";
import type { FetchedRequest, FetchedResponse, Settings } from "./options.js";
import { beginTurn, renewOnce } from "./renewal.js";
import type { ClosedStatus, LossReason } from "./status.js";

/** How an attempt ended, with the state that follows. */
export type Outcome = Loss | ClosedStatus | typeof AGAIN | typeof RENEWED;

/** The stream was lost, or did not open. */
export interface Loss {
  readonly state: "waiting";
  readonly reason: LossReason;
  readonly httpStatus?: number;
  readonly error?: unknown;
  /** For how long the server wants no request, in milliseconds; `undefined` if it did not ask for time. */
  readonly askedMs?: number | undefined;
}

/** Connect again at once, without counting a failure. */
export const AGAIN = { state: "connecting" } as const;

/** Connect again at once, with new credentials. */
export const RENEWED = { state: "connecting" } as const;

/** An answer that is an event stream. */
export interface Opened {
  readonly state: "open";
  readonly body: FetchedResponse["body"];
}

/**
 * Sends a request, and judges its answer. Never rejects.
 *
 * @param isRenewed - Whether the credentials are new: they are not renewed twice in a row.
 * @param position - Called once the headers are there: meanwhile the last event ID may have been set.
 * @param onHead - The answer has begun.
 */
export async function requestStream(
  url: string,
  settings: Settings,
  signal: AbortSignal,
  isRenewed: boolean,
  position: () => string,
  onHead: () => void,
): Promise<Outcome | Opened> {
  const { method, body, credentials, onUnauthorized, fetch = globalThis.fetch } = settings;
  const turn = beginTurn();
  let reason: LossReason = "headers";
  try {
    const { headers: source } = settings;
    const given = await (typeof source === "function" ? source() : source);
    if (signal.aborted) return AGAIN;
    const headers = new Headers(given as never);
    const lastEventId = position();
    if (!headers.has("accept")) headers.set("accept", "text/event-stream");
    if (lastEventId !== "") headers.set("last-event-id", encodeLastEventId(lastEventId));
    reason = "unreachable";
    const request = {
      method,
      headers: Object.fromEntries(headers as unknown as Iterable<[string, string]>),
      body,
      credentials,
      signal,
      cache: "no-store",
    };
    // Not as a method of `settings`, which the `fetch` of browsers refuses.
    const response: FetchedResponse = await fetch(url, request as FetchedRequest);
    if (signal.aborted) return AGAIN;
    onHead();
    const { status: httpStatus } = response;
    if (httpStatus === 204) return { state: "closed", reason: "completed", httpStatus };
    const isUnauthorized = httpStatus === 401 || httpStatus === 403;
    // Sent again, the same body would be refused again. 408, 425 and 429 pass with time.
    if (isUnauthorized || (method !== "GET" && /^4(?!08|25|29)/.test(httpStatus as never))) {
      let error: unknown = new Error(`HTTP ${httpStatus}`);
      if (isUnauthorized && onUnauthorized !== undefined && !isRenewed) {
        try {
          if ((await renewOnce(onUnauthorized, turn, httpStatus)) !== false) return RENEWED;
        } catch (failure) {
          error = failure;
        }
      }
      const why = isUnauthorized ? "unauthorized" : "refused";
      return { state: "closed", reason: why, httpStatus, error };
    }
    const type = response.headers.get("content-type") as never;
    if (httpStatus === 200 && /^text\/event-stream *(;|$)/i.test(type)) {
      return { state: "open", body: response.body };
    }
    reason = httpStatus === 200 ? "content-type" : "status";
    const askedMs = readRetryAfter(response.headers.get("retry-after"));
    return { state: "waiting", reason, httpStatus, askedMs };
  } catch (error) {
    return { state: "waiting", reason, error };
  }
}
