/** Durations that each session draws for itself. */

/** A range from which each session draws its own value, so that clients do not come back all at once. */
export interface JitterRange {
  /** Smallest value in milliseconds. */
  readonly min: number;
  /** Largest value in milliseconds. */
  readonly max: number;
}

/**
 * Draws from a range, each whole millisecond as likely as the next.
 *
 * @param range - A number stands for itself.
 * @returns Milliseconds.
 */
export function draw(range: number | JitterRange): number {
  if (typeof range === "number") return range;
  return range.min + Math.floor(Math.random() * (range.max - range.min + 1));
}
