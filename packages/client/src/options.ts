/** Options of `connect`, their defaults and their checks. */

import { isSendable } from "./last-event-id.js";
import type { Renew } from "./renewal.js";

/** An `AbortSignal`, described without the types of the DOM. */
export interface Signal {
  /** Whether it has been aborted. */
  readonly aborted: boolean;
  /** Adds a listener. */
  addEventListener(type: "abort", listener: () => void): void;
  /** Removes a listener. */
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Headers of a request: an object, a `Headers` or entries. */
export type RequestHeaders =
  | Readonly<Record<string, string>>
  | Iterable<readonly [name: string, value: string]>
  | { forEach(callback: (value: string, name: string) => void): void };

/** The part of a response that a stream reads. */
export interface FetchedResponse {
  /** HTTP status. */
  readonly status: number;
  /** Headers of the answer. */
  readonly headers: { get(name: string): string | null };
  /** The body; `null` if there is none. */
  readonly body: {
    getReader(): {
      read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
    };
  } | null;
}

/** The request that a stream passes to `fetch` beside the URL. */
export interface FetchedRequest {
  /** The option `method`. */
  readonly method: string;
  /** All headers, with `accept` and `last-event-id`. */
  readonly headers: Record<string, string>;
  /** The option `body`. */
  // oxlint-disable-next-line typescript/no-explicit-any -- the type of bodies belongs to the platform
  readonly body?: any;
  /** The option `credentials`. */
  readonly credentials?: "include" | "omit" | "same-origin";
  /** Always `no-store`: Firefox makes parallel requests of one URL wait for each other otherwise. */
  readonly cache: "no-store";
  /** Aborts the request and its body. */
  // oxlint-disable-next-line typescript/no-explicit-any -- an `AbortSignal`, whose type belongs to the platform
  readonly signal: any;
}

/** Options of {@link connect}. */
export interface ConnectOptions {
  /**
   * Method of the request. `GET` never ends by itself; after any other method an orderly end of the answer is final,
   * unless the stream has carried an ID from which it can go on.
   *
   * @defaultValue `"GET"`, or `"POST"` with a `body`
   */
  readonly method?: string | undefined;
  /**
   * Body of the request: a string, bytes, a `Blob`, a `FormData` or a `URLSearchParams`. It is sent again with each
   * attempt, and therefore cannot be a stream.
   *
   * @defaultValue no body
   */
  readonly body?: unknown;
  /**
   * Headers of the request, or a function that returns them, also as a promise. The function is called for each attempt,
   * so that a token is fresh. If it throws or rejects, the attempt has failed with the reason `headers`.
   *
   * `Accept` is `text/event-stream` unless it is set. `Last-Event-ID` is set by the stream.
   *
   * @defaultValue no further headers
   */
  readonly headers?:
    | RequestHeaders
    | (() => RequestHeaders | PromiseLike<RequestHeaders>)
    | undefined;
  /**
   * Whether cookies are sent: `"include"` also to other origins, `"omit"` never.
   *
   * @defaultValue `"same-origin"`, the default of `fetch`
   */
  readonly credentials?: "include" | "omit" | "same-origin" | undefined;
  /**
   * A function to use in place of the platform's `fetch`. It has to respect `signal`.
   *
   * @defaultValue `globalThis.fetch`
   */
  readonly fetch?:
    | ((url: string, request: FetchedRequest) => PromiseLike<FetchedResponse>)
    | undefined;
  /**
   * Position from which to start, such as one that the server has put into the page. Empty for a new client.
   *
   * @defaultValue `""`
   */
  readonly lastEventId?: string | undefined;
  /**
   * Whether data is parsed as JSON. Data that is not JSON stays a string. With `false` all data is
   * a string.
   *
   * @defaultValue `true`
   */
  readonly json?: boolean | undefined;
  /**
   * Longest silence of a server that does not announce one, in milliseconds. After one and a half times as long without
   * a byte the link counts as dead, and the stream reconnects. Tidewire announces the heartbeat on streams with
   * channels, and that wins. `false` turns the watch off, whatever the server announces.
   *
   * @defaultValue the heartbeat that the server announces; without an announcement, no watch
   */
  readonly heartbeatMs?: number | false | undefined;
  /**
   * How long an answer may take to begin, in milliseconds, with the time for `headers`. `false` waits for as long as
   * `fetch` does.
   *
   * @defaultValue `30_000`
   */
  readonly connectTimeoutMs?: number | false | undefined;
  /**
   * Shortest wait before the next attempt, in milliseconds, until the server names its own reconnection time. The wait is
   * drawn at random between this and twice as long, and the upper limit doubles with each failure, up to 15 seconds or twice the server's time. Times
   * below 100 count as 100.
   *
   * @defaultValue `1_000`
   */
  readonly reconnectionTimeMs?: number | undefined;
  /**
   * Called when the server answers 401 or 403: renews the credentials that `headers` or a cookie will have. Once it has
   * resolved the stream tries again, once. It closes with `unauthorized` if that is refused too, or if this resolves to
   * `false`, throws or rejects. Streams with the same function that are refused at the same time share one call.
   *
   * @defaultValue a refusal closes the stream
   */
  readonly onUnauthorized?:
    | ((refusal: { readonly httpStatus: number }) => void | boolean | PromiseLike<void | boolean>)
    | undefined;
  /**
   * One stream for all tabs of a browser and origin that ask for the same URL with the same `credentials`: one tab reads
   * it, and hands its events to the others.
   *
   * A string names the reader, such as the ID of the user: tabs share only with tabs that give the same one. `true`
   * compares the `headers` instead, which suits streams that everybody may read.
   *
   * Each tab has its own stream where Web Locks and `BroadcastChannel` are missing or refused, outside of secure contexts,
   * in workers, in Node, and with other methods than `GET`. With `true` also if `headers` throws, or takes longer than
   * `connectTimeoutMs`.
   *
   * @defaultValue `false`
   */
  readonly share?: boolean | string | undefined;
  /**
   * Closes the stream when it is aborted.
   *
   * @defaultValue only `close()` closes it
   */
  readonly signal?: Signal | undefined;
  /**
   * How many events a loop over the stream may be behind, at least 1. Then the stream stops reading, for its other loops
   * and listeners as well, until the loop has taken some. The server sees a slow client; no event is lost.
   *
   * @defaultValue `100`
   */
  readonly maxBufferedEvents?: number | undefined;
}

/** Options with their defaults. */
export interface Settings {
  readonly method: string;
  readonly body?: unknown;
  readonly headers: RequestHeaders | (() => RequestHeaders | PromiseLike<RequestHeaders>);
  readonly credentials?: FetchedRequest["credentials"];
  readonly fetch?: NonNullable<ConnectOptions["fetch"]>;
  readonly lastEventId: string;
  readonly json: boolean;
  readonly heartbeatMs?: number | false;
  readonly connectTimeoutMs: number | false;
  readonly reconnectionTimeMs: number;
  readonly onUnauthorized?: Renew;
  readonly share?: boolean | string;
  readonly signal?: Signal;
  readonly maxBufferedEvents: number;
}

/** The expectation for the error message, and the check of a value. */
export type Check = readonly [expected: string, isValid: (value: never) => boolean];

const isWhole = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;
const WHOLE: Check = ["a whole number >= 1", isWhole];
const WHOLE_OR_FALSE: Check = [
  "false or a whole number >= 1",
  (value) => value === false || isWhole(value),
];
const isFunction = (value: unknown): boolean => typeof value === "function";
/** For functions. */
export const FUNCTION: Check = ["a function", isFunction];

const CHECKS: { readonly [Name in keyof Settings]-?: Check } = {
  method: ["a method other than HEAD", (value) => /^(?!head$)[a-z]+$/i.test(value)],
  // Not a plain object, which would be sent as this text, nor a stream.
  body: ["data that can be resent", (value) => !/^\[object (Object|As|Re)/.test(String(value))],
  headers: [
    "headers or a function",
    (value) =>
      isFunction(value) || (typeof value === "object" && Boolean(new Headers(value as never))),
  ],
  credentials: [
    '"include", "omit" or "same-origin"',
    (value) => /^(include|omit|same-origin)$/.test(value),
  ],
  fetch: FUNCTION,
  lastEventId: [
    "a string without control characters",
    (value) => typeof value === "string" && isSendable(value),
  ],
  json: ["a boolean", (value) => value === Boolean(value)],
  heartbeatMs: WHOLE_OR_FALSE,
  connectTimeoutMs: WHOLE_OR_FALSE,
  reconnectionTimeMs: WHOLE,
  onUnauthorized: FUNCTION,
  share: ["a boolean or a string", (value) => /boolean|string/.test(typeof value)],
  signal: ["an AbortSignal", (value: object) => "aborted" in Object(value)],
  maxBufferedEvents: WHOLE,
};

/**
 * Checks options and fills in their defaults.
 *
 * @throws {TypeError} If an option is unknown or invalid.
 */
export function checkOptions(options: ConnectOptions): Settings {
  const settings: Record<string, unknown> = {
    method: options.body === undefined ? "GET" : "POST",
    headers: {},
    lastEventId: "",
    json: true,
    connectTimeoutMs: 30_000,
    reconnectionTimeMs: 1_000,
    maxBufferedEvents: 100,
  };
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(CHECKS, name)) {
      throw new TypeError(
        `Unknown option \`${name}\`. Expected one of ${Object.keys(CHECKS).join(", ")}`,
      );
    }
    settings[name] = checkOption(name as keyof Settings, value);
  }
  const method = (settings["method"] as string).toUpperCase();
  check("body", settings["body"], [
    "absent with GET",
    (body) => body === undefined || method !== "GET",
  ]);
  return { ...settings, method } as unknown as Settings;
}

