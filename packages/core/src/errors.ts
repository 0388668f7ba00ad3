/** The error class of all packages, and its codes. */

/**
 * Every code a Tidewire error can carry. `docs/errors.md` explains each one.
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

  /**
   * @param code - One of {@link SseErrorCode}.
   * @param message - What was expected and what came.
   * @param options - Status and cause, both optional.
   */
  constructor(code: SseErrorCode, message: string, options: SseErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    // An own `statusCode: undefined` would make frameworks that test `"statusCode" in error` answer with it.
    if (options.statusCode !== undefined) this.statusCode = options.statusCode;
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
