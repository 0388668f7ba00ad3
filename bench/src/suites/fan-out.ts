import { TIDEWIRE, kindOf } from "../catalogue.js";
import type { ServerSubjectName } from "../catalogue.js";
import { runClosedLoop } from "../closed-loop.js";
import type { LoopResult } from "../closed-loop.js";
import { connectPair, stopAll } from "../connected-pair.js";
import type { ConnectedPair } from "../connected-pair.js";
import { findFigure, ratioTo } from "../figure.js";
import type { Figure } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { median, summarize } from "../statistics.js";
import type { Statistics } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatFigure, formatRatio, formatStatistics } from "../table.js";
import type { Table } from "../table.js";
import { atMost, decided, lessThan } from "../target.js";
import type { Target } from "../target.js";

interface Case {
  readonly name: string;
  readonly clients: number;
  readonly bytes: number;
  /** Events per round. */
  readonly steps: number;
  readonly subjects: readonly ServerSubjectName[];
}

const SMALL: Case = {
  name: "1 000 × 100 B",
  clients: 1_000,
  bytes: 100,
  steps: 100,
  subjects: [
    ...TIDEWIRE,
    "socket-write",
    "response-write",
    "nchan",
    "sse-channel",
    "@fastify/sse",
    "better-sse",
    "express-sse",
    "fastify-sse-v2",
    "hono",
  ],
};
const LARGE: Case = {
  name: "1 000 × 4 KB",
  clients: 1_000,
  bytes: 4_096,
  steps: 40,
  subjects: [
    ...TIDEWIRE,
    "socket-write",
    "response-write",
    "nchan",
    "sse-channel",
    "@fastify/sse",
    "better-sse",
  ],
};
const MANY: Case = {
  name: "10 000 × 100 B",
  clients: 10_000,
  bytes: 100,
  steps: 8,
  subjects: [...TIDEWIRE, "socket-write", "response-write", "nchan", "sse-channel"],
};
const CASES: readonly Case[] = [SMALL, LARGE, MANY];

/** The figure shown in the chart. */
export const CHARTED_CASE: string = SMALL.name;
export const CPU_PER_DELIVERY = "CPU of the server per delivery, µs";
const WALL = "from publishing to the last client, ms";

type Entry = ConnectedPair & { readonly in: Case };

export const fanOut: Suite = {
  name: "fan-out",
  title: "Fan-out: one event to many clients",
  method:
    "One event is published to a channel; when every client has it, the next one follows. The figure is the CPU time of the server process, " +
    "user and system, divided by events and clients. A ratio is the median of the rounds' ratios, each to the other subject, " +
    "or to the subject's own case of 1 000, in the same round.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: Entry[] = [];
  const stepsOf = ({ steps }: Case): number => (context.isQuick ? Math.ceil(steps / 8) : steps);
  try {
    for (const one of CASES) {
      for (const subject of context.pick(one.subjects)) {
        entries.push({ ...(await connectPair(subject, one.clients, context)), in: one });
      }
    }
    const results = await measureInRounds(
      entries,
      context,
      ({ subject, in: one }) => ({ subject, in: one.name }),
      ({ pair, in: { clients, bytes, ...one } }) =>
        runClosedLoop(pair, {
          clients,
          bytes,
          steps: stepsOf({ clients, bytes, ...one }),
          eventsAStep: 1,
        }),
    );
    return outcome(results, stepsOf);
  } finally {
    await stopAll(entries);
  }
}

function outcome(
  results: ReadonlyMap<Entry, readonly LoopResult[]>,
  stepsOf: (one: Case) => number,
): SuiteOutcome {
  const figures: Figure[] = [];
  const bytes = new Map<Entry, number>();
  for (const [entry, rounds] of results) {
    const { subject } = entry;
    const place = { subject, in: entry.in.name };
    const cpu = summarize(rounds.map(({ cpuUs }) => cpuUs));
    const wall = summarize(rounds.map(({ wallMs }) => wallMs));
    figures.push({ ...place, what: CPU_PER_DELIVERY, ...cpu });
    figures.push({ ...place, what: WALL, ...wall });
    bytes.set(entry, median(rounds.map(({ bytesAnEvent }) => bytesAnEvent)));
  }
  return {
    parameters: Object.fromEntries(
      CASES.map((one) => [`events in a round, ${one.name}`, stepsOf(one)]),
    ),
    figures,
    tables: CASES.map((one) =>
      tableOf(
        one,
        [...results.keys()].filter((entry) => entry.in === one),
        figures,
        bytes,
      ),
    ).filter(({ rows }) => rows.length > 0),
    targets: targetsOf(figures),
  };
}

function tableOf(
  { name }: Case,
  entries: readonly Entry[],
  figures: readonly Figure[],
  bytes: ReadonlyMap<Entry, number>,
): Table {
  // A cost that grows with the number of clients for the bare socket, too, is not the fault of a library.
  const hasOwnSmall = name === MANY.name;
  const rows = entries.map((entry): string[] => {
    const { subject } = entry;
    const cpu = { subject, in: name, what: CPU_PER_DELIVERY };
    return [
      subject,
      formatStatistics(findFigure(figures, cpu)),
      formatRatio(ratioTo(figures, cpu, { subject: "socket-write" })),
      ...(hasOwnSmall ? [formatRatio(ratioTo(figures, cpu, { in: SMALL.name }))] : []),
      formatStatistics(findFigure(figures, { ...cpu, what: WALL })),
      formatFigure(bytes.get(entry)),
    ];
  });
  return {
    title: name,
    columns: [
      "",
      "CPU µs per delivery",
      "of socket-write",
      ...(hasOwnSmall ? ["of its own 1 000"] : []),
      "wall ms",
      "bytes",
    ],
    rows,
  };
}

function targetsOf(figures: readonly Figure[]): Target[] {
  const peers = SMALL.subjects.filter((name) => name !== "nchan" && kindOf(name) === "peer");
  return decided(
    TIDEWIRE.flatMap((subject) => {
      const small = { subject, in: SMALL.name, what: CPU_PER_DELIVERY };
      const many = { ...small, in: MANY.name };
      const toOther = (other: ServerSubjectName): Statistics | undefined =>
        ratioTo(figures, small, { subject: other });
      // The best of the other libraries is the one that Tidewire comes closest to.
      const best = peers
        .map((peer) => ({ peer, ratio: toOther(peer) }))
        .toSorted((a, b) => (b.ratio?.median ?? 0) - (a.ratio?.median ?? 0))[0];
      return [
        atMost(`${subject}: at most 1.05 × socket-write`, toOther("socket-write"), 1.05, " ×"),
        atMost(
          `${subject}: at most 0.75 × the best of Node, ${best?.peer}`,
          best?.ratio,
          0.75,
          " ×",
        ),
        atMost(`${subject}: at most 0.55 × better-sse`, toOther("better-sse"), 0.55, " ×"),
        lessThan(`${subject}: less than Nchan`, toOther("nchan"), 1, " ×"),
        atMost(
          `${subject}: per delivery at 10 000 at most 1.15 × that at 1 000`,
          ratioTo(figures, many, { in: SMALL.name }),
          1.15,
          " ×",
        ),
        atMost(
          `${subject}: per delivery at 10 000 at most 1.10 × socket-write at 10 000`,
          ratioTo(figures, many, { subject: "socket-write" }),
          1.1,
          " ×",
        ),
      ];
    }),
  );
}
