/** Builds and checks heads of event streams; pure. */

import { SseError, describeValue } from "../errors.js";

/**
 * A response's headers, with the methods of `node:http`.
 */
export interface HeaderTarget {
  /** @returns The header's value; `undefined` if it is not set. */
  getHeader(name: string): number | string | string[] | undefined;
  /** Sets a header, replacing its value. */
  setHeader(name: string, value: string | string[]): unknown;
  /** Removes a header, if it is set. */
  removeHeader(name: string): unknown;
}

/** Headers for `session.open({ headers })`. */
export type StreamHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Set on every event stream, replacing earlier values: without them proxies buffer or store the stream. */
const STREAM_HEADERS: ReadonlyMap<string, string> = new Map([
  ["Content-Type", "text/event-stream"],
  ["Cache-Control", "no-cache, no-store, no-transform"],
  ["X-Accel-Buffering", "no"],
]);

/** Removed, because they describe a body of known length and content. */
const BODY_HEADERS = ["content-length", "content-encoding", "etag"];

/** Refused in `open({ headers })`: Node and the connection decide on framing. */
const FRAMING_HEADERS: ReadonlySet<string> = new Set([
  ...BODY_HEADERS,
  "content-type",
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const HEADER_VALUE = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;

/**
 * Sets the headers of an event stream on a response whose head has not been sent.
 *
 * Headers already set are kept, except those that cannot apply to a stream. `Set-Cookie` and `Vary` of `extra` are
 * added to the existing ones.
 *
 * @param target - The response's headers.
 * @param extra - Headers from the caller, checked by {@link checkHeaders}. They override the defaults.
 */
export function setStreamHeaders(target: HeaderTarget, extra: StreamHeaders | undefined): void {
  removeBodyHeaders(target);
  for (const [name, value] of STREAM_HEADERS) target.setHeader(name, value);
  if (extra === undefined) return;
  for (const [name, value] of Object.entries(extra)) {
    if (value === undefined) continue;
    const lower = name.toLowerCase();
    if (lower === "set-cookie") addCookies(target, value);
    else if (lower === "vary") addVary(target, value);
    else target.setHeader(name, typeof value === "string" ? value : [...value]);
  }
}

/**
 * Removes headers that describe a body of known length and content.
 *
 * @param target - The response's headers.
 */
export function removeBodyHeaders(target: HeaderTarget): void {
  for (const name of BODY_HEADERS) target.removeHeader(name);
}

/**
 * Checks the headers of `open({ headers })`.
 *
 * @param headers - A record of names and values.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a name or value is not valid in HTTP, or the caller may not set the
 *   header.
 */
export function checkHeaders(headers: StreamHeaders): void {
  if (typeof headers !== "object" || headers === null || Array.isArray(headers)) {
    throw invalid(`Expected \`headers\` to be an object, got ${describeValue(headers)}`);
  }
  for (const [name, value] of Object.entries(headers)) {
    if (!HEADER_NAME.test(name)) {
      throw invalid(`Expected a header name, got ${describeValue(name)}`);
    }
    if (FRAMING_HEADERS.has(name.toLowerCase())) {
      throw invalid(`The header \`${name}\` of an event stream is set by Tidewire or by Node`);
    }
    for (const one of Array.isArray(value) ? (value as readonly unknown[]) : [value]) {
      if (one === undefined && value === undefined) continue;
      if (typeof one !== "string" || !HEADER_VALUE.test(one)) {
        throw invalid(
          `Expected the header \`${name}\` to be a string without control characters, got ${describeValue(one)}`,
        );
      }
    }
  }
}

function addCookies(target: HeaderTarget, value: string | readonly string[]): void {
  const before = target.getHeader("set-cookie");
  target.setHeader("set-cookie", [
    ...(before === undefined ? [] : [before].flat().map(String)),
    ...[value].flat(),
  ]);
}

/** Keeps what CORS has set: without `Origin`, a cache would serve one page's answer to another. */
function addVary(target: HeaderTarget, value: string | readonly string[]): void {
  const before = target.getHeader("vary");
  const names = [before === undefined ? [] : [before].flat().map(String), value]
    .flat()
    .flatMap((list) => list.split(","))
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const unique = new Map(names.map((name) => [name.toLowerCase(), name]));
  target.setHeader("vary", unique.has("*") ? "*" : [...unique.values()].join(", "));
}

function invalid(message: string): SseError {
  return new SseError("ERR_SSE_INVALID_OPTION", message);
}
