import { setTimeout as wait } from "node:timers/promises";
import type { NodeServerName } from "../catalogue.js";
import { stopAll } from "../connected-pair.js";
import { findFigure, ratioTo } from "../figure.js";
import type { Figure } from "../figure.js";
import { Load } from "../load.js";
import { Pair } from "../pair.js";
import { measureInRounds } from "../rounds.js";
import { NodeServer } from "../server.js";
import { median, quantile, summarize } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatRatio, formatStatistics, groupThousands } from "../table.js";
import type { Table } from "../table.js";
import { atMost, decided } from "../target.js";
import type { Target } from "../target.js";

const RUNS = 1_000;
const FOLLOWERS = 1_000;
/** 50 items a second of each run. */
const EVERY_MS = 20;
const SECONDS = 4;
const BYTES = 100;
const QUIET_CLIENTS = 100;
const QUIET_EVERY_MS = 100;
/** Runs and items for the memory that they take. */
const KEPT_ITEMS = 200;

const OURS = "tidewire-runs";
const OTHERS = ["resumable-stream", "response-write"] as const;
const CASE = {
  each: "1 000 runs, a follower each",
  none: "1 000 runs without followers",
  one: "one run, 1 000 followers",
  quiet: "a quiet channel alone",
  beside: "the channel beside 1 000 runs",
  memory: "memory",
} as const;
const WHAT = {
  cpu: "CPU of the server per item and follower, µs",
  load: "CPU of the server for a second of items, % of a core",
  p50: "from an item's due time to the last follower, median, ms",
  p99: "from an item's due time to the last follower, 99 %, ms",
  loop: "delay of the event loop, 99 %, ms",
  heap: "heap per item on the tape, bytes",
  late: "from publishing to the last client of the channel, median, ms",
  lateP99: "from publishing to the last client of the channel, 99 %, ms",
} as const;

interface Entry {
  readonly subject: NodeServerName;
  readonly in: string;
  readonly pair: Pair<NodeServer>;
  measure(round: number): Promise<Readonly<Record<string, number>>>;
}

export const runs: Suite = {
  name: "runs",
  title: "Runs: 1 000 answers at a time",
  method:
    "1 000 runs produce 50 items a second each, spread over the 20 ms, for four seconds, with one follower each or without followers; or one run with 1 000 followers. Tapes are in memory. Each round has new runs and new clients, which follow from the beginning. " +
    "`resumable-stream` has a publisher and a subscriber in memory in place of Redis, so that its own work is compared; its streams have no ids. `response-write` has neither runs nor tapes: it writes each item to the clients of its channel. " +
    "An item's lateness counts from the time when that of the last run was due. The runs produce whether the previous item has arrived or not. " +
    "Beside the runs, a channel of the same hub has an event every 100 ms for 100 clients; afterwards a client that comes back with the first of its ids has to get all events that followed. " +
    "Heap is that of 1 000 runs with 200 items each after a garbage collection, less that before.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: Entry[] = [];
  const seconds = context.isQuick ? 1 : SECONDS;
  const rounds = new Map<Entry, number>();
  try {
    for (const subject of context.pick([OURS, ...OTHERS])) {
      const start = async (): Promise<Pair<NodeServer>> =>
        new Pair(
          subject,
          await NodeServer.start(subject, {
            cpuProfileDir: context.cpuProfileDir,
            exposesGc: true,
          }),
        );
      entries.push(
        runsEntry(subject, CASE.each, await start(), { seconds, runs: RUNS, followers: RUNS }),
      );
      entries.push(
        runsEntry(subject, CASE.one, await start(), { seconds, runs: 1, followers: FOLLOWERS }),
      );
      if (subject === "response-write") continue;
      entries.push(
        runsEntry(subject, CASE.none, await start(), { seconds, runs: RUNS, followers: 0 }),
      );
      entries.push(memoryEntry(subject, await start()));
      if (subject !== OURS) continue;
      entries.push(await quietEntry(subject, CASE.quiet, await start(), seconds, false));
      entries.push(await quietEntry(subject, CASE.beside, await start(), seconds, true));
    }
    const results = await measureInRounds(
      entries,
      context,
      (entry) => entry,
      (entry) => {
        const round = rounds.get(entry) ?? 0;
        rounds.set(entry, round + 1);
        return entry.measure(round);
      },
      { warmUps: 1 },
    );
    const figures = [...results].flatMap(([{ subject, in: place }, measured]) =>
      Object.keys(measured[0] ?? {}).map((what): Figure => ({
        subject,
        in: place,
        what,
        ...summarize(measured.map((one) => one[what] ?? NaN)),
      })),
    );
    return outcome(figures, seconds);
  } finally {
    await stopAll(entries);
  }
}

interface RunsPlan {
  readonly seconds: number;
  readonly runs: number;
  readonly followers: number;
}

