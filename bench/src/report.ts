import { writeFile } from "node:fs/promises";
import { drawBars } from "./bar-chart.js";
import type { Bar } from "./bar-chart.js";
import { isSubjectName, kindOf } from "./catalogue.js";
import { formatPage } from "./report-page.js";
import { readResults } from "./results.js";
import type { SuiteResults } from "./results.js";
import { CHARTED_CASE, CPU_PER_DELIVERY, fanOut } from "./suites/fan-out.js";
import { SUITES } from "./suites/index.js";

const PAGE = new URL("../../docs/operate/benchmarks.md", import.meta.url);
const CHART = new URL("../../docs/operate/benchmarks.svg", import.meta.url);

function barsOf({ figures }: SuiteResults): Bar[] {
  return figures
    .filter((figure) => figure.in === CHARTED_CASE && figure.what === CPU_PER_DELIVERY)
    .map(({ subject, median }): Bar => ({
      label: subject,
      value: median,
      // The results may be older than the list of subjects.
      kind: isSubjectName(subject) ? kindOf(subject) : "peer",
    }))
    .toSorted((a, b) => a.value - b.value);
}

const results: SuiteResults[] = [];
for (const { name } of SUITES) {
  const found = await readResults(name);
  if (found === undefined) process.stderr.write(`There are no results of the suite ${name}.\n`);
  else results.push(found);
}
if (results.length === 0) {
  process.stderr.write("Run the benchmark first.\n");
  process.exitCode = 1;
} else {
  const chartResults = results.find(({ suite }) => suite === fanOut.name);
  if (chartResults !== undefined) {
    const title = "CPU of the server for one event to one client, microseconds";
    const subtitle = `100 bytes to 1 000 clients, one core; ${chartResults.machine.cpu}, Node ${chartResults.machine.node}. Less is better.`;
    await writeFile(CHART, drawBars(title, subtitle, barsOf(chartResults)));
  }
  await writeFile(PAGE, formatPage(results, chartResults !== undefined));
}
