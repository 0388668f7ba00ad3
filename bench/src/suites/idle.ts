import { setTimeout as wait } from "node:timers/promises";
import { TIDEWIRE, isTwinName } from "../catalogue.js";
import type { NodeServerName, NodeSubjectName } from "../catalogue.js";
import { Pair } from "../pair.js";
import { findFigure } from "../figure.js";
import type { Figure } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { NodeServer } from "../server.js";
import { differenceOf, summarize } from "../statistics.js";
import type { Statistics } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatStatistics, groupThousands } from "../table.js";
import { atMost, decided, lessThan } from "../target.js";
import type { Target } from "../target.js";

// Resident memory varies by megabytes: the more streams, the smaller the error per stream.
const STREAMS = 5_000;
/** Streams opened and closed first, so that one-time allocations are done. */
const WARM_STREAMS = 400;
const CASE = "idle";
const EVENTS = "/events?channel=all";
const HEAP = "heap per open stream, bytes";
const RSS = "resident memory per open stream, bytes";
/** Bytes of heap that a session may add to a bare stream if it has only opened. */
const OPENED_LIMIT = 1_024;
/** Bytes that a session on a channel may add. On Fastify, whose bare stream needs a `Readable`, it has to stay below that. */
const SUBSCRIBED_LIMITS = {
  "tidewire-http": 1_024,
  "tidewire-express": 820,
  "tidewire-fastify": 0,
} as const;
const RSS_LIMIT = 2_048;

/** Bytes of heap that an identity may add to a session on a channel, its text included. */
const IDENTITY_LIMIT = 128;

/** A subject in one of its states. */
interface Variant {
  readonly name: string;
  readonly subject: NodeServerName;
  /** With the same query for all: Node keeps the URL of a request, and Express what it has parsed of it. */
  readonly path: string;
  /** The subject that it is compared with. */
  readonly bare?: NodeSubjectName;
}

const BARE_OF = {
  "tidewire-http": "bare-http",
  "tidewire-express": "bare-express",
  "tidewire-fastify": "bare-fastify",
} as const;

function variantsOf({ pick }: SuiteContext): Variant[] {
  const tidewire = TIDEWIRE.flatMap((name): Variant[] => {
    const bare = BARE_OF[name];
    const subjects = pick([name]);
    return [
      ...pick([bare]).map((subject) => ({ name: subject, subject, path: EVENTS })),
      ...subjects.map((subject) => ({
        name: `${subject}, opened`,
        subject,
        path: "/open?channel=all",
        bare,
      })),
      ...subjects.map((subject) => ({
        name: `${subject}, subscribed`,
        subject,
        path: EVENTS,
        bare,
      })),
    ];
  });
  const extras = pick(["tidewire-identity", "tidewire-presence"]).map((subject) => ({
    name: subject,
    subject,
    path: EVENTS,
    bare: BARE_OF["tidewire-http"],
  }));
  const peers = pick(["better-sse"]).map((subject) => ({
    name: subject,
    subject,
    path: EVENTS,
  }));
  return [...tidewire, ...extras, ...peers];
}

export const idle: Suite = {
  name: "idle",
  title: "Idle: memory of an open stream",
  method:
    "A fresh server process opens and closes 400 streams; then its memory is taken after two garbage collections, 5 000 streams are opened, and it is taken again. The extra memory of a stream is the median of the rounds' differences, each to the bare handler in the same round.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const variants = variantsOf(context);
  const streams = context.isQuick ? STREAMS / 10 : STREAMS;
  // Each measurement starts a new process: a warm-up would be lost.
  const results = await measureInRounds(
    variants,
    context,
    ({ name }) => ({ subject: name, in: CASE }),
    (variant) => measure(variant, streams),
    { warmUps: 0 },
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
        rows: variants.map(({ name, bare }) => [
          name,
          ...[HEAP, RSS].flatMap((kind) => [
            formatStatistics(find(name, kind)),
            formatStatistics(bare && differenceOf(find(name, kind), find(bare, kind))),
          ]),
        ]),
      },
    ],
    targets: decided([
      atMost(
        `tidewire-identity: at most ${IDENTITY_LIMIT} B of heap more than without, the identity included`,
        differenceOf(find("tidewire-identity", HEAP), find("tidewire-http, subscribed", HEAP)),
        IDENTITY_LIMIT,
        " B more",
      ),
      ...variants.flatMap(({ name, subject, bare }) => {
        if (bare === undefined || isTwinName(subject) || !TIDEWIRE.some((one) => one === subject)) {
          return [];
        }
        const more = (kind: string): Statistics | undefined =>
          differenceOf(find(name, kind), find(bare, kind));
        return [
          heapTarget(name, bare, more(HEAP)),
          atMost(`${name}: resident at most ${bare} + 2 KB`, more(RSS), RSS_LIMIT, " B more"),
        ];
      }),
    ]),
  };
}

function heapTarget(name: string, bare: string, more: Statistics | undefined): Target | undefined {
  const subject = TIDEWIRE.find((one) => name === `${one}, subscribed`);
  const limit = subject === undefined ? OPENED_LIMIT : SUBSCRIBED_LIMITS[subject];
  return limit === 0
    ? lessThan(`${name}: heap below ${bare}`, more, 0, " B more")
    : atMost(`${name}: heap at most ${bare} + ${groupThousands(limit)} B`, more, limit, " B more");
}
