/** Reads the last event ID that a client reports; pure. */

const BEYOND_ASCII = /[\u0080-\u00ff]/;

/**
 * Reads the last event ID that a client reports.
 *
 * The header wins: `EventSource` updates it on each reconnect, while the query parameter keeps the value from when the
 * page opened the stream.
 *
 * @param header - The `Last-Event-ID` header as Node returns it.
 * @param url - Path and query of the request, with an optional parameter `lastEventId`.
 * @returns The id; `""` if the client reports none. Untrusted input from the network.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
 */
export function readLastEventId(header: string | string[] | undefined, url: string): string {
  const value = Array.isArray(header) ? header.join(", ") : header;
  if (value !== undefined) {
    // Node decodes header values as latin1, but the standard uses UTF-8: without this, `é` arrives as `Ã©`.
    return BEYOND_ASCII.test(value) ? Buffer.from(value, "latin1").toString("utf8") : value;
  }
  const query = url.indexOf("?");
  if (query === -1) return "";
  // Few requests have the parameter, and parsing the query would cost more than everything else here.
  if (!/lastEventId|%/.test(url)) return "";
  return new URLSearchParams(url.slice(query)).get("lastEventId") ?? "";
}
