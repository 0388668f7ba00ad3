import { setTimeout as wait } from "node:timers/promises";
import { Pair } from "../pair.js";
import { stopAll } from "../connected-pair.js";
import type { Figure } from "../figure.js";
import { NodeServer } from "../server.js";
import { summarize } from "../statistics.js";
import { TIDEWIRE } from "../catalogue.js";
import type { NodeServerName } from "../catalogue.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatStatistics, groupThousands } from "../table.js";
import { decided, lessThan } from "../target.js";

const SUBJECTS = [...TIDEWIRE, "response-write"] as const;
const CLIENTS = 10_000;
const HEARTBEAT_MS = 15_000;
const WINDOW_MS = 60_000;
/** Time until all clients are connected and have had their first heartbeat. */
const SETTLE_MS = 20_000;
const WHAT = "CPU of the server, % of a core";

type Entry = { readonly subject: NodeServerName; readonly pair: Pair<NodeServer> };

export const heartbeat: Suite = {
  name: "heartbeat",
  title: "Heartbeats: 10 000 silent streams",
  method:
    "Nothing is published; each stream gets a heartbeat every 15 seconds. The control, `response-write`, sends none. All servers are watched over the same minutes.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: Entry[] = [];
  const { cpuProfileDir, progress, isQuick } = context;
  const windowMs = isQuick ? WINDOW_MS / 2 : WINDOW_MS;
  const rounds = isQuick ? 1 : context.rounds;
  try {
    for (const subject of context.pick(SUBJECTS)) {
      progress.tell(`connecting ${CLIENTS} clients to ${subject}`);
      const server = await NodeServer.start(subject, { heartbeatMs: HEARTBEAT_MS, cpuProfileDir });
      const pair = new Pair(subject, server);
      entries.push({ subject, pair });
      await pair.load.connect(server.port, CLIENTS, "/events?channel=all");
    }
    progress.tell(`waiting ${SETTLE_MS / 1_000} s`);
    await wait(SETTLE_MS);
    const shares = new Map<Entry, number[]>(entries.map((entry) => [entry, []]));
    for (let round = 1; round <= rounds; round++) {
      progress.tell(`round ${round} of ${rounds}, ${windowMs / 1_000} s`);
      const measured = await Promise.all(entries.map(({ pair }) => measure(pair, windowMs)));
      for (const [at, entry] of entries.entries()) shares.get(entry)?.push(measured[at] ?? NaN);
    }
    const figures = [...shares].map(([{ subject }, values]): Figure => ({
      subject,
      in: "heartbeat",
      what: WHAT,
      ...summarize(values),
    }));
    return outcome(figures, windowMs);
  } finally {
    await stopAll(entries);
  }
}

/** @returns Percent of a core. */
async function measure(pair: Pair<NodeServer>, windowMs: number): Promise<number> {
  const { server, load, subject } = pair;
  await load.begin({ step: 1 });
  await server.begin();
  const start = performance.now();
  await wait(windowMs);
  const { cpuUs } = await server.end();
  const elapsedMs = performance.now() - start;
  const { bytes } = await load.end();
  // A subject that sends no heartbeats would seem free.
  const beats = Math.floor(windowMs / (HEARTBEAT_MS + 1_000));
  if (subject !== "response-write" && bytes.min < beats * ":\n\n".length) {
    throw new Error(`${subject}: a client got ${bytes.min} bytes in place of ${beats} heartbeats`);
  }
  return cpuUs / 10 / elapsedMs;
}

function outcome(figures: readonly Figure[], windowMs: number): SuiteOutcome {
  return {
    parameters: {
      clients: CLIENTS,
      "heartbeat ms": HEARTBEAT_MS,
      "seconds in a round": windowMs / 1_000,
    },
    figures,
    tables: [
      {
        title: `${groupThousands(CLIENTS)} silent streams`,
        columns: ["", "% of a core"],
        rows: figures.map((figure) => [figure.subject, formatStatistics(figure)]),
      },
    ],
    targets: decided(
      figures
        .filter(({ subject }) => subject !== "response-write")
        .map((figure) => lessThan(`${figure.subject}: less than 1 % of a core`, figure, 1, " %")),
    ),
  };
}
