import type { FigureName } from "./figure.js";
import type { SuiteContext } from "./suite.js";

/** How entries are measured in rounds. */
export interface RoundOptions<Entry> {
  /** Rounds before those that count. */
  readonly warmUps?: number;
  /** Names the group of an entry: what is compared lies close together in time. The case by default. */
  readonly groupOf?: (entry: Entry) => unknown;
}

/**
 * Measures all entries in turn, round by round, so that what disturbs the machine for a while disturbs all of them.
 *
 * Within a round all entries of a group are measured one after another, then those of the next group. Each round begins
 * with another group, and each group with another entry; every second round runs backwards, so that neither of two
 * neighbours always follows the other.
 *
 * @param entries - What to measure. All of them are alive all the time.
 * @param context - Number of rounds.
 * @param placeOf - Says what an entry is: its subject and its case.
 * @param measure - Measures one entry once.
 * @returns For each entry what was measured, in the order of the rounds.
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

/** @returns The list with another beginning: that many later, all around. */
function rotate<Item>(list: readonly Item[], by: number): Item[] {
  const start = by % Math.max(1, list.length);
  return [...list.slice(start), ...list.slice(0, start)];
}
