/** One figure of one subject over all rounds. */
export interface Statistics {
  readonly median: number;
  /** Lower end of the interval that holds the true median with a probability of at least 95 %. */
  readonly low: number;
  /** Upper end of that interval. */
  readonly high: number;
  readonly min: number;
  readonly max: number;
  /** One value for each round. In two figures of a suite, values with the same index come from the same round. */
  readonly rounds: readonly number[];
}

/** Probability with which the true median lies outside of an interval, at most. */
const ALPHA = 0.05;

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
  const sorted = rounds.toSorted((a, b) => a - b);
  const outside = outsideInterval(sorted.length);
  return {
    median: median(sorted),
    low: sorted[outside] ?? NaN,
    high: sorted.at(-1 - outside) ?? NaN,
    min: sorted[0] ?? NaN,
    max: sorted.at(-1) ?? NaN,
    rounds,
  };
}

/**
 * The sign test's interval: how many of the rounds lie below the true median is binomial, whatever the distribution of
 * the figures. Nothing is resampled, so that the same rounds always have the same interval.
 *
 * @returns How many of the smallest, and of the largest, rounds lie outside: 5 of 20. With fewer than 6 rounds no
 *   interval reaches 95 %, and it goes from the smallest to the largest.
 */
function outsideInterval(rounds: number): number {
  let outside = 0;
  let exactly = 0.5 ** rounds;
  for (let atMost = exactly; atMost <= ALPHA / 2; atMost += exactly) {
    outside += 1;
    exactly *= (rounds - outside + 1) / outside;
  }
  return Math.max(0, outside - 1);
}

/**
 * Divides round by round: the speed of the machine drifts by more than subjects differ, but little within a round.
 *
 * @returns The ratios of all rounds; `undefined` if one of the two is missing or has other rounds.
 */
export function ratioOf(
  a: Statistics | undefined,
  b: Statistics | undefined,
): Statistics | undefined {
  return ofPairs(a, b, (one, other) => one / other);
}

/** @returns As `ratioOf`, of the differences. */
export function differenceOf(
  a: Statistics | undefined,
  b: Statistics | undefined,
): Statistics | undefined {
  return ofPairs(a, b, (one, other) => one - other);
}

function ofPairs(
  a: Statistics | undefined,
  b: Statistics | undefined,
  combine: (one: number, other: number) => number,
): Statistics | undefined {
  if (a === undefined || b?.rounds.length !== a.rounds.length) return undefined;
  return summarize(a.rounds.map((one, round) => combine(one, b.rounds[round] ?? NaN)));
}
