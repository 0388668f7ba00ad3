import { setTimeout as wait } from "node:timers/promises";
import { runClosedLoop } from "../closed-loop.js";
import type { LoopPlan } from "../closed-loop.js";
import { connectPair, stopAll } from "../connected-pair.js";
import type { ConnectedPair } from "../connected-pair.js";
import { measureChannelMemory } from "../channel-memory.js";
import type { ChannelMemory } from "../channel-memory.js";
import { ratioTo } from "../figure.js";
import type { Figure } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { summarize } from "../statistics.js";
import { TIDEWIRE } from "../catalogue.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatRatio, formatStatistics } from "../table.js";
import type { Table } from "../table.js";
import { atMost, decided } from "../target.js";
import type { Target } from "../target.js";

const CHANNELS = 10_000;
const BYTES = 100;
/** Events in flight at a time. */
const BATCH = 500;
const ONE_CLIENTS = 1_000;
const ONE_STEPS = 20;

const CPU = "CPU of the server per delivery, µs";
const TURN = "a channel for each client, published in a loop";
const TURNS = "a channel for each client, each event in a turn of its own";
const SHARED = "one channel for all";
const LIMIT = 1.6;
const MEMORY_LIMIT = 1_024;

type Entry = ConnectedPair & { readonly in: string; readonly plan: LoopPlan };

export const channels: Suite = {
  name: "channels",
  title: "Channels: one client on each of 10 000",
  method:
    "Each of 10 000 clients is on its own channel. One event is published on each channel, 500 in flight at a time: all 500 in a loop, like a message to many users, or each in a separate turn of the event loop, like requests. " +
    "For comparison, 1 000 clients share one channel, as in fan-out. For memory, 10 000 clients on 10 000 channels are compared with 10 000 on one. " +
    "A ratio is the median of the rounds' ratios, each to `socket-write` or to the subject's own one channel in the same round.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: Entry[] = [];
  try {
    for (const subject of context.pick([...TIDEWIRE, "socket-write", "response-write"])) {
      const connected = await connectPair(subject, CHANNELS, context, "/events?channel=c{index}");
      const steps = CHANNELS / BATCH;
      const plan = { clients: CHANNELS, steps, eventsAStep: BATCH, bytes: BYTES };
      entries.push({ ...connected, in: TURN, plan: { ...plan, spread: "turn" } });
      entries.push({ ...connected, in: TURNS, plan: { ...plan, spread: "turns" } });
    }
    for (const subject of context.pick([...TIDEWIRE, "socket-write"])) {
      const steps = context.isQuick ? ONE_STEPS / 4 : ONE_STEPS;
      entries.push({
        ...(await connectPair(subject, ONE_CLIENTS, context)),
        in: SHARED,
        plan: { clients: ONE_CLIENTS, steps, eventsAStep: 1, bytes: BYTES },
      });
    }
    const results = await measureInRounds(
      entries,
      context,
      (entry) => entry,
      ({ pair, plan }) => runClosedLoop(pair, plan),
    );
    const figures = [...results].map(([{ subject, in: place }, rounds]): Figure => ({
      subject,
      in: place,
      what: CPU,
      ...summarize(rounds.map(({ cpuUs }) => cpuUs)),
    }));
    await stopAll(entries.splice(0));
    const memory = await measureMemory(context);
    return {
      parameters: {
        channels: CHANNELS,
        "bytes of data": BYTES,
        "events on their way": BATCH,
        "clients on one channel": ONE_CLIENTS,
      },
      figures: [...figures, ...memory],
      tables: [cpuTable(figures), memoryTable(memory)].filter(({ rows }) => rows.length > 0),
      targets: targetsOf(figures, memory),
    };
  } finally {
    await stopAll(entries);
  }
}

const MEMORY_KINDS = {
  quiet: "heap per channel before its first event, bytes",
  used: "heap per channel after one event, bytes",
} as const satisfies Record<keyof ChannelMemory, string>;

async function measureMemory(context: SuiteContext): Promise<Figure[]> {
  const subjects = context.pick(["tidewire-http", "socket-write"] as const);
  const results = await measureInRounds(
    subjects,
    context,
    (subject) => ({ subject, in: "memory" }),
    async (subject) => {
      await wait(100);
      return measureChannelMemory(subject, context.isQuick ? CHANNELS / 10 : CHANNELS);
    },
    { warmUps: 0 },
  );
  return [...results].flatMap(([subject, rounds]) =>
    (["quiet", "used"] as const).map((kind): Figure => ({
      subject,
      in: "memory",
      what: MEMORY_KINDS[kind],
      ...summarize(rounds.map((round) => round[kind])),
    })),
  );
}

function cpuTable(figures: readonly Figure[]): Table {
  return {
    title: "CPU of the server",
    columns: ["", "CPU µs per delivery", "of socket-write", "of one channel for all"],
    rows: figures.map((figure) => [
      `${figure.subject}, ${figure.in}`,
      formatStatistics(figure),
      formatRatio(ratioTo(figures, figure, { subject: "socket-write" })),
      figure.in === SHARED ? "" : formatRatio(ratioTo(figures, figure, { in: SHARED })),
    ]),
  };
}

function memoryTable(memory: readonly Figure[]): Table {
  return {
    title: "Heap of a channel with one client, bytes",
    columns: ["", "bytes"],
    rows: memory.map((figure) => [
      `${figure.subject}, ${figure.what.replace(/^heap per channel |, bytes$/g, "")}`,
      formatStatistics(figure),
    ]),
  };
}

function targetsOf(figures: readonly Figure[], memory: readonly Figure[]): Target[] {
  return decided([
    ...TIDEWIRE.map((subject) =>
      atMost(
        `${subject}: at most ${LIMIT} × its own with one channel for all`,
        ratioTo(figures, { subject, in: TURN, what: CPU }, { in: SHARED }),
        LIMIT,
        " ×",
      ),
    ),
    ...memory
      .filter(({ subject, what }) => subject === "tidewire-http" && what === MEMORY_KINDS.quiet)
      .map((figure) =>
        atMost(`${figure.subject}: less than 1 KB for a channel`, figure, MEMORY_LIMIT, " B"),
      ),
  ]);
}
