/** Makes strings that are kept for long independent of the larger ones that they may have been cut from. */

/** V8 copies what is shorter; from here on a part of a string shares the memory of all of it. */
const MIN_SLICED = 13;

/** Never holds a key for longer than a call. */
const table: Record<string, true> = Object.create(null) as Record<string, true>;

/**
 * Copies a string that will be kept.
 *
 * A name that was cut out of a request's body would otherwise keep the whole body alive, and a name that ten thousand
 * sessions have in common would be there ten thousand times: the names of properties are unique in V8.
 *
 * @returns An equal string with memory of its own.
 */
export function detach(text: string): string {
  if (text.length < MIN_SLICED) return text;
  table[text] = true;
  for (const name in table) {
    delete table[name];
    return name;
  }
  return text;
}
