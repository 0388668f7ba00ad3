/** The last event ID as a header. */

/** Tells whether an ID fits into a header: `fetch` refuses control characters, and would fail with each attempt. */
export function isSendable(id: string): boolean {
  // oxlint-disable-next-line no-control-regex -- these are the characters to find
  return !/[\0-\x08\x0A-\x1F\x7F]/.test(id);
}

/** Encodes an ID as its UTF-8 bytes, as `EventSource` sends it. `fetch` takes one character for each byte. */
export function encodeLastEventId(id: string): string {
  return String.fromCharCode(...new TextEncoder().encode(id));
}
