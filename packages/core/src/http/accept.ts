/** What the `Accept` header says about event streams; pure. */

import Negotiator from "negotiator";

const EVENT_STREAM = "text/event-stream";

/**
 * Tells whether a client accepts an event stream.
 *
 * @param accept - The `Accept` header; `undefined` or `""` accepts everything.
 * @returns `false` only if the header leaves no room for `text/event-stream`.
 * @see https://www.rfc-editor.org/rfc/rfc9110#field.accept
 */
export function acceptsEventStream(accept: string | undefined): boolean {
  // What EventSource sends and what no header means need no parsing: these are nearly all requests.
  if (accept === undefined || accept === "" || accept === EVENT_STREAM || accept === "*/*")
    return true;
  const negotiator = new Negotiator({ headers: { accept } });
  // By name with whatever parameters: an event stream has one form only.
  return negotiator.mediaType([EVENT_STREAM]) !== undefined || namesEventStream(accept);
}

/**
 * Tells whether a client asks for an event stream by name, not by a wildcard.
 *
 * @param accept - The `Accept` header.
 * @returns `true` if the header names `text/event-stream` with a quality above zero.
 */
export function namesEventStream(accept: string | undefined): boolean {
  if (accept === undefined || accept === "") return false;
  if (accept === EVENT_STREAM) return true;
  return new Negotiator({ headers: { accept } })
    .mediaTypes()
    .some((type) => type.toLowerCase() === EVENT_STREAM);
}
