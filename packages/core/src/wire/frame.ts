/** Encodes messages and the core's own events as bytes, and checks them completely first. */

import { shareFrames } from "./shared-frames.js";
import type { SharedFrames } from "./shared-frames.js";
import { checkFields, encodeComment, encodeMessage } from "./encode.js";
import { SseError, describeValue, quoteError, quoteName, suggest } from "../errors.js";
import type { LogMessage } from "../log/log.js";
import { COMPLETE_ID, RESERVED_EVENT_PREFIX } from "./message.js";
import type { EventMessage, LastMessage, SseMessage } from "./message.js";

/**
 * Settings for encoding an application's messages.
 */
export interface Framing {
  /** Converts data that is not a string to a string. */
  readonly serialize: (data: unknown) => string;
  /**
   * Whether string `data` of a message is sent unchanged.
   *
   * @defaultValue `true`
   */
  readonly verbatimStrings?: boolean | undefined;
  /** Largest frame in bytes. */
  readonly maxEventBytes: number;
}

/**
 * A lone comment: the first bytes of a stream that has nothing else to send. Firefox and some proxies do not notice a
 * stream without bytes.
 */
export const OPENING: Buffer = Buffer.from(encodeComment(""));

/** The heartbeat: a lone comment. */
export const HEARTBEAT: SharedFrames = shareFrames([OPENING]);

/** The last field of each block: at its start, and after another field. */
const DATA = "data: ";
const LATER_DATA = "\ndata: ";

/** The block that tells a client not to reconnect. */
export const COMPLETE: Buffer = Buffer.from(
  encodeMessage({ event: "sse-complete", id: COMPLETE_ID, data: "{}" }),
);

/**
 * Encodes an application's message as bytes ready to write.
 *
 * All checks are made before anything is written: whatever `serialize` does, the next message is intact.
 *
 * @param message - A message; a string is short for `{ data: string }`.
 * @param framing - Serializer and size limit.
 * @returns The frame, ending in the blank line that makes the client dispatch the event.
 * @throws {SseError} `ERR_SSE_INVALID_FIELD` if `event`, `id` or `retry` is invalid, or `event` is one of the reserved
 *   `sse-…` types.
 * @throws {SseError} `ERR_SSE_ID_RESERVED` if `id` is `~end`.
 * @throws {SseError} `ERR_SSE_INVALID_DATA` if the data is missing, cannot be serialized or is too large.
 */
export function encodeFrame(message: SseMessage | string, framing: Framing): Buffer {
  if (typeof message === "string") return limited(encodeMessage({ data: message }), framing);
  checkMessage(message);
  const { event, id, retry } = message;
  return limited(encodeMessage({ event, id, retry, data: dataOf(message, framing) }), framing);
}

/**
 * Encodes a comment as bytes ready to write.
 *
 * @param text - Comment; each of its lines becomes a comment line.
 * @param framing - Size limit.
 * @returns The frame.
 * @throws {SseError} `ERR_SSE_INVALID_DATA` if `text` is not a string or is too large.
 */
export function encodeCommentFrame(text: string, framing: Framing): Buffer {
  return limited(encodeComment(text), framing);
}

/**
 * Encodes the last message of a stream.
 *
 * @param message - A message without an id; a string is short for `{ data: string }`.
 * @param framing - Serializer and size limit.
 * @param hasId - Whether it carries the id by which a client that reconnects is recognized.
 * @returns The frame.
 * @throws {SseError} Same as {@link encodeFrame}; `ERR_SSE_ID_RESERVED` for any id; `ERR_SSE_INVALID_DATA` without
 *   data.
 */
export function encodeLast(
  message: LastMessage | string,
  framing: Framing,
  hasId: boolean,
): Buffer {
  const { id, event, retry }: Partial<SseMessage> =
    typeof message === "string" ? {} : (message ?? {});
  if (id !== undefined) {
    throw new SseError(
      "ERR_SSE_ID_RESERVED",
      `Expected a last message without \`id\`: complete() sets it to "${COMPLETE_ID}"`,
    );
  }
  const data = typeof message === "string" ? message : checkedData(message, framing);
  return limited(
    encodeMessage({ event, id: hasId ? COMPLETE_ID : undefined, retry, data }),
    framing,
  );
}

/**
 * Adds a reconnection time to a block that has none.
 *
 * @param milliseconds - Reconnection time.
 * @param block - A block with data.
 * @returns The frame.
 */
