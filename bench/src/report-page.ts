import { isSubjectName, kindOf } from "./catalogue.js";
import type { SuiteResults } from "./results.js";
import { SUITES } from "./suites/index.js";
import type { Table } from "./table.js";
import { formatFigure } from "./table.js";
import type { Target } from "./target.js";

const METHOD = `## How it is measured

- **Three processes.** One controls the run, one is the server of a subject, and one holds its clients. Each subject has its
  own server and client process. The figures count the CPU time of the *server process*, user and system, over the
  measured section; for nginx that of its worker. (\`redis\` has several servers and publishers.)
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
- **A closed loop.** The next event is published when every client has the previous one. A subject that joins several
  events into one write has no advantage over one that sends them one by one. (\`loop\` and \`redis\` publish at a
  steady pace instead.)
- **Every event has to arrive.** The clients are bare sockets that count events and bytes. Every client has to get every
  event. One client checks the order, all clients of a channel have to get the same number of bytes, and every chunk has to
  be whole. For Tidewire and the controls the chunks have to contain exactly the published bytes. Otherwise the run stops.
  (\`catch-up\` and \`redis\` count the events only.)
- **The controls** are Node without a library. \`socket-write\` puts one buffer, framed beforehand, straight on each
  socket, which is the least that Node can do; \`response-write\` calls \`response.write\` with one buffer. They keep a
  set of responses and nothing else: no replay, no back-pressure, no limits.
- **The other libraries** are used the fastest way that their documentation shows, without compression and without
  heartbeats. The files in \`bench/src/subjects\` say which calls that is.
- **Loopback.** Clients and server share one machine, so that the network costs little and the kernel's part of each
  figure is that of loopback. Compare figures with each other, not with those of another machine.
`;

const INTRODUCTION = `This page compares the cost of Tidewire with bare Node and with other libraries. \`npx -y pnpm@10 bench\` measures, and
writes every figure of every round to \`bench/results\`. \`npx -y pnpm@10 bench:report\` writes this page from these files.`;

const CHART = `![CPU of the server per delivery, by library](benchmarks.svg)

\`socket-write\` and \`response-write\` are Node without a library. \`socket-write\` writes one prepared buffer to each socket,
which is the least that Node can do; \`response-write\` calls \`response.write\`. The tables below have an interval for each
bar. Where two intervals overlap, the difference between the bars may be noise.`;

const MISSED = "Missed targets";

/** @returns The page of all results: a summary, the results with their method, and the missed targets. */
export function formatPage(results: readonly SuiteResults[], hasChart: boolean): string {
  const parts = [
    "---\npageClass: is-wide\n---",
    "# Benchmarks",
    INTRODUCTION,
    ...(hasChart ? [CHART] : []),
    formatSummary(results),
    formatMachine(results),
    ...results.map(formatSuite),
    METHOD.trimEnd(),
    ...formatMissed(results),
  ];
  return `${keepThousands(parts.join("\n\n"))}\n`;
}

/** A line for each suite, with the number of its targets that are met. */
function formatSummary(results: readonly SuiteResults[]): string {
  const lines = results.map(({ suite, targets }) => {
    const met = targets.filter(({ isMet }) => isMet).length;
    const share = targets.length === 0 ? "–" : `${met} of ${targets.length}`;
    return `| [${titleOf(suite)}](#${anchorOf(titleOf(suite))}) | ${share} |`;
  });
  const all = results.flatMap(({ targets }) => targets);
  const met = all.filter(({ isMet }) => isMet).length;
  const end =
    met < all.length ? ` The [missed targets](#${anchorOf(MISSED)}) are listed at the end.` : "";
  return [
    "## Summary",
    `${met} of ${all.length} targets are met.${end} [How it is measured](#how-it-is-measured) explains the figures.`,
    ["| suite | targets met |", "|---|---:|", ...lines].join("\n"),
  ].join("\n\n");
}

function formatMissed(results: readonly SuiteResults[]): string[] {
  const lines = results.flatMap(({ suite, targets }) =>
    targets
      .filter(({ isMet }) => !isMet)
      .map(
        ({ text, measured }) =>
          `- [${suite}](#${anchorOf(titleOf(suite))}): ${text}. Measured: ${measured}.`,
      ),
  );
  return lines.length === 0 ? [] : [`## ${MISSED}`, lines.join("\n")];
}

/** Puts no-break spaces into `10 000`, except in headings, from which anchors are made, and in code. */
function keepThousands(page: string): string {
  return page.replaceAll(/^#.*$|`[^`]*`|(?<=\d) (?=\d{3}(?!\d))/gm, (text) =>
    text === " " ? "\u00A0" : text,
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
  return [
    "## Where",
    ...[...machines].map((text) => `${text}.`),
    `${list}.`,
    formatCommits(results),
  ].join("\n\n");
}

function formatCommits(results: readonly SuiteResults[]): string {
  const commits = new Set(results.map(({ commit }) => commit ?? "unknown"));
  const note = commits.has("unknown")
    ? " Older results do not record their commit. The benchmark and the measured code may have changed since the dates below."
    : "";
  return `Measured commit: ${[...commits].join(", ")}.${note}`;
}

function titleOf(suite: string): string {
  return SUITES.find(({ name }) => name === suite)?.title ?? suite;
}

function anchorOf(title: string): string {
  return title
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

function formatTable(table: Table): string {
  const { title, columns, rows } = withIntervals(table);
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = columns.map((_, column) => (column === 0 ? "---" : "---:"));
  const body = sortPeers(rows).map((row) =>
    // Highlights our rows.
    line(
      row.map((cell) =>
        row[0]?.startsWith("tidewire") === true && cell !== "" ? `**${cell}**` : cell,
      ),
    ),
  );
  return [`### ${title}`, "", line(columns), line(rule), ...body].join("\n");
}

/** Results of older runs have the interval of a column in two further columns, `min` and `max`. */
function withIntervals(table: Table): Table {
  const at = table.columns.findIndex(
    (name, column) => name === "min" && table.columns[column + 1] === "max",
  );
  if (at < 1) return table;
  const merge = (cells: readonly string[], own: string): string[] => [
    ...cells.slice(0, at - 1),
    own,
    ...cells.slice(at + 2),
  ];
  return {
    ...table,
    columns: merge(table.columns, table.columns[at - 1] ?? ""),
    rows: table.rows.map((row) =>
      merge(row, `${row[at - 1] ?? ""} (${row[at] ?? ""} to ${row[at + 1] ?? ""})`),
    ),
  };
}

/** Puts the other libraries of a table in the order of their first figure. All other rows stay in place. */
function sortPeers(rows: Table["rows"]): Table["rows"] {
  const isPeer = ([name = ""]: readonly string[]): boolean =>
    isSubjectName(name) && kindOf(name) === "peer";
  const figure = ([, cell = ""]: readonly string[]): number =>
    Number.parseFloat(cell.replaceAll(/(?<=\d) (?=\d)/g, ""));
  const sorted = rows.filter(isPeer).toSorted((a, b) => figure(a) - figure(b));
  return rows.map((row) => (isPeer(row) ? (sorted.shift() ?? row) : row));
}

function formatTargets(targets: readonly Target[]): string {
  const rows = targets.map(
    ({ text, measured, isMet }) => `| ${text} | ${measured} | ${isMet ? "met" : "**missed**"} |`,
  );
  return ["| target | measured | |", "|---|---:|---|", ...rows].join("\n");
}
