/** Reads the last event ID that a client reports; pure. */

const BEYOND_ASCII = /[\u0080-\u00ff]/;

/**
 * Reads the last event ID that a client reports.
 *
 * The header wins: `EventSource` sets it when it reconnects, while the query parameter stays what it
 * was when the page opened the stream.
 *
 * @param header - The `Last-Event-ID` header as Node gives it.
 * @param url - The request's path and query, where `lastEventId` may stand.
 * @returns The id, `""` if the client reports none. Whatever it holds came from the network.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
 */
export function readLastEventId(header: string | string[] | undefined, url: string): string {
  const value = Array.isArray(header) ? header.join(", ") : header;
  if (value !== undefined) {
    // Node decodes header values as latin1, the standard says UTF-8: without this `é` arrives as `Ã©`.
    return BEYOND_ASCII.test(value) ? Buffer.from(value, "latin1").toString("utf8") : value;
  }
  const query = url.indexOf("?");
  if (query === -1) return "";
  // Nearly no request has it: to take all the parameters apart for that would cost more than all else here.
  if (!/lastEventId|%/.test(url)) return "";
  return new URLSearchParams(url.slice(query)).get("lastEventId") ?? "";
}
