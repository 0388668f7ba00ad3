import { setTimeout as wait } from "node:timers/promises";
import type { ServerSubjectName } from "./catalogue.js";
import { startPair } from "./pair.js";
import type { Pair } from "./pair.js";
import type { SuiteContext } from "./suite.js";

/** A subject with its clients connected. */
export interface ConnectedPair {
  readonly subject: ServerSubjectName;
  readonly clients: number;
  readonly pair: Pair;
}

/** Streams open slightly after their heads have arrived. */
const SETTLE_MS = 300;

/** Starts a subject and connects all of its clients to one channel, or each to its own channel. */
export async function connectPair(
  subject: ServerSubjectName,
  clients: number,
  { cpuProfileDir, progress }: SuiteContext,
  path = "/events?channel=all",
): Promise<ConnectedPair> {
  progress.tell(`connecting ${clients} clients to ${subject}`);
  const pair = await startPair(subject, { cpuProfileDir });
  try {
    await pair.load.connect(pair.server.port, clients, path);
  } catch (error) {
    await pair.stop();
    throw error;
  }
  await wait(SETTLE_MS);
  return { subject, clients, pair };
}

/** Ends all processes, also after a failure. */
export async function stopAll(pairs: Iterable<{ readonly pair: Pair }>): Promise<void> {
  // A pair that is measured in two ways occurs twice.
  const all = new Set(Array.from(pairs, ({ pair }) => pair));
  await Promise.all(Array.from(all, (pair) => pair.stop()));
}
