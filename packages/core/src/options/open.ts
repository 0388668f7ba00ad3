/** Options of one stream, passed to `session.open()`. */

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
  /** Status of the response: 200 to 299, except 204 and 205. `EventSource` accepts only 200, the default. */
  readonly status?: number | undefined;
  /** Additional headers. `Set-Cookie` and `Vary` are added to existing values. */
  readonly headers?: StreamHeaders | undefined;
  /** Replaces the hub's `heartbeatMs` for this stream. */
  readonly heartbeatMs?: number | false | undefined;
  /** Replaces the hub's `reconnectionTimeMs` for this stream. */
  readonly reconnectionTimeMs?: number | JitterRange | false | undefined;
  /** Replaces the hub's `maxStreamMs` for this stream. */
  readonly maxStreamMs?: number | false | undefined;
  /** Replaces the hub's `checkAccept` for this stream. */
  readonly checkAccept?: boolean | undefined;
  /** Replaces the hub's `reconnectAfter` for this stream. */
  readonly reconnectAfter?: "end" | "cut" | undefined;
}

/** Options of one stream, with the hub's options as defaults. */
export interface ResolvedOpenOptions {
  readonly status: number;
  readonly headers: StreamHeaders | undefined;
  readonly heartbeatMs: number | false;
  readonly reconnectionTimeMs: number | JitterRange | false;
  readonly maxStreamMs: number | false;
  readonly checkAccept: boolean | undefined;
  readonly reconnectAfter: "end" | "cut";
}

const OPEN_OPTIONS = [
  "status",
  "headers",
  "heartbeatMs",
  "reconnectionTimeMs",
  "maxStreamMs",
  "checkAccept",
  "reconnectAfter",
];

const NONE: OpenOptions = {};

/**
 * Checks the options of one stream and fills in the hub's options.
 *
 * @param options - As passed to `open()`.
 * @param defaults - The hub's options.
 * @returns Options without `undefined`, except for `headers`.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function resolveOpenOptions(
  options: OpenOptions | undefined,
  defaults: ResolvedOptions,
): ResolvedOpenOptions {
  const given = options ?? NONE;
  // Most streams open without options.
  if (given !== NONE) checkOpenOptions(given);
  return {
    status: given.status ?? 200,
    headers: given.headers,
    heartbeatMs: given.heartbeatMs ?? defaults.heartbeatMs,
    reconnectionTimeMs: given.reconnectionTimeMs ?? defaults.reconnectionTimeMs,
    maxStreamMs: given.maxStreamMs ?? defaults.maxStreamMs,
    checkAccept: given.checkAccept ?? defaults.checkAccept,
    reconnectAfter: given.reconnectAfter ?? defaults.reconnectAfter,
  };
}

function checkOpenOptions(given: OpenOptions): void {
  if (typeof given !== "object") {
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
  for (const name of [
    "heartbeatMs",
    "reconnectionTimeMs",
    "maxStreamMs",
    "reconnectAfter",
    "checkAccept",
  ] as const) {
    if (given[name] !== undefined) checkOption(name, given[name]);
  }
}
