/** Decodes the blocks that `encode` writes. No I/O and no clock. */

import { channelOf, isStringData } from "./frame-slab.js";
import type { EventMessage } from "./message.js";
import type { StoredFrame } from "./shared-frames.js";

/** A published event, as text. */
export interface DecodedFrame {
  readonly id: string;
  readonly channel: string;
  /** Event type; `"message"` if the frame has none. */
  readonly event: string;
  readonly text: string;
  /** Whether the data was published as a string. */
  readonly isString: boolean;
}

/**
 * Decodes a frame of a published event. The result does not keep the frame's memory alive.
 *
 * @param frame - A frame written by `FrameSlab.write`, with an id.
 */
export function decodeFrame(frame: StoredFrame): DecodedFrame {
  const { slab, start, end } = frame;
  const {
    id = "",
    event = "message",
    data = "",
  } = decodeMessage(slab.toString("utf8", start, end));
  return { id, channel: channelOf(frame), event, text: data, isString: isStringData(frame) };
}

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
