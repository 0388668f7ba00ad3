/** Evaluates the `Accept` header with respect to event streams; pure. */

import Negotiator from "negotiator";

const EVENT_STREAM = "text/event-stream";

/**
 * Tells whether a client accepts an event stream.
 *
 * @param accept - The `Accept` header; `undefined` or `""` accepts everything.
 * @returns `false` only if the header excludes `text/event-stream`.
 * @see https://www.rfc-editor.org/rfc/rfc9110#field.accept
 */
export function acceptsEventStream(accept: string | undefined): boolean {
  // Fast path for nearly all requests: what EventSource sends, and no header.
  if (accept === undefined || accept === "" || accept === EVENT_STREAM || accept === "*/*")
    return true;
  const negotiator = new Negotiator({ headers: { accept } });
  // By name, parameters ignored: an event stream has only one form.
  return negotiator.mediaType([EVENT_STREAM]) !== undefined || namesEventStream(accept);
}

/**
 * Tells whether a client asks for an event stream by name, not through a wildcard.
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
