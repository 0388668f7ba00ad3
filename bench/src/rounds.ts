import type { FigureName } from "./figure.js";
import type { SuiteContext } from "./suite.js";

/**
 * Measures all entries in turn, round by round, so that what disturbs the machine for a while disturbs all of them.
 *
 * Within a round all subjects of a case are measured one after another, then those of the next case: what is compared
 * lies close together in time. Each round begins with another case, and each case with another subject.
 *
 * @param entries - What to measure. All of them are alive all the time.
 * @param context - Number of rounds.
 * @param placeOf - Says what an entry is: its subject and its case.
 * @param measure - Measures one entry once.
 * @param warmUps - Rounds before those that count.
 * @returns For each entry what was measured, in the order of the rounds.
 */
export async function measureInRounds<Entry, Result>(
  entries: readonly Entry[],
  { rounds, progress }: SuiteContext,
  placeOf: (entry: Entry) => Pick<FigureName, "subject" | "in">,
  measure: (entry: Entry) => Promise<Result>,
  warmUps = 2,
): Promise<Map<Entry, Result[]>> {
  const results = new Map<Entry, Result[]>(entries.map((entry) => [entry, []]));
  const cases = [...new Set(entries.map((entry) => placeOf(entry).in))].map((name) =>
    entries.filter((entry) => placeOf(entry).in === name),
  );
  for (let round = -warmUps; round < rounds; round++) {
    const name = round < 0 ? "warm-up" : `round ${round + 1} of ${rounds}`;
    const turn = round + warmUps;
    for (const entry of rotate(cases, turn).flatMap((one) => rotate(one, turn))) {
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
