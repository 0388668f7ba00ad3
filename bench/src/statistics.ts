/** One figure of one subject over all rounds. */
export interface Statistics {
  readonly median: number;
  /** Lower end of the interval that contains the true median with a probability of at least 95 %. */
  readonly low: number;
  /** Upper end of that interval. */
  readonly high: number;
  readonly min: number;
  readonly max: number;
  /** One value for each round. In two figures of a suite, values with the same index come from the same round. */
  readonly rounds: readonly number[];
}

/** Largest probability that the true median lies outside the interval. */
const ALPHA = 0.05;

/** @returns The nearest-rank quantile. `NaN` for an empty list. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}

/** @returns The middle value, or the mean of the two middle values. */
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
 * The interval of the sign test: the number of rounds below the true median is binomial, whatever the distribution of
 * the figures. Without resampling, the same rounds always give the same interval.
 *
 * @returns How many of the smallest, and of the largest, rounds lie outside: for example 5 of 20. Fewer than 6 rounds
 *   do not reach 95 %; the interval then spans all rounds.
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
 * Divides round by round: the machine's speed drifts by more than subjects differ, but little within a round.
 *
 * @returns The ratios of all rounds; `undefined` if either figure is missing or has other rounds.
 */
export function ratioOf(
  a: Statistics | undefined,
  b: Statistics | undefined,
): Statistics | undefined {
  return ofPairs(a, b, (one, other) => one / other);
}

/** @returns Same as `ratioOf`, for differences. */
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