export function withRetry(milliseconds: number, block: Buffer): Buffer {
  // After the event type and the id, as in every block.
  const at = block.indexOf(DATA) === 0 ? 0 : block.indexOf(LATER_DATA) + 1;
  const retry = Buffer.from(`retry: ${milliseconds}\n`);
  return Buffer.concat([block.subarray(0, at), retry, block.subarray(at)]);
}

/**
 * Encodes the last block of a stream whose client should not reconnect at once. It has data, because some clients treat
 * a block with `retry` alone as an event without data.
 *
 * @param milliseconds - Reconnection time.
 * @returns The frame.
 */
export function encodeRetryFrame(milliseconds: number): Buffer {
  return encodeOwn("sse-retry", { retry: milliseconds });
}

/** Why a client gets a reset. */
export type ResetReason = "trimmed" | "unknown" | "overflow" | "fork";

/** Optional fields of the core's own blocks. */
interface OwnFields {
  /** Id in the log, or `""`. */
  readonly id?: string | undefined;
  /** JSON object. The first cursor event of a stream carries the heartbeat interval. */
  readonly data?: string | undefined;
  /** Reconnection time in milliseconds, for the first block of a stream. */
  readonly retry?: number | undefined;
}

/**
 * Encodes the block that moves a client's last event ID without reaching `onmessage`. A block with only an `id` would
 * be shorter, but some clients ignore it.
 *
 * @param id - Id in the log.
 * @returns The frame.
 */
export function encodeCursorFrame(id: string, { data, retry }: Omit<OwnFields, "id"> = {}): Buffer {
  return encodeOwn("sse-cursor", { id, retry, data });
}

/**
 * Encodes the block that tells a client that it may have missed events.
 *
 * @param reason - Reason.
 * @param channels - Channels of the stream.
 * @param id - Position from which the client continues; `""` if a cursor event follows, until which it has none.
 * @param retry - Reconnection time in milliseconds, if this is the first block of the stream.
 * @returns The frame.
 */
export function encodeResetFrame(
  reason: ResetReason,
  channels: readonly string[],
  id: string,
  retry?: number,
): Buffer {
  return encodeOwn("sse-reset", { id, retry, data: JSON.stringify({ reason, channels }) });
}

/** Encodes a block of the core's own: its fields are valid, and JSON has no line breaks. Each stream begins with one. */
function encodeOwn(event: string, { id, retry, data = "{}" }: OwnFields): Buffer {
  const position = id === undefined ? "" : `id: ${id}\n`;
  const time = retry === undefined ? "" : `retry: ${retry}\n`;
  return Buffer.from(`event: ${event}\n${position}${time}data: ${data}\n\n`);
}

/**
 * Checks a message that gets its position from the log, and serializes its data.
 *
 * @param message - A message without an id; a string is short for `{ data: string }`.
 * @param framing - Serializer and size limit.
 * @returns The message, ready to encode.
 * @throws {SseError} Same as {@link encodeFrame}; `ERR_SSE_ID_RESERVED` for any id.
 */
export function prepareMessage(message: SseMessage | string, framing: Framing): EventMessage {
  if (typeof message !== "string") checkMessage(message);
  const { id, event, retry }: Partial<SseMessage> = typeof message === "string" ? {} : message;
  if (id !== undefined) {
    throw new SseError(
      "ERR_SSE_ID_RESERVED",
      `Expected a snapshot message to have no \`id\`, got ${describeValue(id)}: a stream that has subscribed gets its ids from the log`,
    );
  }
  const data = dataOf(typeof message === "string" ? { data: message } : message, framing);
  const prepared = { event, retry, data };
  checkFields(prepared);
  const most = MOST_PER_UNIT * ((data?.length ?? 0) + (event?.length ?? 0)) + OTHER_FIELDS_BYTES;
  if (most > framing.maxEventBytes) checkSize(encodeMessage(prepared), framing);
  return prepared;
}

/**
 * Checks and serializes a message to publish.
 *
 * @param message - A message; a string is short for `{ data: string }`.
 * @param framing - Serializer and size limit.
 * @returns The message as the log stores it.
 * @throws {SseError} `ERR_SSE_INVALID_FIELD` if `event` or `retry` is invalid, or `event` is one of the reserved `sse-…`
 *   types.
 * @throws {SseError} `ERR_SSE_ID_RESERVED` for any id, because the log assigns it.
 * @throws {SseError} `ERR_SSE_INVALID_DATA` if the data is missing, cannot be serialized or is too large.
 */
