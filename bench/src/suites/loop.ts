import { setTimeout as wait } from "node:timers/promises";
import { Pair } from "../pair.js";
import { stopAll } from "../connected-pair.js";
import { findFigure, ratioTo } from "../figure.js";
import type { Figure } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { NodeServer } from "../server.js";
import type { LoopDelay } from "../server-protocol.js";
import { median, quantile, summarize } from "../statistics.js";
import type { Statistics } from "../statistics.js";
import { TIDEWIRE } from "../catalogue.js";
import type { NodeServerName } from "../catalogue.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatRatio, formatStatistics, groupThousands } from "../table.js";
import type { Table } from "../table.js";
import { atMost, decided } from "../target.js";
import type { Target } from "../target.js";

const SUBJECTS = [...TIDEWIRE, "socket-write", "response-write"] as const;
const CLIENTS = 10_000;
const BYTES = 100;
/** Ten a second to this many clients is about the limit of one core; four leave room. */
const CASES = [
  { name: "10 events a second", everyMs: 100, events: 100 },
  { name: "4 events a second", everyMs: 250, events: 20 },
] as const;
type Case = (typeof CASES)[number];

interface Measured extends LoopDelay {
  readonly wallMs: number;
  readonly wallP99Ms: number;
  /** CPU of the server as a share of one core. */
  readonly load: number;
}
const WHAT = {
  p50: "delay of the event loop, median, ms",
  p99: "delay of the event loop, 99 %, ms",
  max: "delay of the event loop, longest, ms",
  wallMs: "from publishing to the last client, median, ms",
  wallP99Ms: "from publishing to the last client, 99 %, ms",
  load: "CPU of the server, % of a core",
} as const satisfies Record<keyof Measured, string>;
const KEYS = ["p50", "p99", "max", "wallMs", "wallP99Ms", "load"] as const;

type Entry = {
  readonly subject: NodeServerName;
  readonly pair: Pair<NodeServer>;
  readonly in: Case;
};

export const loop: Suite = {
  name: "loop",
  title: "Event loop: ten events a second to 10 000 clients",
  method:
    "An event is published every 100 ms for ten seconds, or every 250 ms for five, whether the previous event has arrived or not. The lateness of the last client counts from the time the event was due. The delay of the server's event loop comes from " +
    "`monitorEventLoopDelay` with a resolution of 1 ms, which is part of the figures. `socket-write` and `response-write` write to all clients in one turn. A ratio is the median of the rounds' ratios to `socket-write` in the same round.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: Entry[] = [];
  const { cpuProfileDir, progress } = context;
  const countOf = ({ events }: Case): number => (context.isQuick ? events / 5 : events);
  try {
    for (const subject of context.pick(SUBJECTS)) {
      progress.tell(`connecting ${CLIENTS} clients to ${subject}`);
      const server = await NodeServer.start(subject, { cpuProfileDir });
      const pair = new Pair(subject, server);
      for (const one of CASES) entries.push({ subject, pair, in: one });
      await pair.load.connect(server.port, CLIENTS, "/events?channel=all");
    }
    const results = await measureInRounds(
      entries,
      context,
      ({ subject, in: one }) => ({ subject, in: one.name }),
      (entry) => measure(entry, countOf(entry.in)),
      { warmUps: 1 },
    );
    const figures = [...results].flatMap(([{ subject, in: one }, rounds]) =>
      KEYS.map((key): Figure => ({
        subject,
        in: one.name,
        what: WHAT[key],
        ...summarize(rounds.map((round) => round[key])),
      })),
    );
    return outcome(figures, countOf);
  } finally {
    await stopAll(new Map(entries.map((entry) => [entry.pair, entry])).values());
  }
}

async function measure(entry: Entry, count: number): Promise<Measured> {
  const { pair } = entry;
  const { server, load } = pair;
  const { everyMs } = entry.in;
  await load.begin({ step: count * CLIENTS, isTimed: true });
  await server.begin();
  const order = {
    channel: "all",
    first: pair.sequence,
    count,
    bytes: BYTES,
    receivers: CLIENTS,
    everyMs,
  };
  const start = performance.now();
  const delay = await server.remote.call("publishEvery", order);
  pair.sequence += count;
  await load.reached();
  const seconds = (performance.now() - start) / 1_000;
  await wait(50);
  const { publishedAt, cpuUs, bodyBytes } = await server.end();
  const { completedAt, events, disorder, ...arrived } = await load.end();
  if (events.min !== count || events.max !== count || disorder !== undefined) {
    const what = disorder ?? `${events.min} to ${events.max} events`;
    throw new Error(`${pair.subject}: of ${count} events its clients have: ${what}`);
  }
  if (bodyBytes !== arrived.bodyBytes) {
    throw new Error(`${pair.subject}: of ${bodyBytes} bytes ${arrived.bodyBytes} have arrived`);
  }
  const walls = completedAt.map((at, event) => at - (publishedAt[event] ?? NaN));
  return {
    ...delay,
    wallMs: median(walls),
    wallP99Ms: quantile(walls, 0.99),
    load: cpuUs / 10_000 / seconds,
  };
}

function outcome(figures: readonly Figure[], countOf: (one: Case) => number): SuiteOutcome {
  return {
    parameters: {
      clients: CLIENTS,
      "bytes of data": BYTES,
      ...Object.fromEntries(CASES.map((one) => [`events in a round, ${one.name}`, countOf(one)])),
    },
    figures,
    tables: CASES.map(({ name }) => tableOf(figures, name)),
    targets: CASES.flatMap(({ name }) => targetsOf(figures, name)),
  };
}

function figureOf(
  figures: readonly Figure[],
  place: string,
  name: string,
  key: keyof Measured,
): Figure | undefined {
  return findFigure(figures, { subject: name, in: place, what: WHAT[key] });
}

function wallRatio(
  figures: readonly Figure[],
  place: string,
  name: string,
): Statistics | undefined {
  const wall = { subject: name, in: place, what: WHAT.wallMs };
  return ratioTo(figures, wall, { subject: "socket-write" });
}

function tableOf(figures: readonly Figure[], place: string): Table {
  const names = [...new Set(figures.map(({ subject }) => subject))];
  return {
    title: `${place} to ${groupThousands(CLIENTS)} clients`,
    columns: [
      "",
      "delay ms 50 %",
      "99 %",
      "max",
      "last client ms 50 %",
      "99 %",
      "of socket-write",
      "CPU %",
    ],
    rows: names.map((name) => [
      name,
      ...KEYS.slice(0, 5).map((key) => formatStatistics(figureOf(figures, place, name, key))),
      formatRatio(wallRatio(figures, place, name)),
      formatStatistics(figureOf(figures, place, name, "load")),
    ]),
  };
}

function targetsOf(figures: readonly Figure[], place: string): Target[] {
  return decided(
    TIDEWIRE.flatMap((name) => [
      atMost(
        `${name}, ${place}: delay at most 10 ms for 99 %`,
        figureOf(figures, place, name, "p99"),
        10,
        " ms",
      ),
      atMost(
        `${name}, ${place}: delay at most 30 ms`,
        figureOf(figures, place, name, "max"),
        30,
        " ms",
      ),
      atMost(
        `${name}, ${place}: last client at most 1.3 × as late as with socket-write`,
        wallRatio(figures, place, name),
        1.3,
        " ×",
      ),
    ]),
  );
}
