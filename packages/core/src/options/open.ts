import { describeValue } from "../errors.js";
import { checkHeaders } from "../http/head.js";
import type { StreamHeaders } from "../http/head.js";
import { checkName, invalidOption } from "./check.js";
import { checkOption } from "./hub.js";
import type { ResolvedOptions } from "./hub.js";
import type { JitterRange } from "./jitter.js";

/**
 * Options of one stream: `session.open(options)`.
 */
export interface OpenOptions {
  /** Status of the response, 200 to 299 without 204 and 205. `EventSource` takes nothing but 200, the default. */
  readonly status?: number | undefined;
  /** Headers beside those of an event stream. `Set-Cookie` joins the cookies that are there. */
  readonly headers?: StreamHeaders | undefined;
  /** In place of the hub's `heartbeatMs`, for this stream. */
  readonly heartbeatMs?: number | false | undefined;
  /** In place of the hub's `reconnectionTimeMs`, for this stream. */
  readonly reconnectionTimeMs?: number | JitterRange | false | undefined;
  /** In place of the hub's `maxAgeMs`, for this stream. */
  readonly maxAgeMs?: number | false | undefined;
}

/** Options of one stream with what the hub says filled in. */
export interface ResolvedOpenOptions {
  readonly status: number;
  readonly headers: StreamHeaders | undefined;
  readonly heartbeatMs: number | false;
  readonly reconnectionTimeMs: number | JitterRange | false;
  readonly maxAgeMs: number | false;
}

const OPEN_OPTIONS = ["status", "headers", "heartbeatMs", "reconnectionTimeMs", "maxAgeMs"];

/**
 * Checks the options of one stream and fills in what the hub says.
 *
 * @param options - As given to `open()`.
 * @param defaults - The hub's options.
 * @returns Options without `undefined`, but for `headers`.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is not what it may be.
 */
export function resolveOpenOptions(
  options: OpenOptions | undefined,
  defaults: ResolvedOptions,
): ResolvedOpenOptions {
  const given = options ?? {};
  if (typeof given !== "object" || given === null) {
    throw invalidOption(
      `Expected the options of open() to be an object, got ${describeValue(given)}`,
    );
  }
  for (const name of Object.keys(given)) checkName(name, OPEN_OPTIONS);
  const { status = 200, headers } = given;
  if (
    !Number.isInteger(status) ||
    status < 200 ||
    status > 299 ||
    status === 204 ||
    status === 205
  ) {
    throw invalidOption(
      `Expected \`status\` to be a whole number from 200 to 299, but not 204 or 205, got ${describeValue(status)}`,
    );
  }
  if (headers !== undefined) checkHeaders(headers);
  for (const name of ["heartbeatMs", "reconnectionTimeMs", "maxAgeMs"] as const) {
    if (given[name] !== undefined) checkOption(name, given[name]);
  }
  return {
    status,
    headers,
    heartbeatMs: given.heartbeatMs ?? defaults.heartbeatMs,
    reconnectionTimeMs: given.reconnectionTimeMs ?? defaults.reconnectionTimeMs,
    maxAgeMs: given.maxAgeMs ?? defaults.maxAgeMs,
  };
}
