import { setTimeout as wait } from "node:timers/promises";
import type { RedisSubjectName } from "../catalogue.js";
import type { Figure } from "../figure.js";
import { RedisCluster } from "../redis-cluster.js";
import type { Audience } from "../redis-cluster.js";
import { CASE, NODES, OURS, PACED, WHAT, redisTables, redisTargets } from "../redis-outcome.js";
import {
  measureDelivery,
  measureLatency,
  measurePublishing,
  measureUnwanted,
} from "../redis-sections.js";
import type { Pace } from "../redis-sections.js";
import { REDIS_SETTINGS, RedisServer } from "../redis-server.js";
import { measureInRounds } from "../rounds.js";
import { summarize } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";

const SUBJECTS = ["tidewire-redis", "redis-xread", "redis-xrange", "redis-pubsub"] as const;
/** Publishing is compared with this. It has a separate name, because it is another way to use the same subject. */
const DEDUPED = "tidewire-redis, dedupeKey";

const BYTES = 100;
const SLOW: Pace = { perSecond: 100, count: 500, bytes: BYTES };
const FAST: Pace = { perSecond: 2_000, count: 10_000, bytes: BYTES };
const CROWD = 100;
const CROWD_PACE: Pace = { perSecond: 200, count: 800, bytes: BYTES };
const PUBLISHES = 20_000;
const IN_FLIGHT = 64;
/** Streams open, and readers start, slightly after the heads have arrived. */
const SETTLE_MS = 500;

/** One measurement with its results by name. */
interface Entry {
  readonly subject: string;
  readonly in: string;
  measure(): Promise<Readonly<Record<string, number>>>;
}

export const redis: Suite = {
  name: "redis",
  title: "Redis: many nodes",
  method:
    "Publishers, nodes and clients are separate processes. Events of a publisher reach the clients of a node through one `redis-server` that keeps nothing on disk. Tidewire is compared with `redis-xread`, a loop of `XREAD BLOCK` with `response.write`, which does not look for holes and replays nothing, and with `redis-pubsub`, Redis' `PUBLISH` and `SUBSCRIBE` with better-sse, which also loses the events that are published while a node is away. " +
    "Events are published at a steady pace, whether the previous event has arrived or not. Under load, Tidewire reads from Redis every ten milliseconds and delivers the events of one read together. Both its latency and its CPU figures include this. Every client has to get every event, and one client checks the order. " +
    "Latency is the time from the call of `publish` until one client has the event, on one clock. Unwanted events are published on a channel without clients, while each node has one client on another channel: Tidewire and `redis-xread` read these events, because all channels share one stream. `redis-pubsub` does not, because it subscribes to each channel separately. `redis-xrange` is a loop that asks Redis every ten milliseconds. The difference between Tidewire's figure and this one is the rest of Tidewire's work. " +
    "The publishing figures come from one process with 64 publishes in flight at a time, while no node reads. The run checks that the stream has all of them. For `PUBLISH`, which keeps nothing, it checks only the replies.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const subjects = context.pick(SUBJECTS);
  if (subjects.length === 0) return { parameters: {}, figures: [], tables: [], targets: [] };
  const server = await RedisServer.start();
  const clusters: RedisCluster[] = [];
  server.onCrash = (error) => {
    for (const cluster of clusters) cluster.fail(error);
  };
  try {
    const start = async (subject: RedisSubjectName, nodes: number): Promise<RedisCluster> => {
      context.progress.tell(`starting ${subject} with ${nodes} nodes`);
      const cluster = await RedisCluster.start(subject, server, nodes, context.cpuProfileDir);
      clusters.push(cluster);
      return cluster;
    };
    const entries: Entry[] = [];
    for (const subject of subjects) {
      if (subject === PACED) {
        const cluster = await start(subject, 1);
        entries.push(
          unwantedEntry(cluster, await cluster.gather("watched", 1), CASE.unwanted, context),
        );
        continue;
      }
      entries.push(...(await oneNodeEntries(await start(subject, 1), context)));
      const many = await start(subject, NODES);
      entries.push(
        unwantedEntry(many, await many.gather("watched", 1), CASE.unwantedNodes, context),
      );
      entries.push(...publishingEntries(await start(subject, 0), context));
    }
    await wait(SETTLE_MS);
    const results = await measureInRounds(
      entries,
      context,
      (entry) => entry,
      ({ measure }) => measure(),
      { warmUps: 1 },
    );
    return outcome(
      [...results].flatMap(([entry, rounds]) => figuresOf(entry, rounds)),
      context,
    );
  } finally {
    await Promise.all(clusters.map((cluster) => cluster.stop()));
    await server.stop();
  }
}

