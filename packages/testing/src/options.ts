/** Options of streams under test, and their checks. */

import { checkName, milliseconds, unexpected } from "@tidewire/core/adapter";

/** Headers of a request. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[]>>;

/** Options of `openStream` and `injectStream`. */
export interface OpenStreamOptions {
  /**
   * Headers of the request, in each connection. Names in any case. An answer that is compressed as `Accept-Encoding`
   * asks is decoded: `gzip`, `deflate` and `br`.
   *
   * @defaultValue `Accept: text/event-stream`
   */
  readonly headers?: RequestHeaders | undefined;
  /**
   * The header `Last-Event-ID` of the first connection, as sent by a client that was here before.
   *
   * @defaultValue none
   */
  readonly lastEventId?: string | undefined;
  /**
   * Method of the request.
   *
   * @defaultValue `"GET"`, with a `body` `"POST"`
   */
  readonly method?: string | undefined;
  /**
   * Body of the request. A string and bytes are sent as they are, any other value as JSON with its `Content-Type`.
   *
   * @defaultValue none
   */
  readonly body?: unknown;
  /**
   * Whether to wait for the subscription: the first `sse-cursor`, `sse-reset` or event. By default the stream counts as
   * open with the first thing that arrives, which is one of these, unless the route opens its stream before it subscribes or
   * has a slow `snapshot`, or the stream has no channels.
   *
   * @defaultValue `false`
   */
  readonly subscribed?: boolean | undefined;
  /**
   * Deadline of every wait of this stream. Less than the time limit of your runner, which knows nothing of the stream: Jest and
   * Vitest end a test after 5 000 ms.
   *
   * @defaultValue `3_000`
   */
  readonly withinMs?: number | undefined;
}

/** Options of a wait. */
export interface WaitOptions {
  /**
   * Deadline of this wait.
   *
   * @defaultValue that of the stream
   */
  readonly withinMs?: number | undefined;
}

const OPEN_OPTIONS = ["headers", "lastEventId", "method", "body", "subscribed", "withinMs"];

/** A checked request. */
export interface StreamRequest {
  readonly path: string;
  readonly method: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: string | Uint8Array | undefined;
}

/** @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid. */
export function checkOpenOptions(options: OpenStreamOptions): OpenStreamOptions {
  if (typeof options !== "object" || options === null) {
    throw unexpected("options", "an object", options);
  }
  for (const name of Object.keys(options)) checkName(name, OPEN_OPTIONS);
  const { headers, lastEventId, method, subscribed, withinMs } = options;
  if (headers !== undefined && (typeof headers !== "object" || headers === null)) {
    throw unexpected("headers", "an object", headers);
  }
  for (const [name, value] of Object.entries({ lastEventId, method })) {
    if (value !== undefined && typeof value !== "string") throw unexpected(name, "a string", value);
  }
  if (subscribed !== undefined && typeof subscribed !== "boolean") {
    throw unexpected("subscribed", "a boolean", subscribed);
  }
  if (withinMs !== undefined) checkMs("withinMs", withinMs);
  return options;
}

/**
 * @returns The deadline of one wait.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function deadlineOf(options: WaitOptions, usualMs: number): number {
  if (typeof options !== "object" || options === null) {
    throw unexpected("options", "an object", options);
  }
  for (const name of Object.keys(options)) checkName(name, ["withinMs"]);
  const { withinMs } = options;
  return withinMs === undefined ? usualMs : checkMs("withinMs", withinMs);
}

/** @throws {SseError} `ERR_SSE_INVALID_OPTION` if the value is not a whole number that fits a timer. */
export function checkMs(name: string, value: unknown): number {
  const expected = milliseconds(1, value);
  if (expected !== undefined) throw unexpected(name, expected, value);
  return value as number;
}

/** Makes the request of a stream, without its last event ID. */
export function requestOf(path: string, options: OpenStreamOptions): StreamRequest {
  const { body, method } = options;
  const given = Object.entries(options.headers ?? {}).map(
    ([name, value]): [string, string | string[]] => [
      name.toLowerCase(),
      typeof value === "string" ? value : [...value],
    ],
  );
  const isRaw = body === undefined || typeof body === "string" || body instanceof Uint8Array;
  return {
    path,
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      accept: "text/event-stream",
      ...(isRaw ? {} : { "content-type": "application/json" }),
      ...Object.fromEntries(given),
    },
    body: isRaw ? body : JSON.stringify(body),
  };
}
