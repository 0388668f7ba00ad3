/** Encodes blocks and comments of the event stream as text, as the standard defines them. No I/O and no clock. */

import { SseError, describeValue } from "../errors.js";
import type { EventMessage } from "./message.js";

/** Line ends of an event stream. CRLF first: it is one line end, not two. */
const LINE_BREAK = /\r\n|\r|\n/;
const MAX_ID_LENGTH = 128;
/** Longest id of a single-session message: ids of other systems are relayed. */
const MAX_RELAYED_BYTES = 1_024;
/** Clients report an id in a header, which cannot hold control characters and loses surrounding spaces. */
const NOT_IN_RELAYED = /\p{Cc}|\p{Surrogate}|^\s|\s$/u;
/**
 * 1 for each character code allowed in ids of the log. A table is faster than a regular expression on this hot path.
 */
const IN_IDS = new Uint8Array(128);
for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-") {
  IN_IDS[char.charCodeAt(0)] = 1;
}
const MAX_RETRY = 2_147_483_647;

/**
 * Encodes one message as a block of the event stream.
 *
 * Fields come in the order `event`, `id`, `retry`, `data`. A space is always written after the colon: the client
 * removes one, so a leading space in the data survives.
 *
 * @param message - Fields to write. `undefined` leaves a field out; `id: ""` is written, because an
 *   empty id resets the client's last event ID.
 * @returns Text ending in the blank line that makes the client dispatch the event.
 * @throws {SseError} `ERR_SSE_INVALID_FIELD` if `event`, `id` or `retry` is invalid.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function encodeMessage(message: EventMessage): string {
  let block = "";
  if (message.event !== undefined) block += `event: ${eventType(message.event)}\n`;
  if (message.id !== undefined) block += `id: ${eventId(message.id)}\n`;
  if (message.retry !== undefined) block += `retry: ${reconnectionTime(message.retry)}\n`;
  if (message.data !== undefined) block += prefixLines("data: ", message.data);
  return `${block}\n`;
}

/**
 * Checks all fields of a message except its data.
 *
 * @param message - Same as for {@link encodeMessage}.
 * @throws {SseError} Same as {@link encodeMessage}.
 */
export function checkFields(message: EventMessage): void {
  if (message.event !== undefined) eventType(message.event);
  if (message.id !== undefined) eventId(message.id);
  if (message.retry !== undefined) reconnectionTime(message.retry);
}

/**
 * Encodes a comment, which clients ignore and proxies count as traffic.
 *
 * @param text - Comment; each of its lines becomes a comment line. `""` becomes a lone colon.
 * @returns Text ending in a blank line.
 * @throws {SseError} `ERR_SSE_INVALID_DATA` if `text` is not a string.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes
 */
export function encodeComment(text: string): string {
  if (typeof text !== "string") {
    throw new SseError(
      "ERR_SSE_INVALID_DATA",
      `Expected a comment to be a string, got ${describeValue(text)}`,
    );
  }
  return text === "" ? ":\n\n" : `${prefixLines(": ", text)}\n`;
}

function prefixLines(prefix: string, text: string): string {
  // A line break inside a line would start a new field, which lets input inject fields.
  if (!LINE_BREAK.test(text)) return `${prefix}${text}\n`;
  let lines = "";
  for (const line of text.split(LINE_BREAK)) lines += `${prefix}${line}\n`;
  return lines;
}

function eventType(event: string): string {
  if (typeof event !== "string" || event === "" || LINE_BREAK.test(event)) {
    throw new SseError(
      "ERR_SSE_INVALID_FIELD",
      `Expected \`event\` to be a non-empty string without a line break, got ${describeValue(event)}`,
    );
  }
  return event;
}

function eventId(id: string): string {
  if (isId(id) || isRelayedId(id)) return id;
  throw new SseError(
    "ERR_SSE_INVALID_FIELD",
    `Expected \`id\` to be a string of at most 1024 bytes without control characters and without spaces around it, got ${describeValue(id)}`,
  );
}

function isRelayedId(id: unknown): boolean {
  return (
    typeof id === "string" && !NOT_IN_RELAYED.test(id) && Buffer.byteLength(id) <= MAX_RELAYED_BYTES
  );
}

/** Whether a value is a valid id of a log event. */
export function isId(id: unknown): id is string {
  if (typeof id !== "string" || id.length > MAX_ID_LENGTH) return false;
  for (let i = 0; i < id.length; i++) {
    if (IN_IDS[id.charCodeAt(i)] !== 1) return false;
  }
  return true;
}

function reconnectionTime(retry: number): number {
  if (!Number.isInteger(retry) || retry < 0 || retry > MAX_RETRY) {
    throw new SseError(
      "ERR_SSE_INVALID_FIELD",
      `Expected \`retry\` to be a whole number of milliseconds from 0 to ${MAX_RETRY}, got ${describeValue(retry)}`,
    );
  }
  return retry;
}
