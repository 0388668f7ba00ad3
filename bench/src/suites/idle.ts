import { setTimeout as wait } from "node:timers/promises";
import { Pair } from "../pair.js";
import { findFigure } from "../figure.js";
import type { Figure } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { NodeServer } from "../server.js";
import { differenceOf, summarize } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatFigure, groupThousands } from "../table.js";
import { atMost, decided } from "../target.js";

// Resident memory moves by megabytes whatever happens: the more streams, the less of that on each.
const STREAMS = 5_000;
/** Streams opened and closed before, so that what is made once is there. */
const WARM_STREAMS = 400;
const CASE = "idle";
const HEAP = "heap per open stream, bytes";
const RSS = "resident memory per open stream, bytes";
/** What an idle session may add to the bare stream, in bytes. */
const HEAP_LIMIT = 1_024;
const RSS_LIMIT = 2_048;

const VARIANTS = [
  { name: "bare-http", subject: "bare-http", path: "/events", bare: undefined },
  { name: "tidewire-http, opened", subject: "tidewire-http", path: "/open", bare: "bare-http" },
  {
    name: "tidewire-http, subscribed",
    subject: "tidewire-http",
    path: "/events?channel=all",
    bare: "bare-http",
  },
  { name: "bare-express", subject: "bare-express", path: "/events", bare: undefined },
  {
    name: "tidewire-express, opened",
    subject: "tidewire-express",
    path: "/open",
    bare: "bare-express",
  },
  {
    name: "tidewire-express, subscribed",
    subject: "tidewire-express",
    path: "/events?channel=all",
    bare: "bare-express",
  },
  { name: "bare-fastify", subject: "bare-fastify", path: "/events", bare: undefined },
  {
    name: "tidewire-fastify, opened",
    subject: "tidewire-fastify",
    path: "/open",
    bare: "bare-fastify",
  },
  {
    name: "tidewire-fastify, subscribed",
    subject: "tidewire-fastify",
    path: "/events?channel=all",
    bare: "bare-fastify",
  },
  { name: "better-sse", subject: "better-sse", path: "/events", bare: undefined },
] as const;
type Variant = (typeof VARIANTS)[number];

export const idle: Suite = {
  name: "idle",
  title: "Idle: memory of an open stream",
  method:
    "A fresh server process opens and closes 400 streams; then its memory is taken after two garbage collections, 5 000 streams are opened, and it is taken again. What a stream needs more than a bare one is the median of the rounds' differences, each to the bare handler in the same round.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const variants = VARIANTS.filter(({ subject }) => context.pick([subject]).length > 0);
  const streams = context.isQuick ? STREAMS / 10 : STREAMS;
  // Each measurement has a process of its own: there is nothing to get warm.
  const results = await measureInRounds(
    variants,
    context,
    ({ name }) => ({ subject: name, in: CASE }),
    (variant) => measure(variant, streams),
    0,
  );
  const figures: Figure[] = [];
  for (const [{ name: subject }, rounds] of results) {
    const heap = summarize(rounds.map(({ heapBytes }) => heapBytes));
    const rss = summarize(rounds.map(({ rssBytes }) => rssBytes));
    figures.push({ subject, in: CASE, what: HEAP, ...heap });
    figures.push({ subject, in: CASE, what: RSS, ...rss });
  }
  return outcome(variants, figures, streams);
}

async function measure(
  { subject, path }: Variant,
  streams: number,
): Promise<{ heapBytes: number; rssBytes: number }> {
  const server = await NodeServer.start(subject, { exposesGc: true });
  const pair = new Pair(subject, server);
  try {
    await pair.load.connect(server.port, WARM_STREAMS, path);
    await pair.load.cut();
    await wait(300);
    const before = await server.remote.call("memory", null);
    await pair.load.connect(server.port, streams, path);
    await wait(300);
    const after = await server.remote.call("memory", null);
    return {
      heapBytes: (after.heapBytes - before.heapBytes) / streams,
      rssBytes: (after.rssBytes - before.rssBytes) / streams,
    };
  } finally {
    await pair.stop();
  }
}

function outcome(
  variants: readonly Variant[],
  figures: readonly Figure[],
  streams: number,
): SuiteOutcome {
  const find = (subject: string, what: string): Figure | undefined =>
    findFigure(figures, { subject, in: CASE, what });
  return {
    parameters: { streams, "streams opened before": WARM_STREAMS },
    figures,
    tables: [
      {
        title: `Bytes per open stream, ${groupThousands(streams)} streams`,
        columns: ["", "heap", "more than bare", "resident", "more than bare"],
        rows: variants.map(({ name, bare }) =>
          [HEAP, RSS].reduce<string[]>(
            (row, kind) => {
              const figure = find(name, kind);
              const more = bare === undefined ? NaN : differenceOf(figure, find(bare, kind));
              return [...row, formatFigure(figure?.median), formatFigure(more)];
            },
            [name],
          ),
        ),
      },
    ],
    targets: decided(
      variants.flatMap(({ name, bare }) => {
        if (bare === undefined) return [];
        const more = (kind: string): number => differenceOf(find(name, kind), find(bare, kind));
        return [
          atMost(`${name}: heap at most ${bare} + 1 KB`, more(HEAP), HEAP_LIMIT, " B more"),
          atMost(`${name}: resident at most ${bare} + 2 KB`, more(RSS), RSS_LIMIT, " B more"),
        ];
      }),
    ),
  };
}
