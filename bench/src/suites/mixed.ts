/** Measures the cost of publishing to everybody and to each user in one turn of the event loop. */

import { setTimeout as wait } from "node:timers/promises";
import { TIDEWIRE } from "../catalogue.js";
import type { NodeServerName } from "../catalogue.js";
import { runSteps } from "../closed-loop.js";
import { stopAll } from "../connected-pair.js";
import { findFigure, ratioTo } from "../figure.js";
import type { Figure } from "../figure.js";
import { Pair } from "../pair.js";
import { measureInRounds } from "../rounds.js";
import { NodeServer } from "../server.js";
import { summarize } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatRatio, formatStatistics, groupThousands } from "../table.js";
import { atMost, decided } from "../target.js";

const SUBJECTS = [...TIDEWIRE, "socket-write"] as const;
const CLIENTS = 10_000;
const BYTES = 100;
const STEPS = 3;
const LIMIT = 1.5;
/** Streams open slightly after their heads have arrived. */
const SETTLE_MS = 500;

const CASES = [
  { name: "one turn", turns: 1 },
  { name: "two turns", turns: 2 },
] as const;
const [ONE, TWO] = CASES;
const CPU = "CPU of the server per delivery, µs";
const WALL = "from publishing to the last client, ms";

type Entry = {
  readonly subject: NodeServerName;
  readonly pair: Pair<NodeServer>;
  readonly in: (typeof CASES)[number];
};

export const mixed: Suite = {
  name: "mixed",
  title: "Mixed: one event for everybody and one for each user",
  method:
    "10 000 clients are on the channel `all`, and each on its own channel `user:<i>`. One event is published on `all` and one on each of the 10 000 others: all of them in one turn of the event loop, or the one on `all` in a turn and the others in the next. " +
    "Both are 20 000 deliveries. When every client has its two events, the next ones are published. Tidewire joins what a client gets in one turn; `socket-write` writes each event by itself in both cases. " +
    "A ratio is the median of the rounds' ratios: of one turn to two turns of the same subject, measured one right after the other, and to `socket-write` in the same round.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: Entry[] = [];
  const { cpuProfileDir, isQuick, progress } = context;
  const steps = isQuick ? 1 : STEPS;
  try {
    for (const subject of context.pick(SUBJECTS)) {
      progress.tell(`connecting ${CLIENTS} clients to ${subject}`);
      const server = await NodeServer.start(subject, { cpuProfileDir });
      const pair = new Pair(subject, server);
      for (const one of CASES) entries.push({ subject, pair, in: one });
      await pair.load.connect(server.port, CLIENTS, "/events?channel=all,user:{index}");
    }
    await wait(SETTLE_MS);
    const results = await measureInRounds(
      entries,
      context,
      ({ subject, in: one }) => ({ subject, in: one.name }),
      ({ pair, in: { turns } }) =>
        runSteps(pair, {
          clients: CLIENTS,
          steps,
          deliveriesAStep: 2 * CLIENTS,
          events: 2 * steps,
          bytes: BYTES,
          isUniform: false,
          publish() {
            const order = { first: pair.sequence, clients: CLIENTS, bytes: BYTES, turns };
            pair.server.remote.tell("publishMixed", order);
            pair.sequence += 2;
          },
        }),
      { groupOf: ({ pair }) => pair },
    );
    const figures = [...results].flatMap(([{ subject, in: one }, rounds]): Figure[] => {
      const place = { subject, in: one.name };
      return [
        { ...place, what: CPU, ...summarize(rounds.map(({ cpuUs }) => cpuUs)) },
        { ...place, what: WALL, ...summarize(rounds.map(({ wallMs }) => wallMs)) },
      ];
    });
    return outcome(figures, steps);
  } finally {
    await stopAll(entries);
  }
}

function outcome(figures: readonly Figure[], steps: number): SuiteOutcome {
  return {
    parameters: { clients: CLIENTS, "bytes of data": BYTES, "times in a round": steps },
    figures,
    tables: [
      {
        title: `all + user:<i>, ${groupThousands(CLIENTS)} clients`,
        columns: ["", "CPU µs per delivery", "of two turns", "of socket-write", "wall ms"],
        rows: figures
          .filter(({ what }) => what === CPU)
          .map((figure) => [
            `${figure.subject}, ${figure.in}`,
            formatStatistics(figure),
            figure.in === TWO.name ? "" : formatRatio(ratioTo(figures, figure, { in: TWO.name })),
            formatRatio(ratioTo(figures, figure, { subject: "socket-write" })),
            formatStatistics(findFigure(figures, { ...figure, what: WALL })),
          ]),
      },
    ],
    targets: decided(
      TIDEWIRE.map((subject) =>
        atMost(
          `${subject}: one turn at most ${LIMIT} × two turns`,
          ratioTo(figures, { subject, in: ONE.name, what: CPU }, { in: TWO.name }),
          LIMIT,
          " ×",
        ),
      ),
    ),
  };
}
