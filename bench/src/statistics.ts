/** One figure of one subject over all rounds. */
export interface Statistics {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** One for each round: what has the same place in two figures of a suite was measured in the same round. */
  readonly rounds: readonly number[];
}

/** @returns The value that is larger than a share of all, by the nearest rank. `NaN` of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}

/** @returns The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)] ?? NaN;
  return ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

export function summarize(rounds: readonly number[]): Statistics {
  return { median: median(rounds), min: Math.min(...rounds), max: Math.max(...rounds), rounds };
}

/**
 * Divides round by round: the speed of the machine drifts by more than subjects differ, but little within a round.
 *
 * @returns The median of the ratios of all rounds. `NaN` if one of the two is missing or has other rounds.
 */
export function ratioOf(a: Statistics | undefined, b: Statistics | undefined): number {
  return medianOfPairs(a, b, (one, other) => one / other);
}

/** @returns As `ratioOf`, of the differences. */
export function differenceOf(a: Statistics | undefined, b: Statistics | undefined): number {
  return medianOfPairs(a, b, (one, other) => one - other);
}

function medianOfPairs(
  a: Statistics | undefined,
  b: Statistics | undefined,
  combine: (one: number, other: number) => number,
): number {
  if (a === undefined || b?.rounds.length !== a.rounds.length) return NaN;
  return median(a.rounds.map((one, round) => combine(one, b.rounds[round] ?? NaN)));
}
