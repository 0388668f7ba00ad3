import { setTimeout as wait } from "node:timers/promises";
import { redisTapes } from "@tidewire/redis";
import { createRuns } from "@tidewire/runs";
import { findFigure } from "../figure.js";
import type { Figure } from "../figure.js";
import { Load } from "../load.js";
import { connectClient } from "../redis-stream.js";
import type { SendCommand } from "../redis-stream.js";
import { REDIS_SETTINGS, RedisServer } from "../redis-server.js";
import { sharedNow } from "../remote.js";
import { measureInRounds } from "../rounds.js";
import { NodeServer } from "../server.js";
import { median, quantile, summarize } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatStatistics } from "../table.js";
import { atMost, decided } from "../target.js";

const OURS = "tidewire-runs-redis";
const RUNS = 200;
/** 50 items a second of each run. */
const EVERY_MS = 20;
const SECONDS = 4;
const BYTES = 100;
const STOPS = 100;
const QUIET_CLIENTS = 100;
const QUIET_EVERY_MS = 100;
/** Followers get the items before the section within this time. */
const SETTLE_MS = 500;

const CASE = {
  each: "200 runs, a follower each on another node",
  none: "200 runs without followers",
  quiet: "a quiet channel alone",
  beside: "the channel beside 200 runs",
} as const;
const WHAT = {
  commands: "Redis commands per item",
  inside: "commands inside scripts per item",
  redis: "CPU of redis-server per item, µs",
  producer: "CPU of the producing node per item, µs",
  node: "CPU of the following node per item, µs",
  p50: "from an item's due time to the last follower, median, ms",
  p99: "from an item's due time to the last follower, 99 %, ms",
  stop: "from `stop` to the producer's signal, median, ms",
  stopP99: "from `stop` to the producer's signal, 99 %, ms",
  late: "from publishing to the last client of the channel, median, ms",
  lateP99: "from publishing to the last client of the channel, 99 %, ms",
} as const;
/** The commands that a process sends. All others run inside scripts, or belong to the log. */
const SENT = ["eval", "bzpopmin", "zpopmin"];
/** Commands of the scripts of tapes that the log does not use. */
const INSIDE = ["hgetall", "hset", "hdel", "rpush", "llen", "lrange", "zadd", "pexpire", "pttl"];

export const runsRedis: Suite = {
  name: "runs-redis",
  title: "Runs on Redis: 200 answers at a time",
  method:
    "One node produces 200 runs of 50 items a second each, spread over the 20 ms, for four seconds. Another node has a follower for each run, or none. Both use one `redis-server` that keeps nothing on disk. Each round has new runs. " +
    "Commands are those that the processes send: scripts, and waits for notices. Commands inside scripts are counted separately. " +
    "An item's lateness counts from the time when that of the last run was due, until the last follower has it. " +
    "A stop goes over another connection than the lease of the run, beside the 200 runs, and counts until the `signal` of the source aborts. " +
    "Beside the runs, a channel of a log on the same Redis has an event every 100 ms for 100 clients; afterwards a client that comes back with the first of its ids has to get all events that followed.",
  run,
};

/** The processes of the suite. */
interface Nodes {
  readonly redis: RedisServer;
  readonly send: SendCommand;
  readonly producer: NodeServer;
  readonly follower: NodeServer;
  readonly quiet: Load;
}

interface Entry {
  readonly in: string;
  measure(round: number): Promise<Readonly<Record<string, number>>>;
}

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  if (context.pick([OURS]).length === 0) {
    return { parameters: {}, figures: [], tables: [], targets: [] };
  }
  const seconds = context.isQuick ? 1 : SECONDS;
  const redis = await RedisServer.start();
  const options = { cpuProfileDir: context.cpuProfileDir, redisUrl: redis.url };
  const client = await connectClient(redis.url);
  const nodes: Nodes = {
    redis,
    send: (args) => client.sendCommand(args),
    producer: await NodeServer.start(OURS, options),
    follower: await NodeServer.start(OURS, options),
    quiet: new Load(OURS),
  };
  const { producer, follower, quiet } = nodes;
  for (const process of [redis, producer, follower]) process.onCrash = (error) => quiet.fail(error);
  try {
    await quiet.connect(follower.port, QUIET_CLIENTS, "/events?channel=quiet");
    const entries: Entry[] = [
      { in: CASE.each, measure: (round) => measureRuns(nodes, `each-${round}`, seconds, RUNS) },
      { in: CASE.none, measure: (round) => measureRuns(nodes, `none-${round}`, seconds, 0) },
      { in: CASE.quiet, measure: () => measureQuiet(nodes, seconds) },
      { in: CASE.beside, measure: (round) => measureBeside(nodes, `beside-${round}`, seconds) },
    ];
    const rounds = new Map<Entry, number>();
    const results = await measureInRounds(
      entries,
      context,
      (entry) => ({ subject: OURS, in: entry.in }),
      (entry) => {
        const round = rounds.get(entry) ?? 0;
        rounds.set(entry, round + 1);
        return entry.measure(round);
      },
      { warmUps: 1 },
    );
    const figures = [...results].flatMap(([{ in: place }, measured]) =>
      Object.keys(measured[0] ?? {}).map((what): Figure => ({
        subject: OURS,
        in: place,
        what,
        ...summarize(measured.map((one) => one[what] ?? NaN)),
      })),
    );
    return outcome(figures, seconds);
  } finally {
    await Promise.all([producer.stop(), follower.stop(), quiet.stop()]);
    client.destroy();
    await redis.stop();
  }
}

