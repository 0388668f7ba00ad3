import { setTimeout as wait } from "node:timers/promises";
import { Pair } from "../pair.js";
import { stopAll } from "../connected-pair.js";
import { findFigure } from "../figure.js";
import type { Figure } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { NodeServer } from "../server.js";
import { summarize } from "../statistics.js";
import { TIDEWIRE } from "../catalogue.js";
import type { NodeServerName } from "../catalogue.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatStatistics, groupThousands } from "../table.js";
import { atLeast, decided } from "../target.js";

const CLIENTS = 1_000;
const EVENTS = 1_000;
const BYTES = 100;
const LIMIT = 500_000;
const CASE = "catch-up";
const RATE = "events a second and core";
const WALL = "from the first connection to the last event, ms";

type Entry = { readonly subject: NodeServerName; readonly pair: Pair<NodeServer> };

export const catchUp: Suite = {
  name: "catch-up",
  title: "Catch-up: a thousand clients come back",
  method:
    "1 000 clients connect at once, each with the `Last-Event-ID` of a thousand events before the newest. The figure is the number of events divided by the CPU time of the server, which includes the connections.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: Entry[] = [];
  const { cpuProfileDir } = context;
  const events = context.isQuick ? EVENTS / 5 : EVENTS;
  try {
    for (const subject of context.pick(TIDEWIRE)) {
      const server = await NodeServer.start(subject, { cpuProfileDir });
      entries.push({ subject, pair: new Pair(subject, server) });
    }
    const results = await measureInRounds(
      entries,
      context,
      ({ subject }) => ({ subject, in: CASE }),
      ({ pair }) => measure(pair, events),
    );
    const figures = [...results].flatMap(([{ subject }, rounds]): Figure[] => {
      const place = { subject, in: CASE };
      return [
        { ...place, what: RATE, ...summarize(rounds.map(({ rate }) => rate)) },
        { ...place, what: WALL, ...summarize(rounds.map(({ wallMs }) => wallMs)) },
      ];
    });
    return outcome(figures, events);
  } finally {
    await stopAll(entries);
  }
}

async function measure(
  pair: Pair<NodeServer>,
  events: number,
): Promise<{ rate: number; wallMs: number }> {
  const { server, load, sequence } = pair;
  const order = { channel: "all", first: sequence, count: events + 1, bytes: BYTES };
  const [lastEventId = ""] = await server.remote.call("publishIds", order);
  pair.sequence += events + 1;
  // Excludes work left over from publishing.
  await wait(50);
  await load.begin({ step: events * CLIENTS });
  await server.begin();
  const start = Number(process.hrtime.bigint()) / 1e6;
  await load.connect(server.port, CLIENTS, "/events?channel=all", {
    concurrency: CLIENTS,
    lastEventId,
  });
  const at = await load.reached();
  await wait(10);
  const { cpuUs } = await server.end();
  const report = await load.end();
  await load.cut();
  await wait(100);
  if (report.events.min !== events || report.events.max !== events) {
    const { min, max } = report.events;
    throw new Error(`${pair.subject}: of ${events} events its clients have ${min} to ${max}`);
  }
  if (report.disorder !== undefined) throw new Error(`${pair.subject}: ${report.disorder}`);
  return { rate: (events * CLIENTS) / (cpuUs / 1e6), wallMs: at - start };
}

function outcome(figures: readonly Figure[], events: number): SuiteOutcome {
  const rates = figures.filter(({ what }) => what === RATE);
  return {
    parameters: { clients: CLIENTS, "events for each": events, "bytes of data": BYTES },
    figures,
    tables: [
      {
        title: `${groupThousands(CLIENTS)} clients × ${groupThousands(events)} events × ${BYTES} B`,
        columns: ["", "events a second and core", "wall ms"],
        rows: rates.map((figure) => [
          figure.subject,
          formatStatistics(figure),
          formatStatistics(findFigure(figures, { ...figure, what: WALL })),
        ]),
      },
    ],
    targets: decided(
      rates.map((figure) =>
        atLeast(`${figure.subject}: at least 500 000 events a second and core`, figure, LIMIT),
      ),
    ),
  };
}
