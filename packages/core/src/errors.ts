/** The error class of all packages, and its codes. */

/**
 * Every code a Tidewire error can carry. `docs/reference/errors.md` explains each one.
 */
export type SseErrorCode =
  | "ERR_SSE_INVALID_FIELD"
  | "ERR_SSE_INVALID_DATA"
  | "ERR_SSE_INVALID_OPTION"
  | "ERR_SSE_ID_RESERVED"
  | "ERR_SSE_HEADERS_SENT"
  | "ERR_SSE_NOT_ACCEPTABLE"
  | "ERR_SSE_UNAUTHORIZED"
  | "ERR_SSE_FORBIDDEN"
  | "ERR_SSE_CLOSED"
  | "ERR_SSE_LOG_REJECTED"
  | "ERR_SSE_LOG_UNKNOWN"
  | "ERR_SSE_RUNS_FULL"
  | "ERR_SSE_TAPES_UNAVAILABLE";

/**
 * Optional properties of an `SseError`.
 */
export interface SseErrorOptions {
  /** HTTP status for a framework's error handler. Absent if the error is not about a request. */
  readonly statusCode?: number;
  /** The error that led to this one, for example the error that `serialize` threw. */
  readonly cause?: unknown;
}

/**
 * The one error class of Tidewire.
 *
 * Thrown for a caller's mistake before anything is written. Never thrown because a client leaves.
 */
export class SseError extends Error {
  override readonly name = "SseError";
  /** Stable identifier: test this, never the message. */
  readonly code: SseErrorCode;
  /** HTTP status for the framework's error handler; `undefined` if the error is not about a request. */
  declare readonly statusCode?: number;
  /** Same as `statusCode`: Koa reads this first, and Nest treats an error as an HTTP error only if both agree. */
  declare readonly status?: number;
  /**
   * Whether the client may see the message, as in errors of `http-errors`: `true` for a status below 500, `undefined`
   * without a status. Koa and Nest send the message if it is `true`, otherwise the name of the status.
   */
  declare readonly expose?: boolean;

  /**
   * @param code - One of {@link SseErrorCode}.
   * @param message - States the expected and the actual value.
   * @param options - Status and cause, both optional.
   */
  constructor(code: SseErrorCode, message: string, options: SseErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    // With an own `statusCode: undefined`, frameworks that test `"statusCode" in error` would answer with it.
    if (options.statusCode !== undefined) {
      this.statusCode = options.statusCode;
      this.status = options.statusCode;
      this.expose = options.statusCode < 500;
    }
  }
}

/**
 * Tells whether a value is an error of Tidewire, including errors of another copy of the package.
 *
 * @param value - Any value, usually from a `catch`.
 * @returns `true` if `value` is an {@link SseError}.
 */
export function isSseError(value: unknown): value is SseError {
  return (
    value instanceof SseError ||
    (value instanceof Error &&
      value.name === "SseError" &&
      "code" in value &&
      typeof value.code === "string" &&
      value.code.startsWith("ERR_SSE_"))
  );
}

/** Longest excerpt of a caller's value in a message, because it may come from the network. */
const MAX_QUOTED = 100;

/**
 * Describes a value for an error message: its type and the value itself, short and on one line.
 *
 * @param value - Any value; strings are quoted and cut at 100 characters.
 * @returns For example `0 (number)`, `"a\nb" (string)`, `null` or `an array`.
 */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  switch (typeof value) {
    case "string":
      return `${quote(value)} (string)`;
    case "number":
    case "boolean":
    case "bigint":
      return `${String(value)} (${typeof value})`;
    case "object":
      return "an object";
    default:
      return `a ${typeof value}`;
  }
}

/**
 * Returns the message of an error. Never throws, whatever was thrown.
 *
 * @param error - Any thrown value.
 * @returns The message; a description of a value that is not an error, or whose message is not a string.
 */
export function messageOf(error: unknown): string {
  try {
    if (!(error instanceof Error)) return describeValue(error);
    // Some SDKs copy the body of a response over the error, whose `message` may then be anything.
    const message: unknown = error.message;
    return typeof message === "string"
      ? message
      : `an error with the message ${describeValue(message)}`;
  } catch {
    return "an error that cannot be read";
  }
}

/**
 * Quotes the message of an error inside that of another, short and on one line.
 *
 * @param error - Any thrown value.
 */
export function quoteError(error: unknown): string {
  const line = messageOf(error).replaceAll(/\s+/g, " ");
  return line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line;
}

function quote(text: string): string {
  return text.length > MAX_QUOTED
    ? `${JSON.stringify(text.slice(0, MAX_QUOTED))}…`
    : JSON.stringify(text);
}

/**
 * Suggests the name that was probably meant.
 *
 * @param name - Unknown name.
 * @param names - Valid names.
 * @param prefix - Put in front of each name.
 */
export function suggest(name: string, names: readonly string[], prefix: string = ""): string {
  const meant = closest(name, names);
  if (meant !== undefined) return `Did you mean \`${prefix}${meant}\`?`;
  const all = names.map((one) => `\`${prefix}${one}\``);
  return `Expected ${all.length === 1 ? "" : "one of "}${all.join(", ")}`;
}

/** Quotes a name for a message: it may be any text, of any length. */
export function quoteName(prefix: string, name: string): string {
  return /^[\w$-]{1,64}$/.test(name)
    ? `\`${prefix}${name}\``
    : `${prefix}${describeValue(name).replace(/ \(string\)$/, "")}`;
}

/** Edits up to which a name counts as a misspelling of another. */
const MOST_EDITS = 2;
/** Shortest prefix of a name that counts as that name. */
const LEAST_COMMON = 4;

function closest(name: string, names: readonly string[]): string | undefined {
  const given = name.toLowerCase();
  let best: string | undefined;
  let least = Math.min(MOST_EDITS, Math.floor(given.length / 3)) + 1;
  for (const candidate of names) {
    const known = candidate.toLowerCase();
    // The unit is missing or differs: `heartbeat`, `heartbeatSeconds`.
    const stem = known.replace(/(ms|bytes)$/, "");
    if (known === given || (stem.length >= LEAST_COMMON && given.startsWith(stem)))
      return candidate;
    const count = edits(given, known);
    if (count < least) [best, least] = [candidate, count];
  }
  if (best !== undefined || given.length < LEAST_COMMON) return best;
  // Abbreviated: `prop`, `reconnection`.
  const longer = names.filter((candidate) => candidate.toLowerCase().startsWith(given));
  return longer.length === 1 ? longer[0] : undefined;
}

/** Number of characters to insert, remove or replace to turn one text into another. */
function edits(from: string, to: string): number {
  // The caller's name may have any length.
  if (Math.abs(from.length - to.length) > MOST_EDITS) return Infinity;
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [above, char] of Array.from(from).entries()) {
    const next = [above + 1];
    for (const [left, other] of Array.from(to).entries()) {
      const replaced = (row[left] ?? 0) + (char === other ? 0 : 1);
      next.push(Math.min(replaced, (row[left + 1] ?? 0) + 1, (next[left] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? Infinity;
}

/** Rejects with an error. Unlike `Promise.reject`, an `async` function may throw any value. */
export async function rejectedWith(error: unknown): Promise<never> {
  throw error;
}
