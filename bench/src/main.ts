import { USAGE, UsageError, readArguments } from "./arguments.js";
import type { Arguments } from "./arguments.js";
import { SUBJECT_NAMES, TIDEWIRE, needsRedis, kindOf } from "./catalogue.js";
import type { SubjectName } from "./catalogue.js";
import { compare } from "./comparison.js";
import { describeMachine, readVersions } from "./machine.js";
import { whyNoNchan } from "./nchan-installation.js";
import { openCheckout, readCommit } from "./other-checkout.js";
import type { OtherCheckout } from "./other-checkout.js";
import { Progress } from "./progress.js";
import { whyNoRedis } from "./redis-installation.js";
import { writeResults } from "./results.js";
import type { Suite, SuiteOutcome, WithTwin } from "./suite.js";
import { SUITES } from "./suites/index.js";
import { formatTable } from "./table.js";
import { formatTargets } from "./target.js";

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function runSuite(
  suite: Suite,
  options: Arguments,
  other: OtherCheckout | undefined,
): Promise<void> {
  const progress = new Progress();
  const skipped = new Set<string>();
  const whyNot = { nchan: whyNoNchan(), redis: whyNoRedis() };
  const start = performance.now();
  print(`\n${suite.title} (${suite.name})\n`);
  const isPicked = (name: SubjectName): boolean => {
    if (options.subjects !== undefined && !options.subjects.has(name)) return false;
    const reason = name === "nchan" ? whyNot.nchan : needsRedis(name) ? whyNot.redis : undefined;
    if (reason === undefined) return true;
    skipped.add(`${name} is not measured: ${reason}.`);
    return false;
  };
  const found = await suite.run({
    ...options,
    progress,
    pick: <Name extends SubjectName>(names: readonly Name[]) =>
      names.filter(isPicked).flatMap((name) => {
        const hasTwin = other !== undefined && TIDEWIRE.some((one) => one === name);
        return (hasTwin ? [name, `${name}@${other.label}`] : [name]) as WithTwin<Name>[];
      }),
  });
  const comparison = other === undefined ? [] : compare(found.figures, other.label);
  const outcome = { ...found, tables: [...found.tables, ...comparison] };
  progress.clear();
  show(outcome, skipped, (performance.now() - start) / 1_000);
  // Short runs, and runs without figures, are not kept.
  if (options.isQuick || outcome.figures.length === 0) return;
  // A part of a suite must not take the place of all of it. A comparison has a separate file.
  if (options.subjects !== undefined && other === undefined) return;
  await writeResults({
    against: other === undefined ? undefined : { label: other.label, commits: other.commits },
    suite: suite.name,
    date: new Date().toISOString(),
    commit: await readCommit(),
    machine: describeMachine(),
    versions: await readVersions(),
    rounds: options.rounds,
    isQuick: options.isQuick,
    skipped: [...skipped],
    ...outcome,
  });
}

function show({ tables, targets }: SuiteOutcome, skipped: Iterable<string>, seconds: number): void {
  for (const table of tables) print(`${formatTable(table)}\n`);
  if (targets.length > 0) print(`  Targets\n${formatTargets(targets)}\n`);
  for (const sentence of skipped) print(`  ${sentence}`);
  print(`  ${Math.round(seconds)} s`);
}

function list(): void {
  print("Suites");
  for (const { name, title } of SUITES) print(`  ${name.padEnd(18)}${title}`);
  print("Subjects");
  for (const name of SUBJECT_NAMES) print(`  ${name.padEnd(18)}${kindOf(name)}`);
}

// Our processes end together with this one. nginx does not, so it is ended on `exit`.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

try {
  const options = readArguments(process.argv.slice(2));
  if (options.isList) list();
  else {
    const other = options.against === undefined ? undefined : await openCheckout(options.against);
    if (other !== undefined) {
      print(`This checkout is at ${other.commits.this}, ${other.label} at ${other.commits.other}.`);
    }
    for (const suite of options.suites) await runSuite(suite, options, other);
  }
} catch (error) {
  const isUsage = error instanceof UsageError;
  const text = isUsage
    ? `${error.message}\n\n${USAGE}`
    : `\nThe benchmark has stopped: ${error instanceof Error ? error.message : String(error)}`;
  process.stderr.write(`${text}\n`);
  // Some of the processes may still be running.
  process.exit(isUsage ? 2 : 1);
}
