/** Data as JSON. */

/** @returns The parsed text; the text itself if it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
