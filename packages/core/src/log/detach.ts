/** Detaches long-lived strings from larger strings that they may be slices of. */

/** V8 copies shorter strings. From this length on, a slice keeps the whole string in memory. */
const MIN_SLICED = 13;

/** Holds a key only during a call. */
const table: Record<string, true> = Object.create(null) as Record<string, true>;

/**
 * Copies a string that is kept for long.
 *
 * A name sliced from a request body would otherwise keep the whole body alive, and a name shared by ten thousand
 * sessions would be stored ten thousand times. As a property name it is unique in V8.
 *
 * @returns An equal string with its own memory.
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
