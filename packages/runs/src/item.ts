/** Turns what a source produces into items of a tape. */

import { SseError } from "@tidewire/core";
import { describeValue, encodeLogMessage } from "@tidewire/core/adapter";
import type { Framing } from "@tidewire/core/adapter";
import type { TapeItem } from "./tape.js";

/** One item of a run, as the application writes it: an event without an id. */
export interface RunMessage<Data = unknown> {
  /** The event's data. Strings are sent verbatim, other values pass through the option `serialize`. */
  readonly data: Data;
  /** Event type: the name given to `addEventListener`. Absent: `"message"`. Not empty, no line break, not `sse-…`. */
  readonly event?: string | undefined;
  /** Reconnection time in milliseconds, a whole number from 0 to 2 147 483 647. */
  readonly retry?: number | undefined;
  /** Not allowed: the id is the item's position in the run. */
  readonly id?: undefined;
}

/** Serializers and size limits of items. */
export interface ItemFraming {
  readonly ofMessages: Framing;
  /** For bare strings, which are verbatim on every stream. */
  readonly ofStrings: Framing;
}

/**
 * Checks a message and serializes its data.
 *
 * @param message - A message without an id; a string is short for `{ data: string }`.
 * @param framing - Serializer and size limit.
 * @throws {SseError} `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_DATA` or `ERR_SSE_ID_RESERVED` if the message is invalid.
 */
export function encodeItem(message: unknown, framing: ItemFraming): TapeItem {
  if (typeof message === "object" && message !== null && "id" in message) {
    const { id } = message;
    if (id !== undefined) {
      throw new SseError(
        "ERR_SSE_ID_RESERVED",
        `Expected an item of a run to have no \`id\`, got ${describeValue(id)}: its id is its position in the run`,
      );
    }
  }
  const { event, data, retry } = encodeLogMessage(
    message as RunMessage | string,
    typeof message === "string" ? framing.ofStrings : framing.ofMessages,
  );
  return { event, data, retry };
}

/** Bytes that each item counts besides its text: a bound on the text alone would allow millions of short items. */
const ITEM_BYTES = 64;

/** @returns Size of an item as it counts against `maxBytes`, in bytes. */
export function sizeOf({ event, data }: TapeItem): number {
  const text = Buffer.byteLength(data) + (event === undefined ? 0 : Buffer.byteLength(event));
  return text + ITEM_BYTES;
}
