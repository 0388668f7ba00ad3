import { runClosedLoop } from "../closed-loop.js";
import { connectPair, stopAll } from "../connected-pair.js";
import type { ConnectedPair } from "../connected-pair.js";
import { ratioTo } from "../figure.js";
import type { Figure } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { summarize } from "../statistics.js";
import { TIDEWIRE } from "../catalogue.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatRatio, formatStatistics, groupThousands } from "../table.js";
import { atMost, decided } from "../target.js";

const SUBJECTS = [
  ...TIDEWIRE,
  "socket-write",
  "response-write",
  "better-sse",
  "sse-channel",
] as const;
const CLIENTS = 1_000;
const BYTES = 100;
const EVENTS = 10;
const STEPS = 15;
const CASE = `${EVENTS} events × ${groupThousands(CLIENTS)} clients`;
const WHAT = "CPU of the server per event delivered, µs";

export const burst: Suite = {
  name: "burst",
  title: "Burst: ten events in one turn of the event loop",
  method:
    "Ten events of 100 bytes are published in one turn to 1 000 clients; when every client has all ten, the next ten follow. `socket-write` writes each event separately. A ratio is the median of the rounds' ratios to `socket-write` in the same round.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: ConnectedPair[] = [];
  const steps = context.isQuick ? 3 : STEPS;
  try {
    for (const subject of context.pick(SUBJECTS)) {
      entries.push(await connectPair(subject, CLIENTS, context));
    }
    const results = await measureInRounds(
      entries,
      context,
      ({ subject }) => ({ subject, in: CASE }),
      ({ pair, clients }) =>
        runClosedLoop(pair, { clients, steps, eventsAStep: EVENTS, bytes: BYTES }),
    );
    const figures = [...results].map(([{ subject }, rounds]): Figure => ({
      subject,
      in: CASE,
      what: WHAT,
      ...summarize(rounds.map(({ cpuUs }) => cpuUs)),
    }));
    return outcome(figures, steps);
  } finally {
    await stopAll(entries);
  }
}

function outcome(figures: readonly Figure[], steps: number): SuiteOutcome {
  return {
    parameters: {
      clients: CLIENTS,
      "bytes of data": BYTES,
      "events in a burst": EVENTS,
      "bursts in a round": steps,
    },
    figures,
    tables: [
      {
        title: CASE,
        columns: ["", "CPU µs per event delivered", "of socket-write"],
        rows: figures.map((figure) => [
          figure.subject,
          formatStatistics(figure),
          formatRatio(ratioTo(figures, figure, { subject: "socket-write" })),
        ]),
      },
    ],
    targets: decided(
      TIDEWIRE.map((subject) =>
        atMost(
          `${subject}: at most 0.2 × socket-write`,
          ratioTo(figures, { subject, in: CASE, what: WHAT }, { subject: "socket-write" }),
          0.2,
          " ×",
        ),
      ),
    ),
  };
}