/** Measures runs that begin and end with the section. */
async function measureRuns(
  nodes: Nodes,
  name: string,
  seconds: number,
  followers: number,
): Promise<Readonly<Record<string, number>>> {
  const { redis, send, producer, follower } = nodes;
  const channel = `run-${name}-{index}`;
  const events = (seconds * 1_000) / EVERY_MS;
  const order = { channel, channels: RUNS, bytes: BYTES, receivers: 1, everyMs: EVERY_MS };
  const load = new Load(OURS);
  try {
    // A run has to exist before it can be followed.
    await producer.remote.call("publishSteadily", { ...order, first: 0, count: 1 });
    await wait(SETTLE_MS);
    if (followers > 0) {
      await load.connect(follower.port, followers, `/events?channel=${channel}`);
      await wait(SETTLE_MS);
      await load.begin({ step: followers * events, isTimed: true });
    }
    await Promise.all([producer.begin(), follower.begin()]);
    const [cpuBefore, callsBefore] = [await redis.cpuUs(), await countCalls(send)];
    const stops = followers > 0 ? measureStops(redis.url) : undefined;
    await producer.remote.call("publishSteadily", { ...order, first: 1, count: events });
    if (followers > 0) await load.reached();
    const items = events * RUNS;
    const calls = await countCalls(send);
    const redisUs = (await redis.cpuUs()) - cpuBefore;
    const [produced, followed] = [await producer.end(), await follower.end()];
    const perItem = (names: readonly string[]): number =>
      names.reduce((sum, one) => sum + (calls.get(one) ?? 0) - (callsBefore.get(one) ?? 0), 0) /
      items;
    return {
      [WHAT.commands]: perItem(SENT),
      [WHAT.inside]: perItem(INSIDE),
      [WHAT.redis]: redisUs / items,
      [WHAT.producer]: produced.cpuUs / items,
      ...(followers > 0 && {
        [WHAT.node]: followed.cpuUs / items,
        ...(await checkLateness(load, { events, followers }, produced.publishedAt)),
      }),
      ...(await stops),
    };
  } finally {
    await load.cut();
    await load.stop();
    await producer.remote.call("endRuns", { channel, count: RUNS });
    await wait(SETTLE_MS);
  }
}

/** Stops runs from another store, one after the other. */
async function measureStops(url: string): Promise<Readonly<Record<string, number>>> {
  const [producing, stopping] = [redisTapes({ url }), redisTapes({ url })].map((tapes) =>
    createRuns({ tapes, keepMs: 0 }),
  );
  if (producing === undefined || stopping === undefined) return {};
  const took: number[] = [];
  for (let stop = 0; stop < STOPS; stop++) {
    const key = `stop-${stop}`;
    let abortedAt: Promise<number> | undefined;
    await producing.start(key, ({ signal }) => {
      abortedAt = new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve(sharedNow()));
      });
      return new ReadableStream();
    });
    const at = sharedNow();
    if (!(await stopping.stop(key)) || abortedAt === undefined) {
      throw new Error(`${OURS}: the run to stop was not there`);
    }
    took.push((await abortedAt) - at);
  }
  await Promise.all([producing.close(), stopping.close()]);
  return { [WHAT.stop]: median(took), [WHAT.stopP99]: quantile(took, 0.99) };
}

async function checkLateness(
  load: Load,
  due: { readonly events: number; readonly followers: number },
  publishedAt: readonly number[],
): Promise<Readonly<Record<string, number>>> {
  const { events, disorder, completedAt, clients } = await load.end();
  const isWhole = events.min === due.events && events.max === due.events;
  if (clients !== due.followers || !isWhole || disorder !== undefined) {
    const what = disorder ?? `${events.min} to ${events.max} items`;
    throw new Error(`${OURS}: of ${due.events} items its ${clients} followers have: ${what}`);
  }
  const late = completedAt.map((at, event) => at - (publishedAt[event] ?? NaN));
  return { [WHAT.p50]: median(late), [WHAT.p99]: quantile(late, 0.99) };
}