async function oneNodeEntries(cluster: RedisCluster, context: SuiteContext): Promise<Entry[]> {
  const { subject } = cluster;
  const witness = await cluster.gather("watched", 1);
  const crowd = await cluster.gather("crowd", CROWD);
  const latency = (name: string, pace: Pace): Entry => ({
    subject,
    in: name,
    async measure() {
      const { p50, p99, max } = await measureLatency(cluster, witness, shorter(pace, context));
      return { [WHAT.p50]: p50, [WHAT.p99]: p99, [WHAT.max]: max };
    },
  });
  return [
    latency(CASE.slow, SLOW),
    latency(CASE.fast, FAST),
    unwantedEntry(cluster, witness, CASE.unwanted, context),
    {
      subject,
      in: CASE.delivered,
      async measure() {
        return {
          [WHAT.nodeDelivery]: await measureDelivery(cluster, crowd, shorter(CROWD_PACE, context)),
        };
      },
    },
  ];
}

function unwantedEntry(
  cluster: RedisCluster,
  witnesses: Audience,
  name: string,
  context: SuiteContext,
): Entry {
  return {
    subject: cluster.subject,
    in: name,
    async measure() {
      const cost = await measureUnwanted(cluster, witnesses, shorter(FAST, context));
      return {
        [WHAT.share]: cost.percent,
        [WHAT.nodeEvent]: cost.nodeUs,
        [WHAT.redis]: cost.redisUs,
      };
    },
  };
}

function publishingEntries(cluster: RedisCluster, context: SuiteContext): Entry[] {
  const entry = (subject: string, isDeduped: boolean): Entry => ({
    subject,
    in: CASE.publishing,
    async measure() {
      const count = context.isQuick ? PUBLISHES / 10 : PUBLISHES;
      const order = { count, inFlight: IN_FLIGHT, bytes: BYTES, isDeduped };
      const { perSecond, publisherUs, redisUs } = await measurePublishing(cluster, order);
      return { [WHAT.perSecond]: perSecond, [WHAT.publisher]: publisherUs, [WHAT.redis]: redisUs };
    },
  });
  const plain = entry(cluster.subject, false);
  return cluster.subject === OURS ? [plain, entry(DEDUPED, true)] : [plain];
}

function shorter(pace: Pace, { isQuick }: SuiteContext): Pace {
  return isQuick ? { ...pace, count: pace.count / 5 } : pace;
}

function figuresOf(
  { subject, in: place }: Entry,
  rounds: readonly Readonly<Record<string, number>>[],
): Figure[] {
  return Object.keys(rounds[0] ?? {}).map((what) => ({
    subject,
    in: place,
    what,
    ...summarize(rounds.map((round) => round[what] ?? NaN)),
  }));
}

function outcome(figures: readonly Figure[], context: SuiteContext): SuiteOutcome {
  return {
    parameters: {
      "redis-server": REDIS_SETTINGS,
      "bytes of data": BYTES,
      "events in a round, 100 a second": shorter(SLOW, context).count,
      "events in a round, 2 000 a second": shorter(FAST, context).count,
      "clients of the delivering node": CROWD,
      "events a second to them": CROWD_PACE.perSecond,
      "publishes in a round": context.isQuick ? PUBLISHES / 10 : PUBLISHES,
      "publishes on their way": IN_FLIGHT,
    },
    figures,
    tables: redisTables(figures),
    targets: redisTargets(figures),
  };
}
