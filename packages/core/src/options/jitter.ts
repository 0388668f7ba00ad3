/** Durations drawn at random for each session. */

/** A range from which a value is drawn for each session, so that clients do not all reconnect at once. */
export interface JitterRange {
  /** Smallest value in milliseconds. */
  readonly min: number;
  /** Largest value in milliseconds. */
  readonly max: number;
}

/**
 * Draws a whole number of milliseconds from a range, uniformly.
 *
 * @param range - A number is returned unchanged.
 * @returns Milliseconds.
 */
export function draw(range: number | JitterRange): number {
  if (typeof range === "number") return range;
  return range.min + Math.floor(Math.random() * (range.max - range.min + 1));
}
