/** The identity of a client: the options `identify`, `maxSessionsPerIdentity` and `revalidate`, and their checks. */

import { SseError, describeValue } from "../errors.js";
import { detach } from "../log/detach.js";
import { atLeast, checkName, invalidOption, milliseconds, unexpected } from "./check.js";

/** Result of `identify` with the time at which the client's credentials end. */
export interface Identity {
  /** The identity: a string of 1 to 256 characters, such as the id of a user. */
  readonly id: string;
  /**
   * When the credentials end, as a `Date` or in milliseconds since 1970: for a JWT, `1_000 * exp`. The session then
   * closes with `expired`, at most a second late. A request whose time has passed is answered 401.
   *
   * @defaultValue never
   */
  readonly expiresAt?: number | Date | undefined;
}

/**
 * Session details for `authorize` and `revalidate.check`.
 *
 * @typeParam Request - As for `createHub`.
 */
export interface AuthorizedSession<Request = unknown> {
  /** The framework's request: Express's, Fastify's, or the raw one. */
  readonly request: Request;
  /** The identity that `identify` has returned; `undefined` if there is none. */
  readonly identity: string | undefined;
  /** Identifies this session. Unguessable; made on first read. */
  readonly id: string;
  /** The last event ID that the client reports. */
  readonly lastEventId: string;
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal;
}

/** Limit on the open sessions of each identity. */
export interface SessionLimit {
  /** Open sessions that one identity may have in this process. At least 1. */
  readonly max: number;
  /**
   * The treatment of one more. `"refuse"` turns it away as `maxSessions` does. `"closeOldest"` opens it and closes the
   * oldest one with `replaced`, and tells its client not to reconnect, as `complete()` does.
   *
   * @defaultValue `"refuse"`
   */
  readonly excess?: "refuse" | "closeOldest" | undefined;
}

/**
 * Checks open sessions again and again.
 *
 * @typeParam Request - As for `createHub`.
 */
export interface RevalidateOptions<Request = unknown> {
  /**
   * Longest time between two checks of a session, in milliseconds. Each is drawn from 80 % to 100 % of this value, the
   * first from 0 % to 100 %. At least 1 000.
   */
  readonly everyMs: number;
  /**
   * Whether a session may stay open. With any result but `true` it closes with `revoked`, and nothing more is written to
   * its client. If it throws or rejects, the session closes with `error`, and the error goes to `onError`. Not called
   * in the async context of the session's request.
   */
  readonly check: (session: AuthorizedSession<Request>) => boolean | Promise<boolean>;
  /**
   * Number of checks that may be pending at the same time; further sessions wait for their turn.
   *
   * @defaultValue `32`
   */
  readonly maxConcurrent?: number | undefined;
  /**
   * How long a check may be pending, in milliseconds. Then it counts as failed.
   *
   * @defaultValue `10_000`
   */
  readonly timeoutMs?: number | undefined;
}

/** Options of `revalidate` with all defaults filled in. */
export type ResolvedRevalidateOptions = {
  readonly [Name in keyof RevalidateOptions]-?: Exclude<RevalidateOptions[Name], undefined>;
};

/** Checked result of `identify`. */
export interface ResolvedIdentity {
  readonly id: string;
  /** In milliseconds since 1970; `Infinity` for never. */
  readonly expiresAt: number;
}

/** Times before this are in seconds: as milliseconds they lie in 1973. */
const LEAST_MS = 100_000_000_000;

/**
 * Checks a result of `identify`.
 *
 * @returns `undefined` if the client has no identity.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it is invalid.
 */
export function resolveIdentity(given: unknown): ResolvedIdentity | undefined {
  if (given === undefined) return undefined;
  if (typeof given === "string") return { id: checkIdentity(given), expiresAt: Infinity };
  if (given instanceof Promise) {
    // The error below is the mistake; how the promise ends says nothing more, and must not end the process.
    given.catch(() => {});
    throw invalidOption(
      "Expected `identify` to return an identity, got a promise: authenticate before the route, and read the result here",
    );
  }
  if (typeof given !== "object" || given === null) {
    throw unexpected("identify", "to return a string, { id, expiresAt } or undefined", given);
  }
  for (const name of Object.keys(given)) checkName(name, ["id", "expiresAt"], "identify");
  const { id, expiresAt } = given as { id?: unknown; expiresAt?: unknown };
  return { id: checkIdentity(id), expiresAt: checkExpiry(expiresAt) };
}

/**
 * Checks an identity.
 *
 * @returns The identity, detached from a string that it may be a slice of.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` unless it is a string of 1 to 256 characters.
 */
export function checkIdentity(identity: unknown): string {
  if (typeof identity === "string" && identity !== "" && identity.length <= 256) {
    return detach(identity);
  }
  throw invalidOption(
    `Expected an identity to be a string of 1 to 256 characters, got ${describeValue(identity)}`,
  );
}

function checkExpiry(given: unknown): number {
  if (given === undefined) return Infinity;
  const ms = given instanceof Date ? given.getTime() : given;
  if (typeof ms !== "number" || Number.isNaN(ms)) {
    throw unexpected("expiresAt", "a Date or milliseconds since 1970", given);
  }
  if (ms >= LEAST_MS) return ms;
  throw unexpected("expiresAt", "in milliseconds since 1970, not in seconds", given);
}

/** @returns The error for a client whose credentials have ended. */
export function expiredIdentity(): SseError {
  return new SseError("ERR_SSE_UNAUTHORIZED", "The client's credentials have expired", {
    statusCode: 401,
  });
}

/** @returns The expectation for the error message; `undefined` if the value is valid. */
export function checkSessionLimit(value: unknown): string | undefined {
  if (value === false) return undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return "false or { max, excess }";
  }
  for (const name of Object.keys(value)) {
    checkName(name, ["max", "excess"], "maxSessionsPerIdentity");
  }
  const { max, excess } = value as { max?: unknown; excess?: unknown };
  const expected = atLeast(1, max);
  if (expected !== undefined) throw unexpected("maxSessionsPerIdentity.max", expected, max);
  if (excess === undefined || excess === "refuse" || excess === "closeOldest") return undefined;
  throw unexpected("maxSessionsPerIdentity.excess", '"refuse" or "closeOldest"', excess);
}

/** @returns Same as {@link checkSessionLimit}. */
export function checkRevalidate(value: unknown): string | undefined {
  if (value === false) return undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return "false or { everyMs, check }";
  }
  const names = ["everyMs", "check", "maxConcurrent", "timeoutMs"];
  for (const name of Object.keys(value)) checkName(name, names, "revalidate");
  const { everyMs, check, maxConcurrent, timeoutMs } = value as {
    [Name in keyof RevalidateOptions]?: unknown;
  };
  const expected = {
    everyMs: milliseconds(1_000, everyMs),
    check: typeof check === "function" ? undefined : "a function",
    maxConcurrent: maxConcurrent === undefined ? undefined : atLeast(1, maxConcurrent),
    timeoutMs: timeoutMs === undefined ? undefined : milliseconds(1, timeoutMs),
  };
  for (const [name, expectation] of Object.entries(expected)) {
    if (expectation === undefined) continue;
    throw unexpected(`revalidate.${name}`, expectation, (value as Record<string, unknown>)[name]);
  }
  return undefined;
}
