import type { FigureName } from "./figure.js";
import type { SuiteContext } from "./suite.js";

/** Options for measuring in rounds. */
export interface RoundOptions<Entry> {
  /** Warm-up rounds, which do not count. */
  readonly warmUps?: number;
  /** Returns the group of an entry: compared entries are measured close together in time. Default: the case. */
  readonly groupOf?: (entry: Entry) => unknown;
}

/**
 * Measures all entries in turn, round by round, so that a temporary disturbance affects all of them.
 *
 * Within a round, all entries of a group are measured one after another, then those of the next group. Each round
 * starts with another group, and each group with another entry. Every second round runs backwards, so that of two
 * neighbours neither is always measured second.
 *
 * @param entries - Entries to measure. All stay alive during the whole run.
 * @param context - Number of rounds.
 * @param placeOf - Returns the subject and case of an entry.
 * @param measure - Measures one entry once.
 * @returns The measurements of each entry, in the order of the rounds.
 */
export async function measureInRounds<Entry, Result>(
  entries: readonly Entry[],
  { rounds, progress }: SuiteContext,
  placeOf: (entry: Entry) => Pick<FigureName, "subject" | "in">,
  measure: (entry: Entry) => Promise<Result>,
  { warmUps = 2, groupOf = (entry) => placeOf(entry).in }: RoundOptions<Entry> = {},
): Promise<Map<Entry, Result[]>> {
  const results = new Map<Entry, Result[]>(entries.map((entry) => [entry, []]));
  const groups = [...new Set(entries.map(groupOf))].map((name) =>
    entries.filter((entry) => groupOf(entry) === name),
  );
  for (let round = -warmUps; round < rounds; round++) {
    const name = round < 0 ? "warm-up" : `round ${round + 1} of ${rounds}`;
    const turn = round + warmUps;
    const order = rotate(groups, turn).flatMap((one) => rotate(one, turn));
    for (const entry of turn % 2 === 0 ? order : order.toReversed()) {
      const { subject, in: place } = placeOf(entry);
      progress.tell(`${name}: ${place}, ${subject}`);
      const result = await measure(entry);
      if (round >= 0) results.get(entry)?.push(result);
    }
  }
  return results;
}

/** @returns The list rotated by a number of places. */
function rotate<Item>(list: readonly Item[], by: number): Item[] {
  const start = by % Math.max(1, list.length);
  return [...list.slice(start), ...list.slice(0, start)];
}
