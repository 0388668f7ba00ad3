/** Encodes log entries as blocks. Any field may hold anything, because other programs may have written the entry. */

import { SseError, describeValue } from "../errors.js";
import type { LogEntry } from "../log/log.js";
import { checkChannel } from "../options/subscribe.js";
import { encodeMessage, isId } from "../wire/encode.js";
import { RESERVED_EVENT_PREFIX } from "../wire/message.js";

/** Channel that keeps the position of an unsendable entry in the window. No client may subscribe to it. */
export const NO_CHANNEL = "~";

/** Whether an entry is one of Tidewire's control entries: it moves the position and reaches no client. */
export function isControl({ channel }: LogEntry): boolean {
  return channel.startsWith("~");
}

/** @returns The block that holds the position of an unsendable entry in the window: it carries the id. */
export function encodePlace({ id }: LogEntry): string {
  return `id: ${id}\n\n`;
}

/**
 * Encodes a log entry for clients.
 *
 * @param maxEventBytes - Largest block, as the hub's option of that name.
 * @returns The block.
 * @throws {SseError} `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_OPTION` or `ERR_SSE_INVALID_DATA` if the entry cannot be
 *   sent to clients. The hub itself would not have published it.
 */
export function encodeEntry(
  { id, channel, event, data, retry }: LogEntry,
  maxEventBytes: number,
): string {
  checkChannel(channel);
  if (event?.startsWith(RESERVED_EVENT_PREFIX) === true) {
    throw new SseError(
      "ERR_SSE_INVALID_FIELD",
      `A log entry has the event type ${describeValue(event)}, which is reserved`,
    );
  }
  if (!isId(id)) {
    throw new SseError(
      "ERR_SSE_INVALID_FIELD",
      `Expected the id of a log entry to be at most 128 characters of A-Z a-z 0-9 . _ ~ -, got ${describeValue(id)}`,
    );
  }
  const block = encodeMessage({ event, id, retry, data });
  // A UTF-16 unit takes up to three bytes, so most blocks need no measuring.
  if (3 * block.length > maxEventBytes && Buffer.byteLength(block) > maxEventBytes) {
    throw new SseError(
      "ERR_SSE_INVALID_DATA",
      `A log entry has ${Buffer.byteLength(block)} bytes, more than \`maxEventBytes\` (${maxEventBytes})`,
    );
  }
  return block;
}

/** Reports per period; further ones are counted. */
const MOST_REPORTS = 10;
const PERIOD_MS = 10_000;

/** Reports entries that cannot be sent, with a limit per period. */
export class UnsendableReports {
  readonly #report: (error: unknown) => void;
  /** Start of the period. */
  #since = -Infinity;
  /** Faults in this period. */
  #count = 0;

  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  add(error: unknown, now: number): void {
    if (now - this.#since >= PERIOD_MS) {
      const unreported = this.#count - MOST_REPORTS;
      if (unreported > 0) {
        const message = `${unreported} further log entries could not be sent`;
        this.#report(new SseError("ERR_SSE_INVALID_DATA", message));
      }
      this.#since = now;
      this.#count = 0;
    }
    this.#count += 1;
    if (this.#count <= MOST_REPORTS) this.#report(error);
  }
}