/** Measures runs that begin and end with the section. */
function runsEntry(
  subject: NodeServerName,
  place: string,
  pair: Pair<NodeServer>,
  { seconds, runs: count, followers }: RunsPlan,
): Entry {
  const events = (seconds * 1_000) / EVERY_MS;
  const { server } = pair;
  return {
    subject,
    in: place,
    pair,
    async measure(round) {
      const channel = count === 1 ? `run-${round}` : `run-${round}-{index}`;
      const load = new Load(subject);
      try {
        if (followers > 0) {
          await load.connect(server.port, followers, `/events?channel=${channel}`);
          await load.begin({ step: followers * events, isTimed: true });
        }
        await server.begin();
        const delay = await server.remote.call("publishSteadily", {
          channel,
          channels: count,
          first: 0,
          count: events,
          bytes: BYTES,
          receivers: Math.max(1, followers / count),
          everyMs: EVERY_MS,
        });
        if (followers > 0) await load.reached();
        await wait(50);
        const { cpuUs, publishedAt } = await server.end();
        const late =
          followers > 0
            ? await checkLateness(load, subject, { events, followers }, publishedAt)
            : {};
        return {
          [WHAT.cpu]: cpuUs / (events * Math.max(followers, count)),
          // More than 100 % where the server falls behind.
          [WHAT.load]: cpuUs / 10 / (events * EVERY_MS),
          ...late,
          [WHAT.loop]: delay.p99,
        };
      } finally {
        await endRuns(pair, load, channel, count);
      }
    },
  };
}

async function checkLateness(
  load: Load,
  subject: string,
  due: { readonly events: number; readonly followers: number },
  publishedAt: readonly number[],
): Promise<Readonly<Record<string, number>>> {
  const { events, disorder, completedAt, clients } = await load.end();
  if (
    clients !== due.followers ||
    events.min !== due.events ||
    events.max !== due.events ||
    disorder !== undefined
  ) {
    const what = disorder ?? `${events.min} to ${events.max} items`;
    throw new Error(`${subject}: of ${due.events} items its ${clients} followers have: ${what}`);
  }
  const late = completedAt.map((at, event) => at - (publishedAt[event] ?? NaN));
  return { [WHAT.p50]: median(late), [WHAT.p99]: quantile(late, 0.99) };
}

/** Ends the runs of a round, and disconnects its clients first: they are not to see the end. */
async function endRuns(
  pair: Pair<NodeServer>,
  load: Load,
  channel: string,
  count: number,
): Promise<void> {
  await load.cut();
  await load.stop();
  if (pair.subject === "response-write") return;
  await pair.server.remote.call("endRuns", { channel, count });
  await wait(100);
}

function memoryEntry(subject: NodeServerName, pair: Pair<NodeServer>): Entry {
  const { server } = pair;
  return {
    subject,
    in: CASE.memory,
    pair,
    async measure(round) {
      const channel = `run-${round}-{index}`;
      const before = await server.remote.call("memory", null);
      await server.remote.call("publishSteadily", {
        channel,
        channels: RUNS,
        first: 0,
        count: KEPT_ITEMS,
        bytes: BYTES,
        receivers: 1,
        everyMs: 5,
      });
      const after = await server.remote.call("memory", null);
      await server.remote.call("endRuns", { channel, count: RUNS });
      return { [WHAT.heap]: (after.heapBytes - before.heapBytes) / (RUNS * KEPT_ITEMS) };
    },
  };
}

/** Measures a channel, alone or while 1 000 runs of the same process produce for a follower each. */
async function quietEntry(
  subject: NodeServerName,
  place: string,
  pair: Pair<NodeServer>,
  seconds: number,
  isBeside: boolean,
): Promise<Entry> {
  const { server, load } = pair;
  const events = (seconds * 1_000) / QUIET_EVERY_MS;
  await load.connect(server.port, QUIET_CLIENTS, "/events?channel=quiet");
  const publish = { channel: "quiet", bytes: BYTES };
  return {
    subject,
    in: place,
    pair,
    async measure(round) {
      // The runs connect their followers first, and go on until the last event of the channel.
      const plan = { seconds: seconds + 2, runs: RUNS, followers: RUNS };
      const runsPair = runsEntry(subject, place, pair, plan);
      await load.begin({ step: QUIET_CLIENTS, isTimed: true });
      const [first] = await server.remote.call("publishIds", { ...publish, first: 0, count: 1 });
      await load.reached();
      await load.begin({ step: QUIET_CLIENTS * events, isTimed: true });
      const beside = isBeside ? runsPair.measure(round) : undefined;
      if (beside !== undefined) await wait(1_500);
      const order = {
        ...publish,
        first: 1,
        count: events,
        receivers: QUIET_CLIENTS,
        everyMs: QUIET_EVERY_MS,
      };
      const { delay, dueAt } = await server.remote.call("publishTimed", order);
      await load.reached();
      const cost = await beside;
      const { completedAt, events: got, disorder } = await load.end();
      if (got.min !== events || got.max !== events || disorder !== undefined) {
        throw new Error(
          `${subject}: the channel has ${disorder ?? `${got.min} to ${got.max} events`}`,
        );
      }
      await checkHistory(server, subject, first ?? "", events);
      const late = completedAt.map((at, event) => at - (dueAt[event] ?? NaN));
      return {
        [WHAT.late]: median(late),
        [WHAT.lateP99]: quantile(late, 0.99),
        [WHAT.loop]: delay.p99,
        ...(cost === undefined ? {} : { [WHAT.load]: cost[WHAT.load] ?? NaN }),
      };
    },
  };
}

