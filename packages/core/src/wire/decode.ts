/** Decodes the blocks that `encode` writes. No I/O and no clock. */

import type { EventMessage } from "./message.js";

const EVENT = "event: ";
const ID = "id: ";
const RETRY = "retry: ";
const DATA = "data: ";

/**
 * Decodes one block, the inverse of `encodeMessage`.
 *
 * It is no parser of the event stream: it accepts only what `encodeMessage` writes, with its order of fields and its
 * line ends. Line breaks in data were LF, CR or CRLF; here they are LF, as they are for every client.
 *
 * @param block - Text of a block, ending in a blank line.
 * @returns The fields that it has.
 */
export function decodeMessage(block: string): EventMessage {
  let at = 0;
  let event: string | undefined;
  let id: string | undefined;
  let retry: number | undefined;
  if (block.startsWith(EVENT)) {
    const end = block.indexOf("\n");
    event = block.slice(EVENT.length, end);
    at = end + 1;
  }
  if (block.startsWith(ID, at)) {
    const end = block.indexOf("\n", at);
    id = block.slice(at + ID.length, end);
    at = end + 1;
  }
  if (block.startsWith(RETRY, at)) {
    const end = block.indexOf("\n", at);
    retry = Number(block.slice(at + RETRY.length, end));
    at = end + 1;
  }
  return { event, id, retry, data: decodeData(block, at) };
}

/** @returns The data that begins at an index; `undefined` if the block has none. */
function decodeData(block: string, at: number): string | undefined {
  if (!block.startsWith(DATA, at)) return undefined;
  // The last line end of the data, and the blank line.
  const lines = block.slice(at + DATA.length, -2);
  return lines.includes("\n") ? lines.replaceAll(`\n${DATA}`, "\n") : lines;
}
