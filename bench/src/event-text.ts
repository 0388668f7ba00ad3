/** Starts the data of each event and occurs nowhere else on the wire: the load counts events by it. */
export const MARK = "^";
/** The same as a byte. */
export const MARK_BYTE = 94;
/** Digits of the sequence number after the mark. */
export const SEQUENCE_DIGITS = 8;

const fillers = new Map<number, string>();

/**
 * Makes the data of one event.
 *
 * @param sequence - Number of the event, from 0.
 * @param bytes - Exact size.
 * @returns ASCII text without line breaks.
 */
export function eventText(sequence: number, bytes: number): string {
  const length = bytes - MARK.length - SEQUENCE_DIGITS;
  let filler = fillers.get(length);
  if (filler === undefined) {
    filler = "abcdefghijklmnopqrstuvwxyz ".repeat(Math.ceil(length / 27)).slice(0, length);
    fillers.set(length, filler);
  }
  return `${MARK}${String(sequence).padStart(SEQUENCE_DIGITS, "0")}${filler}`;
}
