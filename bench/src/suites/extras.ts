import { once } from "node:events";
import { get } from "node:http";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { runClosedLoop } from "../closed-loop.js";
import { connectPair, stopAll } from "../connected-pair.js";
import type { ConnectedPair } from "../connected-pair.js";
import { findFigure, ratioTo } from "../figure.js";
import type { Figure } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { summarize } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatRatio, formatStatistics, groupThousands } from "../table.js";
import { atMost, decided } from "../target.js";

const METRICS = "tidewire-metrics";
const PLAIN = "tidewire-http";
const EXTRAS = [METRICS, "tidewire-identity", "tidewire-presence"] as const;
const CLIENTS = 1_000;
const BYTES = 100;
const STEPS = 100;
const SCRAPED = 10_000;
/** Scrapes in a round. */
const SCRAPES = 50;
const FAN_OUT = "fan-out";
const SCRAPE = "scrape";
const CPU_PER_DELIVERY = "CPU of the server per delivery, µs";
const CPU_PER_SCRAPE = "CPU of the server per scrape, ms";

type Entry = ConnectedPair & { readonly in: typeof FAN_OUT | typeof SCRAPE };

export const extras: Suite = {
  name: "extras",
  title: "Extras: fan-out with metrics, identity or presence, and a scrape of 10 000 streams",
  method:
    "Fan-out to 1 000 clients with and without each extra, in the same rounds. Metrics: `collectPrometheus`, read every 5 s. Identity: another one for each client, with `maxSessionsPerIdentity` and `revalidate` each minute. Presence: on the channel of all clients. A scrape is a request for `/metrics` while 10 000 streams are open: the CPU time of the server, including HTTP.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const entries: Entry[] = [];
  const steps = context.isQuick ? STEPS / 5 : STEPS;
  const scrapes = context.isQuick ? SCRAPES / 5 : SCRAPES;
  try {
    for (const subject of context.pick([PLAIN, ...EXTRAS])) {
      entries.push({ ...(await connectPair(subject, CLIENTS, context)), in: FAN_OUT });
    }
    for (const subject of context.pick([METRICS])) {
      entries.push({ ...(await connectPair(subject, SCRAPED, context)), in: SCRAPE });
    }
    const results = await measureInRounds(
      entries,
      context,
      ({ subject, in: one }) => ({ subject, in: one }),
      async ({ pair, in: one }) => {
        if (one === SCRAPE) return await scrape(pair, scrapes);
        const plan = { clients: CLIENTS, bytes: BYTES, steps, eventsAStep: 1 };
        return (await runClosedLoop(pair, plan)).cpuUs;
      },
    );
    const figures = [...results].map(([{ subject, in: one }, rounds]): Figure => ({
      subject,
      in: one,
      what: one === SCRAPE ? CPU_PER_SCRAPE : CPU_PER_DELIVERY,
      ...summarize(rounds),
    }));
    return outcome(figures, { "events in a round": steps, "scrapes in a round": scrapes });
  } finally {
    await stopAll(entries);
  }
}

/** @returns Milliseconds of CPU. */
async function scrape({ server }: Entry["pair"], count: number): Promise<number> {
  await server.begin();
  for (let n = 0; n < count; n++) {
    const request = get({ port: server.port, path: "/metrics", agent: false });
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const live = `tidewire_sessions{state="live"} ${SCRAPED}\n`;
    if (!(await text(response)).includes(live)) throw new Error("A scrape misses streams");
  }
  const { cpuUs } = await server.end();
  return cpuUs / 1_000 / count;
}

function outcome(
  figures: readonly Figure[],
  parameters: Readonly<Record<string, number>>,
): SuiteOutcome {
  const cpu = { subject: PLAIN, in: FAN_OUT, what: CPU_PER_DELIVERY };
  const scraped = findFigure(figures, { subject: METRICS, in: SCRAPE, what: CPU_PER_SCRAPE });
  return {
    parameters: { clients: CLIENTS, bytes: BYTES, ...parameters },
    figures,
    tables: [
      {
        title: `${groupThousands(CLIENTS)} × ${BYTES} B`,
        columns: ["", "CPU µs per delivery", `of ${PLAIN}`],
        rows: [PLAIN, ...EXTRAS].map((subject) => [
          subject,
          formatStatistics(findFigure(figures, { ...cpu, subject })),
          formatRatio(ratioTo(figures, { ...cpu, subject }, { subject: PLAIN })),
        ]),
      },
      {
        title: `A scrape of ${groupThousands(SCRAPED)} open streams`,
        columns: ["", "CPU ms"],
        rows: [[METRICS, formatStatistics(scraped)]],
      },
    ],
    targets: decided([
      ...EXTRAS.map((subject) => {
        const ratio = ratioTo(figures, { ...cpu, subject }, { subject: PLAIN });
        return atMost(`${subject}: at most 1.02 × ${PLAIN}`, ratio, 1.02, " ×");
      }),
      atMost("a scrape of 10 000 open streams: at most 5 ms of CPU", scraped, 5, " ms"),
    ]),
  };
}
