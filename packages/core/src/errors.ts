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
  | "ERR_SSE_FORBIDDEN"
  | "ERR_SSE_CLOSED"
  | "ERR_SSE_LOG_REJECTED"
  | "ERR_SSE_LOG_UNKNOWN";

/**
 * What `SseError` may carry beside its code and message.
 */
export interface SseErrorOptions {
  /** HTTP status a framework's error handler answers with. Absent where no request is at fault. */
  readonly statusCode?: number;
  /** The error that led to this one, for example what `serialize` threw. */
  readonly cause?: unknown;
}

/**
 * The one error class of Tidewire.
 *
 * A caller's mistake throws it before a byte is written. A client that leaves is never an error.
 */
export class SseError extends Error {
  override readonly name = "SseError";
  /** Stable identifier: test this, never the message. */
  readonly code: SseErrorCode;
  /** HTTP status for the framework's error handler; `undefined` where no request is at fault. */
  declare readonly statusCode?: number;
  /** The same as `statusCode`: Koa reads this first, and Nest takes an error for an HTTP error only if both agree. */
  declare readonly status?: number;
  /**
   * Whether the client may see the message, as in errors of `http-errors`: `true` for a status below 500, `undefined`
   * where there is no status. Koa and Nest send the message if it is `true`, otherwise the name of the status.
   */
  declare readonly expose?: boolean;

  /**
   * @param code - One of {@link SseErrorCode}.
   * @param message - What was expected and what came.
   * @param options - Status and cause, both optional.
   */
  constructor(code: SseErrorCode, message: string, options: SseErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    // An own `statusCode: undefined` would make frameworks that test `"statusCode" in error` answer with it.
    if (options.statusCode !== undefined) {
      this.statusCode = options.statusCode;
      this.status = options.statusCode;
      this.expose = options.statusCode < 500;
    }
  }
}

/**
 * Tells whether a value is an error of Tidewire, also when it came from another copy of the package.
 *
 * @param value - Anything, usually what a `catch` received.
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

/** Longest excerpt of a foreign value in a message: it may come from the network. */
const MAX_QUOTED = 100;

/**
 * Describes a value for an error message: the value itself, short and on one line, and its type.
 *
 * @param value - Anything; strings are quoted and cut at 100 characters.
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
 * Quotes the message of an error in that of another, short and on one line.
 *
 * @param error - What was thrown: anything.
 */
export function quoteError(error: unknown): string {
  const text = error instanceof Error ? error.message : describeValue(error);
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line;
}

function quote(text: string): string {
  return text.length > MAX_QUOTED
    ? `${JSON.stringify(text.slice(0, MAX_QUOTED))}…`
    : JSON.stringify(text);
}

/**
 * Says which name was probably meant.
 *
 * @param name - What was given.
 * @param names - Those that there are.
 * @param prefix - Stands before each name.
 */
export function suggest(name: string, names: readonly string[], prefix: string = ""): string {
  const meant = closest(name, names);
  if (meant !== undefined) return `Did you mean \`${prefix}${meant}\`?`;
  const all = names.map((one) => `\`${prefix}${one}\``);
  return `Expected ${all.length === 1 ? "" : "one of "}${all.join(", ")}`;
}

/** Quotes a name for a message: it may be anything, and long. */
export function quoteName(prefix: string, name: string): string {
  return /^[\w$-]{1,64}$/.test(name)
    ? `\`${prefix}${name}\``
    : `${prefix}${describeValue(name).replace(/ \(string\)$/, "")}`;
}

/** Edits up to which a name is taken for a slip of another one. */
const MOST_EDITS = 2;
/** Shortest beginning of a name that is taken for it. */
const LEAST_COMMON = 4;

function closest(name: string, names: readonly string[]): string | undefined {
  const given = name.toLowerCase();
  let best: string | undefined;
  let least = Math.min(MOST_EDITS, Math.floor(given.length / 3)) + 1;
  for (const candidate of names) {
    const known = candidate.toLowerCase();
    // The unit was left out, or another one given: `heartbeat`, `heartbeatSeconds`.
    const stem = known.replace(/(ms|bytes)$/, "");
    if (known === given || (stem.length >= LEAST_COMMON && given.startsWith(stem)))
      return candidate;
    const count = edits(given, known);
    if (count < least) [best, least] = [candidate, count];
  }
  if (best !== undefined || given.length < LEAST_COMMON) return best;
  // Cut short: `prop`, `reconnection`.
  const longer = names.filter((candidate) => candidate.toLowerCase().startsWith(given));
  return longer.length === 1 ? longer[0] : undefined;
}

/** How many characters to insert, leave out or replace to make one text of another. */
function edits(from: string, to: string): number {
  // A foreign name may be of any length.
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

/** Rejects with an error. An `async` function may throw anything, and needs no listener of its own. */
export async function rejectedWith(error: unknown): Promise<never> {
  throw error;
}
