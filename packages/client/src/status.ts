/** The states of a stream, and their reasons. */

/**
 * State of a stream. Each change is a new object; `state` tells which one:
 * {@link ConnectingStatus}, {@link OpenStatus}, {@link WaitingStatus} or {@link ClosedStatus}.
 */
export type Status = ConnectingStatus | OpenStatus | WaitingStatus | ClosedStatus;

/** A request is on its way, and its answer has not begun. */
export interface ConnectingStatus {
  /** Tells the members of {@link Status} apart. */
  readonly state: "connecting";
  /** How many attempts have failed since events last came through: 0 for the first one. */
  readonly failures: number;
}

/** The server has answered with an event stream. */
export interface OpenStatus {
  /** Tells the members of {@link Status} apart. */
  readonly state: "open";
}

/** The stream was lost, or could not be opened, and is tried again. */
export interface WaitingStatus {
  /** Tells the members of {@link Status} apart. */
  readonly state: "waiting";
  /** Why the stream was lost. */
  readonly reason: LossReason;
  /** How many attempts have failed since events last came through: at least 1. */
  readonly failures: number;
  /** When the next attempt is, in milliseconds since 1970 as of `Date.now()`. It may be earlier if the page wakes up. */
  readonly retryAt: number;
  /** HTTP status of the answer; `undefined` if there was no answer, or if it was a stream. */
  readonly httpStatus?: number | undefined;
  /** The error of `fetch`, of the body or of `headers`; `undefined` if there was none. */
  readonly error?: unknown;
}

/** The stream has ended for good. */
export interface ClosedStatus {
  /** Tells the members of {@link Status} apart. */
  readonly state: "closed";
  /** Why the stream has ended. */
  readonly reason: CloseReason;
  /** HTTP status of the answer that ended it; `undefined` if it was not the answer. */
  readonly httpStatus?: number | undefined;
  /** The error with which loops over the stream end; `undefined` unless the reason is `unauthorized` or `refused`. */
  readonly error?: unknown;
}

/**
 * Why a stream was lost:
 *
 * - `unreachable`: no answer. `fetch` failed: connection refused, no network, no permission by CORS.
 * - `timeout`: no answer within `connectTimeoutMs`.
 * - `status`: an answer with another status than 200, such as 502. `httpStatus` has it.
 * - `content-type`: the answer is not an event stream.
 * - `broken`: the connection broke in the middle.
 * - `ended`: the server ended the stream in order.
 * - `stalled`: the link is dead. The server said nothing for one and a half heartbeats.
 * - `headers`: the function `headers` threw or rejected, or returned an invalid header.
 */
export type LossReason =
  | "unreachable"
  | "timeout"
  | "status"
  | "content-type"
  | "broken"
  | "ended"
  | "stalled"
  | "headers";

/**
 * Why a stream is closed:
 *
 * - `close`: `close()` was called.
 * - `aborted`: the option `signal` was aborted.
 * - `completed`: the server said that there is no more, with `complete()` or 204.
 * - `ended`: the answer to a POST has ended, and it had no IDs from which it could go on.
 * - `unauthorized`: the server answered 401 or 403, and `onUnauthorized` could not help.
 * - `refused`: the server answered a request other than `GET` with another 4xx, except 408, 425 and 429: what it has sent
 *   would be refused again.
 */
export type CloseReason = "close" | "aborted" | "completed" | "ended" | "unauthorized" | "refused";
