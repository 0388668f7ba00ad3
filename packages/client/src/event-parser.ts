/** Reads blocks from the text of an event stream, with the rules for IDs that `eventsource-parser` leaves to its users. */

import { createParser } from "eventsource-parser";
import { isSendable } from "./last-event-id.js";

/** One block of a stream. */
export interface Block {
  /** The last event ID after this block, which may come from an earlier one. */
  readonly lastEventId: string;
  /** Event type; `message` if the block has none. */
  readonly type: string;
  /** The event's data; `undefined` if the block dispatches no event. */
  readonly data?: string | undefined;
}

/**
 * Creates a parser for one stream.
 *
 * @param lastEventId - The last event ID of the streams before.
 * @param onRetry - Gets each reconnection time, in milliseconds.
 * @returns A function that takes the next text, which may be cut anywhere, and yields each block as soon as it is read.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function createBlockParser(
  lastEventId: string,
  onRetry: (ms: number) => void,
): (text: string) => Generator<Block> {
  let id = lastEventId;
  let rest = "";
  let endsInCr = false;
  /** The report on the block under way; `undefined` if there is nothing to report yet. */
  let found: Partial<Block> | undefined;
  const parser = createParser({
    onRetry,
    onEvent: ({ event: type = "message", data }) => {
      found = { type, data };
    },
  });
  return function* parse(text) {
    const more = endsInCr && text.startsWith("\n") ? text.slice(1) : text;
    if (text !== "") endsInCr = text.endsWith("\r");
    rest += more;
    // Without this, a long line that comes in many pieces would be searched again with each of them.
    if (!/[\r\n]/.test(more)) return;
    const lines = rest.split(/\r\n|\n|\r/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      // A block with only an ID counts as well, but `eventsource-parser` does not report it.
      const field = /^id(?:: ?(.*))?$/s.exec(line);
      if (field !== null && isSendable((field[1] ??= ""))) {
        id = field[1];
        found = {};
      }
      parser.feed(`${line}\n`);
      if (line !== "" || found === undefined) continue;
      yield { lastEventId: id, type: "message", ...found };
      found = undefined;
    }
  };
}