/**
 * Checks one option.
 *
 * @returns The value.
 * @throws {TypeError} If it is invalid.
 */
export function checkOption<Value>(name: keyof Settings, value: Value): Value {
  return check(name, value, CHECKS[name]);
}

/**
 * Resolves a URL, in a page against the address of the page.
 *
 * @throws {TypeError} If it is not one that `fetch` can ask.
 */
export function resolveUrl(url: string | { readonly href: string }): string {
  const { document, location } = globalThis as {
    readonly document?: { readonly baseURI: string };
    readonly location?: { readonly href: string };
  };
  const text = typeof url === "string" ? url : url?.href;
  try {
    const { href } = new URL(text, document?.baseURI ?? location?.href);
    // Without a name and a password, which `fetch` refuses.
    if (/^https?:\/\/[^/@]+\//.test(href)) return href;
  } catch {
    // Not a URL.
  }
  return check("url", text, ["an absolute http or https URL", () => false]);
}

/**
 * Checks a value.
 *
 * @returns The value.
 * @throws {TypeError} If it is invalid.
 */
export function check<Value>(name: string, value: Value, [expected, isValid]: Check): Value {
  if (isValid(value as never)) return value;
  const got = typeof value === "string" ? JSON.stringify(value) : String(value);
  throw new TypeError(`Expected \`${name}\` to be ${expected}, got ${got}`);
}