export function encodeLogMessage(message: SseMessage | string, framing: Framing): LogMessage {
  const { id, event, retry }: Partial<SseMessage> =
    typeof message === "string" ? {} : (message ?? {});
  if (id !== undefined) {
    throw new SseError("ERR_SSE_ID_RESERVED", "The log assigns the ids of published events");
  }
  const given = typeof message === "string" ? { data: message } : message;
  const data = checkedData(given, framing);
  checkFields({ event, retry });
  // Measured only near the limit, because encoding the block takes as long as the rest of publishing.
  const most = MOST_PER_UNIT * (data.length + (event?.length ?? 0)) + OTHER_FIELDS_BYTES;
  if (most > framing.maxEventBytes) {
    checkSize(encodeMessage({ event, id: LONGEST_ID, retry, data }), framing);
  }
  return typeof given.data === "string" && framing.verbatimStrings !== false
    ? { event, data, retry, isString: true }
    : { event, data, retry };
}

/** Most bytes per UTF-16 unit: each may be a line break, which adds `data: ` and a line end. */
const MOST_PER_UNIT = 7;
/** Upper bound for field names, line ends, the longest id and the longest `retry`. */
const OTHER_FIELDS_BYTES = 256;

/** An id takes up to 128 bytes, and is unknown until the log has the event. */
const LONGEST_ID = "0".repeat(128);

function checkedData(message: SseMessage, framing: Framing): string {
  checkMessage(message);
  const data = dataOf(message, framing);
  if (data === undefined) {
    throw invalidData(
      unknownField(message) ?? "Expected `data`: a published message must be an event",
    );
  }
  return data;
}

function checkMessage(message: SseMessage): void {
  if (typeof message !== "object" || message === null) {
    throw invalidData(
      `Expected a message to be a string or an object, got ${describeValue(message)}`,
    );
  }
  const { event, id } = message;
  if (typeof event === "string" && event.startsWith(RESERVED_EVENT_PREFIX)) {
    throw new SseError(
      "ERR_SSE_INVALID_FIELD",
      `Expected \`event\` not to begin with "${RESERVED_EVENT_PREFIX}", which is reserved, got ${describeValue(event)}`,
    );
  }
  if (id === COMPLETE_ID) {
    throw new SseError("ERR_SSE_ID_RESERVED", `The id "${COMPLETE_ID}" is reserved for complete()`);
  }
}

function dataOf(message: SseMessage, { serialize, verbatimStrings }: Framing): string | undefined {
  const { data } = message;
  if (typeof data === "string" && verbatimStrings !== false) return data;
  if (data === undefined) {
    // Clients drop a block without data, whatever its event type: the event would be lost silently.
    if (message.event === undefined && (message.id !== undefined || message.retry !== undefined)) {
      return undefined;
    }
    throw invalidData(
      unknownField(message) ??
        'Expected `data`: a client dispatches no event for a block without it. Use `data: ""` for an event without content',
    );
  }
  let text: unknown;
  try {
    text = serialize(data);
  } catch (cause) {
    throw new SseError(
      "ERR_SSE_INVALID_DATA",
      `Could not serialize \`data\`: ${quoteError(cause)}`,
      {
        cause,
      },
    );
  }
  if (typeof text !== "string") {
    throw invalidData(
      `Expected \`serialize\` to return a string for ${describeValue(data)}, got ${describeValue(text)}`,
    );
  }
  return text;
}

const FIELDS = ["data", "event", "id", "retry"];
/** Names of these fields in other libraries. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  type: "event",
  name: "event",
  payload: "data",
  body: "data",
  message: "data",
};

/** @returns The problem of a message without data that has a misnamed field; `undefined` if it has none. */
function unknownField(message: SseMessage): string | undefined {
  const name = Object.keys(message).find((one) => !FIELDS.includes(one));
  if (name === undefined) return undefined;
  const other = Object.hasOwn(OTHER_NAMES, name) ? OTHER_NAMES[name] : undefined;
  const hint = other === undefined ? suggest(name, FIELDS) : `Did you mean \`${other}\`?`;
  return `Expected \`data\`, got the unknown field ${quoteName("", name)}. ${hint}`;
}

function limited(block: string, framing: Framing): Buffer {
  checkSize(block, framing);
  return Buffer.from(block);
}

function checkSize(block: string, { maxEventBytes }: Framing): void {
  const size = Buffer.byteLength(block);
  if (size <= maxEventBytes) return;
  throw invalidData(
    `Expected an event of at most ${maxEventBytes} bytes (\`maxEventBytes\`), got ${size}`,
  );
}

function invalidData(message: string): SseError {
  return new SseError("ERR_SSE_INVALID_DATA", message);
}
