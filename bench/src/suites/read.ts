import { Remote } from "../remote.js";
import { READ_CASES } from "../read-protocol.js";
import type { ReadProtocol, ReadWay } from "../read-protocol.js";
import { findFigure, ratioTo } from "../figure.js";
import type { Figure, FigureName } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { summarize } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatFigure, formatRatio, groupThousands } from "../table.js";
import type { Table } from "../table.js";
import { atMost, decided } from "../target.js";

const PROGRAM = new URL("../read-process.js", import.meta.url);
const WAYS = ["read", "emitter", "session"] as const;
const NAMES: Readonly<Record<ReadWay, string>> = {
  read: "hub.read",
  emitter: "EventEmitter with events.on",
  session: "session to a socket",
};
const CASES = ([1, 100] as const).flatMap((readers) =>
  (Object.keys(READ_CASES) as (keyof typeof READ_CASES)[]).map((size) => ({
    name: `${readers === 1 ? "1 reader" : `${readers} readers`}, ${size}`,
    readers,
    bytes: READ_CASES[size],
  })),
);
/** Deliveries in a round: events times readers. */
const DELIVERIES = 100_000;
const CPU = "µs of CPU per event and reader";

const SLEEPERS = 1_000;
const SLEEP_EVENTS = 2_000;
const SLEEP_CASES = [
  { name: "every event is theirs", distance: 1 },
  { name: "every hundredth event is theirs", distance: 100 },
] as const;
const SLEEP_WAYS = ["read", "emitter"] as const;
const MEMORY = "KiB per reader that sleeps";

export const read: Suite = {
  name: "read",
  title: "Read: events in server code",
  method: `Events of a channel are published, ten in each turn of the event loop, and loops over \`hub.read\` take them. The figure is the CPU of the process for one event to one loop, publishing included. The bare control is an \`EventEmitter\` whose events come by \`events.on\`: it neither encodes nor keeps an event, and queues without limit. The other comparison writes the same events through sessions to sockets, whose clients are another process. For the memory, ${groupThousands(SLEEPERS)} loops take one event each, at ten different places, and sleep while ${groupThousands(2 * SLEEP_EVENTS)} events are published.`,
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const deliveries = context.isQuick ? DELIVERIES / 10 : DELIVERIES;
  const sleepers = context.isQuick ? SLEEPERS / 10 : SLEEPERS;
  const remote = new Remote<ReadProtocol>("The reader", PROGRAM, ["--expose-gc"]);
  try {
    const entries = CASES.flatMap((one) => WAYS.map((way) => ({ ...one, way })));
    const cpu = await measureInRounds(
      entries,
      context,
      ({ name, way }) => ({ subject: NAMES[way], in: name }),
      ({ way, bytes, readers }) =>
        remote.call("measure", { way, bytes, readers, events: deliveries / readers }),
    );
    const sleeping = SLEEP_CASES.flatMap((one) => SLEEP_WAYS.map((way) => ({ ...one, way })));
    const memory = await measureInRounds(
      sleeping,
      context,
      ({ name, way }) => ({ subject: NAMES[way], in: name }),
      ({ way, distance }) =>
        remote.call("sleep", { way, distance, readers: sleepers, events: SLEEP_EVENTS }),
      { warmUps: 1 },
    );
    return outcome(
      [
        ...[...cpu].map(([{ name, way }, rounds]): Figure => ({
          subject: NAMES[way],
          in: name,
          what: CPU,
          ...summarize(rounds),
        })),
        ...[...memory].map(([{ name, way }, rounds]): Figure => ({
          subject: NAMES[way],
          in: name,
          what: MEMORY,
          ...summarize(rounds),
        })),
      ],
      { "deliveries in a round": deliveries, "readers that sleep": sleepers },
    );
  } finally {
    await remote.stop();
  }
}

function outcome(figures: readonly Figure[], parameters: SuiteOutcome["parameters"]): SuiteOutcome {
  const nameOf = (name: string, way: ReadWay, what = CPU): FigureName => ({
    subject: NAMES[way],
    in: name,
    what,
  });
  const medianOf = (name: string, way: ReadWay, what?: string): number | undefined =>
    findFigure(figures, nameOf(name, way, what))?.median;
  const perSecond = (us: number | undefined): string =>
    us === undefined ? "–" : groupThousands(Math.round(1e6 / us / 1_000) * 1_000);
  const cpu: Table = {
    title: CPU,
    columns: [
      "",
      ...WAYS.map((way) => NAMES[way]),
      "events/s per core with hub.read",
      "ratio to EventEmitter",
      "ratio to session",
    ],
    rows: CASES.map(({ name }) => [
      name,
      ...WAYS.map((way) => formatFigure(medianOf(name, way))),
      perSecond(medianOf(name, "read")),
      formatRatio(ratioTo(figures, nameOf(name, "read"), { subject: NAMES.emitter })),
      formatRatio(ratioTo(figures, nameOf(name, "read"), { subject: NAMES.session })),
    ]),
  };
  const memory: Table = {
    title: MEMORY,
    columns: ["", ...SLEEP_WAYS.map((way) => NAMES[way])],
    rows: SLEEP_CASES.map(({ name }) => [
      name,
      ...SLEEP_WAYS.map((way) => formatFigure(medianOf(name, way, MEMORY))),
    ]),
  };
  return {
    parameters,
    figures,
    tables: [cpu, memory],
    targets: decided([
      ...CASES.map(({ name }) =>
        atMost(
          `hub.read, ${name}: at most 1.25 times a session to a socket`,
          ratioTo(figures, nameOf(name, "read"), { subject: NAMES.session }),
          1.25,
        ),
      ),
      ...SLEEP_CASES.map(({ name }) =>
        atMost(
          `a reader that sleeps while ${name}: at most 16 KiB`,
          findFigure(figures, nameOf(name, "read", MEMORY)),
          16,
          " KiB",
        ),
      ),
    ]),
  };
}
