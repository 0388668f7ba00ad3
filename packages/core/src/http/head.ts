/** Heads of event streams; pure. */

import { SseError, describeValue } from "../errors.js";

/**
 * A response's headers, as `node:http` has them.
 */
export interface HeaderTarget {
  /** @returns What the header was set to, `undefined` if it was not. */
  getHeader(name: string): number | string | string[] | undefined;
  /** Sets a header in place of what it was. */
  setHeader(name: string, value: string | string[]): unknown;
  /** Removes a header; one that is not set stays so. */
  removeHeader(name: string): unknown;
}

/** Headers that `session.open({ headers })` takes. */
export type StreamHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Set on every event stream, in place of what was there: without them proxies hold back or store the stream. */
const STREAM_HEADERS: ReadonlyMap<string, string> = new Map([
  ["Content-Type", "text/event-stream"],
  ["Cache-Control", "no-cache, no-store, no-transform"],
  ["X-Accel-Buffering", "no"],
]);

/** Removed: they describe a body of known length and content, which a stream is not. */
const BODY_HEADERS = ["content-length", "content-encoding", "etag"];

/** Not for `open({ headers })`: how the stream is framed is between Node and the connection. */
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
 * Sets the headers of an event stream on a response whose head has not gone out.
 *
 * Headers set before survive, but for those that cannot be true of a stream. Cookies and `Vary` of `extra` are added to
 * what is there.
 *
 * @param target - The response's headers.
 * @param extra - Headers of the caller's, checked by {@link checkHeaders}; they win over the defaults.
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
 * Removes the headers that a body of known length and content has.
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
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a name or value cannot stand in a head, or the header is
 *   not the caller's to set.
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

/** What CORS has set stays: without `Origin` a cache would hand one page's answer to another. */
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
