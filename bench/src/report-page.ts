import type { SuiteResults } from "./results.js";
import { SUITES } from "./suites/index.js";
import type { Table } from "./table.js";
import { formatFigure } from "./table.js";
import type { Target } from "./target.js";

const METHOD = `## How it is measured

- **Three processes.** One directs, one is the server of a subject, one holds its clients. Each subject has its
  own server and client process. The figures count the CPU time of the *server process*, user and system, over the
  measured section; for nginx that of its worker. (\`redis\` has more of each, and says so.)
- **Side by side.** All subjects of a suite are alive at once and are measured in turn, round by round: within a round
  all subjects of one case one after another, then those of the next, each round in another order and every second one
  backwards. A disturbance of the machine hits all of them. Warm-up rounds are not counted.
- **Medians with an interval.** A figure is the median of the rounds. In brackets stands the interval that holds the true
  median with a probability of at least 95 %, from the sign test: of 20 rounds it leaves out the 5 smallest and the 5
  largest. It assumes nothing about the distribution. With fewer than 6 rounds it goes from the smallest to the largest.
- **Ratios are paired.** The speed of a machine drifts over minutes, often by more than subjects differ. That is why a
  ratio is not one median divided by another: in each round a subject's figure is divided by the other's figure of the same
  round, and the ratio is the median of these. A difference is taken in the same way. Whether a target is met is
  decided by that ratio, which may differ a little from what the medians in a table give. Its interval is that of the
  rounds' ratios.
- **A closed loop.** An event is published when every client has the one before. No subject gains by joining
  events that another sends one by one. (\`loop\` and \`redis\` are the exceptions, and say so.)
- **Everything has to arrive.** The clients are bare sockets that count events and bytes. Each client has to get every
  event; one of them looks at the order; on one channel all have to get the same number of bytes; every chunk has to be
  whole; and for Tidewire and the controls the chunks have to hold exactly the bytes that were published. Otherwise the
  run stops. (\`catch-up\` and \`redis\` count the events only.)
- **The controls** are Node without a library. \`socket-write\` puts one buffer, framed beforehand, straight on each
  socket, which is the least that Node can do; \`response-write\` calls \`response.write\` with one buffer. They keep a
  set of responses and nothing else: no replay, no back-pressure, no limits.
- **The other libraries** are used the fastest way that their documentation shows, without compression and without
  heartbeats. The files in \`bench/src/subjects\` say which calls that is.
- **Loopback.** Clients and server share one machine, so that the network costs little and the kernel's part of each
  figure is that of loopback. Compare figures with each other, not with those of another machine.
`;

/** @returns The page of all results. */
export function formatPage(results: readonly SuiteResults[], hasChart: boolean): string {
  const parts = [
    "# Benchmarks",
    "This page compares the cost of Tidewire with bare Node and with other libraries. It is made by `npx -y pnpm@10 bench` and\n`npx -y pnpm@10 bench:report`; every figure of every round is in the files that the first of them writes.",
    ...(hasChart ? ["![CPU of the server per delivery, by library](benchmarks.svg)"] : []),
    formatMissed(results),
    METHOD.trimEnd(),
    formatMachine(results),
    ...results.map(formatSuite),
  ];
  return `${parts.join("\n\n")}\n`;
}

/** Targets that were missed come first, for readers who read no further. */
function formatMissed(results: readonly SuiteResults[]): string {
  const targets = results.flatMap((one) => one.targets);
  const missed = results.flatMap(({ suite, targets: own }) =>
    own.filter(({ isMet }) => !isMet).map((target) => ({ suite, ...target })),
  );
  const met = targets.length - missed.length;
  if (missed.length === 0) return `All ${targets.length} targets are met.`;
  const lines = missed.map(
    ({ suite, text, measured }) =>
      `- [${suite}](#${anchorOf(suite)}): ${text}. Measured: ${measured}.`,
  );
  return [`${met} of ${targets.length} targets are met. These are not:`, lines.join("\n")].join(
    "\n\n",
  );
}

function formatMachine(results: readonly SuiteResults[]): string {
  const machines = new Set(
    results.map(
      ({ machine: { cpu, cores, memoryGb, kernel, node } }) =>
        `${cpu}, ${cores} cores, ${memoryGb} GB; ${kernel}; Node ${node}`,
    ),
  );
  const versions = new Map(results.flatMap((one) => Object.entries(one.versions)));
  const list = [...versions].map(([name, version]) => `${name} ${version}`).join(", ");
  return ["## Where", ...[...machines].map((text) => `${text}.`), `${list}.`].join("\n\n");
}

function titleOf(suite: string): string {
  return SUITES.find(({ name }) => name === suite)?.title ?? suite;
}

function anchorOf(suite: string): string {
  return titleOf(suite)
    .toLowerCase()
    .replaceAll(/[^\w -]/g, "")
    .replaceAll(" ", "-");
}

function formatSuite({
  suite,
  date,
  rounds,
  parameters,
  tables,
  targets,
  skipped,
}: SuiteResults): string {
  const settings = [
    `${rounds} rounds`,
    ...Object.entries(parameters).map(
      ([name, value]) => `${name}: ${typeof value === "number" ? formatCount(value) : value}`,
    ),
  ].join("; ");
  return [
    `## ${titleOf(suite)}`,
    SUITES.find(({ name }) => name === suite)?.method ?? "",
    `\`npx -y pnpm@10 bench ${suite}\`, ${date.slice(0, 10)}. ${settings}.`,
    ...tables.map(formatTable),
    ...(targets.length > 0 ? [formatTargets(targets)] : []),
    ...skipped,
  ].join("\n\n");
}

function formatCount(value: number): string {
  return Number.isInteger(value) && value < 1_000 ? String(value) : formatFigure(value);
}

function formatTable({ title, columns, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = columns.map((_, column) => (column === 0 ? "---" : "---:"));
  const body = rows.map((row) =>
    // Highlights our rows.
    line(
      row.map((cell) =>
        row[0]?.startsWith("tidewire") === true && cell !== "" ? `**${cell}**` : cell,
      ),
    ),
  );
  return [`### ${title}`, "", line(columns), line(rule), ...body].join("\n");
}

function formatTargets(targets: readonly Target[]): string {
  const rows = targets.map(
    ({ text, measured, isMet }) => `| ${text} | ${measured} | ${isMet ? "met" : "**missed**"} |`,
  );
  return ["| target | measured | |", "|---|---:|---|", ...rows].join("\n");
}
