/** The text of a tape's records in Redis: its beginning, an item, or the end. The first character says which. */

import type { RunEnd, TapeItem } from "@tidewire/runs/tapes";

/** Content of a record that a reader can get. */
export type TapeRecord = { readonly item: TapeItem } | { readonly end: RunEnd };

/** @returns The record of an item: `d` and its data, or `j` and JSON if it has other fields. */
export function encodeItem(item: TapeItem): string {
  const { event, data, retry } = item;
  return event === undefined && retry === undefined
    ? `d${data}`
    : `j${JSON.stringify({ event, data, retry })}`;
}

/** @returns The record of an end: `e` and JSON. */
export function encodeEnd({ outcome, error }: RunEnd): string {
  return `e${JSON.stringify({ outcome, error })}`;
}

/**
 * Reads a record.
 *
 * @throws {Error} If another program has written it.
 */
export function decodeRecord(record: string): TapeRecord {
  const text = record.slice(1);
  switch (record[0]) {
    case "d":
      return { item: { data: text } };
    case "j":
      return { item: JSON.parse(text) as TapeItem };
    case "e":
      return { end: JSON.parse(text) as RunEnd };
    default:
      throw new Error(`Unknown record on a tape: ${JSON.stringify(record.slice(0, 20))}`);
  }
}
