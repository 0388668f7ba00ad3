import { setTimeout as wait } from "node:timers/promises";
import { startPair } from "../pair.js";
import type { Pair } from "../pair.js";
import { baseOf } from "../catalogue.js";
import { stopAll } from "../connected-pair.js";
import { ratioTo } from "../figure.js";
import type { Figure } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { summarize } from "../statistics.js";
import type { Statistics } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome, WithTwin } from "../suite.js";
import { formatRatio, formatStatistics } from "../table.js";
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
const CASE = "connect";
const WHAT = "CPU of the server per stream, µs";
const LIMIT = 1.2;

type Subject = WithTwin<(typeof SUBJECTS)[number]>;

export const connect: Suite = {
  name: "connect",
  title: "Connect: opening and losing a stream",
  method:
    "50 clients at a time connect, each over its own connection, wait for the head and the first bytes of the stream, and disconnect. A ratio is the median of the rounds' ratios to the bare handler in the same round.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: { readonly subject: Subject; readonly pair: Pair }[] = [];
  const connects = context.isQuick ? CONNECTS / 4 : CONNECTS;
  try {
    for (const subject of context.pick(SUBJECTS)) {
      const { cpuProfileDir } = context;
      entries.push({ subject, pair: await startPair(subject, { cpuProfileDir }) });
    }
    const results = await measureInRounds(
      entries,
      context,
      ({ subject }) => ({ subject, in: CASE }),
      ({ pair }) => measure(pair, connects),
    );
    const figures = [...results].map(([{ subject }, rounds]): Figure => ({
      subject,
      in: CASE,
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
  // Includes the last disconnects.
  await wait(100);
  const { cpuUs } = await server.end();
  return cpuUs / clients;
}

function outcome(figures: readonly Figure[], connects: number): SuiteOutcome {
  const ratioToBare = (subject: Subject): Statistics | undefined => {
    const bare = BARE_OF[baseOf(subject)] ?? subject;
    return ratioTo(figures, { subject, in: CASE, what: WHAT }, { subject: bare });
  };
  return {
    parameters: { "streams in a round": connects, "at a time": CONCURRENCY },
    figures,
    tables: [
      {
        title: "CPU per stream",
        columns: ["", "CPU µs", "of the bare handler"],
        rows: figures.map((figure) => [
          figure.subject,
          formatStatistics(figure),
          formatRatio(ratioToBare(figure.subject as Subject)),
        ]),
      },
    ],
    targets: decided(
      SUBJECTS.map((name) => {
        const bare = BARE_OF[name];
        if (bare === undefined || name === "better-sse") return undefined;
        return atMost(
          `${name}: at most ${LIMIT.toFixed(2)} × ${bare}`,
          ratioToBare(name),
          LIMIT,
          " ×",
        );
      }),
    ),
  };
}
