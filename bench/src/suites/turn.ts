/** Measures the cost of a turn of the event loop whose events outgrow the 64 KiB that are written at once. */

import { TIDEWIRE } from "../catalogue.js";
import type { ServerSubjectName } from "../catalogue.js";
import { runClosedLoop } from "../closed-loop.js";
import { connectPair, stopAll } from "../connected-pair.js";
import type { ConnectedPair } from "../connected-pair.js";
import { findFigure, ratioTo } from "../figure.js";
import type { Figure } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { summarize } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatRatio, formatStatistics, groupThousands } from "../table.js";
import type { Table } from "../table.js";
import { atMost, decided } from "../target.js";

const SUBJECTS = [...TIDEWIRE, "socket-write"] as const;
const BYTES = 1_024;
/** With fields and ids, 60 events are below 64 KiB and 70 above. */
const BELOW = 60;
const ABOVE = 70;
/** Publishes per round, for each number of clients. */
const STEPS = { 1_000: 3, 10_000: 1 } as const;
const CROWDS = [1_000, 10_000] as const;
const LIMIT = 1.5;
const CPU = "CPU of the server per event delivered, µs";
const WALL = "from publishing to the last client, ms";

type Entry = ConnectedPair & { readonly subject: ServerSubjectName; readonly events: number };

export const turn: Suite = {
  name: "turn",
  title: "Turn: more than 64 KiB in one turn of the event loop",
  method:
    "60 or 70 events of 1 KB are published in one turn to all clients of one channel; when every client has all, the next ones. Together 60 of them are below the 64 KiB that Tidewire writes at once, and 70 above. `socket-write` writes each event by itself. " +
    "A ratio is the median of the rounds' ratios: of 70 events to 60 events of the same subject, measured one right after the other, and to `socket-write` in the same round.",
  run,
};

function placeOf(clients: number, events: number): string {
  return `${events} events × ${groupThousands(clients)} clients`;
}

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: Entry[] = [];
  try {
    for (const clients of CROWDS) {
      for (const subject of context.pick(SUBJECTS)) {
        const connected = await connectPair(subject, clients, context);
        for (const events of [BELOW, ABOVE]) entries.push({ ...connected, events });
      }
    }
    const results = await measureInRounds(
      entries,
      context,
      ({ subject, clients, events }) => ({ subject, in: placeOf(clients, events) }),
      ({ pair, clients, events }) => {
        const steps = context.isQuick ? 1 : STEPS[clients as keyof typeof STEPS];
        return runClosedLoop(pair, { clients, steps, eventsAStep: events, bytes: BYTES });
      },
      { warmUps: 1, groupOf: ({ pair }) => pair },
    );
    const figures = [...results].flatMap(([{ subject, clients, events }, rounds]): Figure[] => {
      const place = { subject, in: placeOf(clients, events) };
      return [
        { ...place, what: CPU, ...summarize(rounds.map(({ cpuUs }) => cpuUs)) },
        { ...place, what: WALL, ...summarize(rounds.map(({ wallMs }) => wallMs)) },
      ];
    });
    return outcome(figures, context.isQuick);
  } finally {
    await stopAll(entries);
  }
}

function outcome(figures: readonly Figure[], isQuick: boolean): SuiteOutcome {
  return {
    parameters: {
      "bytes of data": BYTES,
      ...Object.fromEntries(
        CROWDS.map((clients) => [
          `times in a round, ${groupThousands(clients)} clients`,
          isQuick ? 1 : STEPS[clients],
        ]),
      ),
    },
    figures,
    tables: CROWDS.map((clients) => tableOf(figures, clients)),
    targets: decided(
      CROWDS.flatMap((clients) =>
        TIDEWIRE.map((subject) =>
          atMost(
            `${subject}, ${groupThousands(clients)} clients: an event of ${ABOVE} at most ${LIMIT} × one of ${BELOW}`,
            ratioTo(
              figures,
              { subject, in: placeOf(clients, ABOVE), what: CPU },
              { in: placeOf(clients, BELOW) },
            ),
            LIMIT,
            " ×",
          ),
        ),
      ),
    ),
  };
}

function tableOf(figures: readonly Figure[], clients: number): Table {
  const below = placeOf(clients, BELOW);
  const places = [below, placeOf(clients, ABOVE)];
  return {
    title: `Events of 1 KB to ${groupThousands(clients)} clients`,
    columns: ["", "CPU µs per event delivered", `of ${BELOW} events`, "of socket-write", "wall ms"],
    rows: figures
      .filter((figure) => figure.what === CPU && places.includes(figure.in))
      .map((figure) => [
        `${figure.subject}, ${figure.in.replace(/ ×.*$/, "")}`,
        formatStatistics(figure),
        figure.in === below ? "" : formatRatio(ratioTo(figures, figure, { in: below })),
        formatRatio(ratioTo(figures, figure, { subject: "socket-write" })),
        formatStatistics(findFigure(figures, { ...figure, what: WALL })),
      ]),
  };
}