/** A client that comes back with the first id has to get every event since. */
async function checkHistory(
  server: NodeServer,
  subject: string,
  lastEventId: string,
  events: number,
): Promise<void> {
  const load = new Load(`${subject}, coming back`);
  try {
    await load.begin({ step: events });
    await load.connect(server.port, 1, "/events?channel=quiet", { lastEventId });
    await load.reached();
    await wait(50);
    const { events: got } = await load.end();
    if (got.min !== events) throw new Error(`${subject}: ${got.min} of ${events} events are kept`);
  } finally {
    await load.cut();
    await load.stop();
  }
}

function outcome(figures: readonly Figure[], seconds: number): SuiteOutcome {
  return {
    parameters: {
      runs: RUNS,
      "items of a run a second": 1_000 / EVERY_MS,
      "seconds of a round": seconds,
      "bytes of data": BYTES,
      "clients of the quiet channel": QUIET_CLIENTS,
    },
    figures,
    tables: [CASE.each, CASE.one, CASE.none]
      .map((place) => costTable(figures, place))
      .concat(channelTable(figures), memoryTable(figures))
      .filter(({ rows }) => rows.length > 0),
    targets: targetsOf(figures),
  };
}

function costTable(figures: readonly Figure[], place: string): Table {
  const own = figures.filter((figure) => figure.in === place && figure.what === WHAT.cpu);
  const other = (figure: Figure, what: string): string =>
    formatStatistics(findFigure(figures, { ...figure, what }));
  return {
    title: place,
    columns: [
      "",
      "CPU µs per item",
      "of response-write",
      "CPU %",
      "last follower ms 50 %",
      "99 %",
      "delay ms 99 %",
    ],
    rows: own.map((figure) => [
      figure.subject,
      formatStatistics(figure),
      formatRatio(ratioTo(figures, figure, { subject: "response-write" })),
      other(figure, WHAT.load),
      other(figure, WHAT.p50),
      other(figure, WHAT.p99),
      other(figure, WHAT.loop),
    ]),
  };
}

function channelTable(figures: readonly Figure[]): Table {
  return {
    title: `A channel with ${groupThousands(QUIET_CLIENTS)} clients in the same process`,
    columns: ["", "last client ms 50 %", "99 %", "delay ms 99 %", "CPU %"],
    rows: figures
      .filter(({ what }) => what === WHAT.late)
      .map((figure) => [
        `${figure.subject}, ${figure.in}`,
        ...[WHAT.late, WHAT.lateP99, WHAT.loop, WHAT.load].map((what) =>
          formatStatistics(findFigure(figures, { ...figure, what })),
        ),
      ]),
  };
}

function memoryTable(figures: readonly Figure[]): Table {
  return {
    title: "Heap per item on the tape, bytes",
    columns: ["", "bytes"],
    rows: figures
      .filter(({ what }) => what === WHAT.heap)
      .map((figure) => [figure.subject, formatStatistics(figure)]),
  };
}

function targetsOf(figures: readonly Figure[]): Target[] {
  const each = { subject: OURS, in: CASE.each, what: WHAT.cpu };
  return decided([
    atMost(
      "1 000 runs × 50 items a second: at most 80 % of a core",
      findFigure(figures, { ...each, what: WHAT.load }),
      80,
      " %",
    ),
    atMost(
      "at most as much CPU per item as resumable-stream",
      ratioTo(figures, each, { subject: "resumable-stream" }),
      1,
      " ×",
    ),
    atMost(
      "one run, 1 000 followers: at most as much CPU per item as resumable-stream",
      ratioTo(figures, { ...each, in: CASE.one }, { subject: "resumable-stream" }),
      1,
      " ×",
    ),
    atMost(
      "beside 1 000 runs: an event of the channel at most 20 ms late for 99 %",
      findFigure(figures, { subject: OURS, in: CASE.beside, what: WHAT.lateP99 }),
      20,
      " ms",
    ),
  ]);
}
