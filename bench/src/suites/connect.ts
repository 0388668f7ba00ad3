import { setTimeout as wait } from "node:timers/promises";
import type { SubjectName } from "../catalogue.js";
import { startPair } from "../pair.js";
import type { Pair } from "../pair.js";
import { stopAll } from "../connected-pair.js";
import { measureInRounds } from "../rounds.js";
import { summarize } from "../statistics.js";
import type { Figure, Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatFigure, formatRatio } from "../table.js";
import { atMost, decided } from "../target.js";

const BARE_OF = {
  "bare-http": undefined,
  "tidewire-http": "bare-http",
  "bare-express": undefined,
  "tidewire-express": "bare-express",
  "bare-fastify": undefined,
  "tidewire-fastify": "bare-fastify",
  "better-sse": "bare-http",
} as const;
const SUBJECTS = Object.keys(BARE_OF) as (keyof typeof BARE_OF)[];
const CONNECTS = 2_000;
const CONCURRENCY = 50;
const WHAT = "CPU of the server per stream, µs";
const LIMIT = 1.25;

export const connect: Suite = {
  name: "connect",
  title: "Connect: opening and losing a stream",
  method:
    "50 clients at a time connect, each over a connection of its own, wait for the head and the first bytes of the stream, and leave without a word.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: { readonly subject: keyof typeof BARE_OF; readonly pair: Pair }[] = [];
  const connects = context.isQuick ? CONNECTS / 4 : CONNECTS;
  try {
    for (const subject of context.pick(SUBJECTS)) {
      const { cpuProfileDir } = context;
      entries.push({ subject, pair: await startPair(subject, { cpuProfileDir }) });
    }
    const results = await measureInRounds(
      entries,
      context,
      ({ subject }) => subject,
      ({ pair }) => measure(pair, connects),
    );
    const figures = [...results].map(([{ subject }, rounds]): Figure => ({
      subject,
      in: "connect",
      what: WHAT,
      ...summarize(rounds),
    }));
    return outcome(figures, connects);
  } finally {
    await stopAll(entries);
  }
}

async function measure({ server, load }: Pair, clients: number): Promise<number> {
  await server.begin();
  const path = "/events?channel=all";
  await load.churn({ port: server.port, clients, path, concurrency: CONCURRENCY });
  // The last leavers are part of it.
  await wait(100);
  const { cpuUs } = await server.end();
  return cpuUs / clients;
}

function outcome(figures: readonly Figure[], connects: number): SuiteOutcome {
  const medianOf = (name: SubjectName | undefined): number =>
    figures.find(({ subject }) => subject === name)?.median ?? NaN;
  const ratioOf = (name: keyof typeof BARE_OF): number =>
    medianOf(name) / medianOf(BARE_OF[name] ?? name);
  const measured = SUBJECTS.filter((name) => Number.isFinite(medianOf(name)));
  return {
    parameters: { "streams in a round": connects, "at a time": CONCURRENCY },
    figures,
    tables: [
      {
        title: "CPU per stream",
        columns: ["", "CPU µs", "min", "max", "of the bare handler"],
        rows: figures.map(({ subject, median, min, max }) => [
          subject,
          ...[median, min, max].map(formatFigure),
          formatRatio(ratioOf(subject as keyof typeof BARE_OF)),
        ]),
      },
    ],
    targets: decided(
      measured.map((name) => {
        const bare = BARE_OF[name];
        if (bare === undefined || name === "better-sse") return undefined;
        return atMost(`${name}: at most ${LIMIT} × ${bare}`, ratioOf(name), LIMIT, " ×");
      }),
    ),
  };
}
