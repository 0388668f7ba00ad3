import type { SuiteContext } from "./suite.js";

/**
 * Measures all entries in turn, round by round, so that what disturbs the machine for a while disturbs all of them.
 *
 * Each round begins with another entry.
 *
 * @param entries - What to measure. All of them are alive all the time.
 * @param context - Number of rounds.
 * @param label - Says what an entry is.
 * @param measure - Measures one entry once.
 * @param warmUps - Rounds before those that count.
 * @returns For each entry what was measured, in the order of the rounds.
 */
export async function measureInRounds<Entry, Result>(
  entries: readonly Entry[],
  { rounds, progress }: SuiteContext,
  label: (entry: Entry) => string,
  measure: (entry: Entry) => Promise<Result>,
  warmUps = 2,
): Promise<Map<Entry, Result[]>> {
  const results = new Map<Entry, Result[]>(entries.map((entry) => [entry, []]));
  for (let round = -warmUps; round < rounds; round++) {
    const name = round < 0 ? "warm-up" : `round ${round + 1} of ${rounds}`;
    const start = (round + warmUps) % Math.max(1, entries.length);
    for (const entry of [...entries.slice(start), ...entries.slice(0, start)]) {
      progress.tell(`${name}: ${label(entry)}`);
      const result = await measure(entry);
      if (round >= 0) results.get(entry)?.push(result);
    }
  }
  return results;
}