/** Measures the channel while runs are produced and followed. */
async function measureBeside(
  nodes: Nodes,
  name: string,
  seconds: number,
): Promise<Readonly<Record<string, number>>> {
  // The runs connect their followers first.
  const beside = measureRuns(nodes, name, seconds, RUNS);
  await wait(3 * SETTLE_MS);
  const figures = await measureQuiet(nodes, seconds);
  await beside;
  return figures;
}

/** Measures a channel of the log, and checks that all of its history is there. */
async function measureQuiet(
  { producer, follower, quiet }: Nodes,
  seconds: number,
): Promise<Readonly<Record<string, number>>> {
  const events = (seconds * 1_000) / QUIET_EVERY_MS;
  const publish = { channel: "quiet", bytes: BYTES };
  await quiet.begin({ step: QUIET_CLIENTS });
  const [first = ""] = await producer.remote.call("publishIds", { ...publish, first: 0, count: 1 });
  await quiet.reached();
  await quiet.begin({ step: QUIET_CLIENTS * events, isTimed: true });
  const { dueAt } = await producer.remote.call("publishTimed", {
    ...publish,
    first: 1,
    count: events,
    receivers: QUIET_CLIENTS,
    everyMs: QUIET_EVERY_MS,
  });
  await quiet.reached();
  const { events: got, completedAt, disorder } = await quiet.end();
  if (got.min !== events || got.max !== events || disorder !== undefined) {
    throw new Error(`${OURS}: the channel has ${disorder ?? `${got.min} to ${got.max} events`}`);
  }
  const back = new Load(`${OURS}, coming back`);
  try {
    await back.begin({ step: events });
    await back.connect(follower.port, 1, "/events?channel=quiet", { lastEventId: first });
    await back.reached();
  } finally {
    await back.cut();
    await back.stop();
  }
  const late = completedAt.map((at, event) => at - (dueAt[event] ?? NaN));
  return { [WHAT.late]: median(late), [WHAT.lateP99]: quantile(late, 0.99) };
}

/** @returns How often Redis has carried out each command. */
async function countCalls(send: SendCommand): Promise<ReadonlyMap<string, number>> {
  const text = String(await send(["INFO", "commandstats"]));
  return new Map(
    Array.from(text.matchAll(/cmdstat_([^:]+):calls=(\d+)/g), ([, name = "", calls]) => [
      name,
      Number(calls),
    ]),
  );
}

function outcome(figures: readonly Figure[], seconds: number): SuiteOutcome {
  const find = (place: string, what: string): Figure | undefined =>
    findFigure(figures, { subject: OURS, in: place, what });
  const row = (place: string, whats: readonly string[]): string[] => [
    place,
    ...whats.map((what) => formatStatistics(find(place, what))),
  ];
  const costs = [WHAT.commands, WHAT.inside, WHAT.redis, WHAT.producer, WHAT.node];
  const times = [WHAT.p50, WHAT.p99, WHAT.stop, WHAT.stopP99];
  const lates = [WHAT.late, WHAT.lateP99];
  return {
    parameters: {
      redis: REDIS_SETTINGS,
      runs: RUNS,
      "items of a run a second": 1_000 / EVERY_MS,
      "seconds of a round": seconds,
      "bytes of data": BYTES,
      "stops of a round": STOPS,
      "clients of the quiet channel": QUIET_CLIENTS,
    },
    figures,
    tables: [
      {
        title: "Costs per item",
        columns: ["", "commands", "inside scripts", "redis µs", "producer µs", "follower µs"],
        rows: [row(CASE.each, costs), row(CASE.none, costs)],
      },
      {
        title: "Times, ms",
        columns: ["", "last follower 50 %", "99 %", "stop 50 %", "99 %"],
        rows: [row(CASE.each, times)],
      },
      {
        title: "A channel with 100 clients on the following node, ms",
        columns: ["", "last client 50 %", "99 %"],
        rows: [row(CASE.quiet, lates), row(CASE.beside, lates)],
      },
    ],
    targets: decided([
      atMost("at most 0.1 Redis commands per item", find(CASE.each, WHAT.commands), 0.1),
      atMost(
        "99 % of stops reach the producer within 100 ms",
        find(CASE.each, WHAT.stopP99),
        100,
        " ms",
      ),
      atMost(
        "99 % of items have reached the last follower within 100 ms",
        find(CASE.each, WHAT.p99),
        100,
        " ms",
      ),
    ]),
  };
}
