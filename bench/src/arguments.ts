import { parseArgs } from "node:util";
import { SUBJECT_NAMES, isSubjectName } from "./catalogue.js";
import type { SubjectName } from "./catalogue.js";
import type { Suite } from "./suite.js";
import { SUITES } from "./suites/index.js";

/** The options of the command line. */
export interface Arguments {
  readonly suites: readonly Suite[];
  /** `undefined` for all. */
  readonly subjects: ReadonlySet<SubjectName> | undefined;
  readonly rounds: number;
  readonly isQuick: boolean;
  readonly isList: boolean;
  readonly cpuProfileDir: string | undefined;
  /** Folder of another checkout to compare with. */
  readonly against: string | undefined;
}

/** A mistake on the command line. */
export class UsageError extends Error {}

export const USAGE = `Usage: bench [suite…] [options]

  --subjects a,b     only these subjects
  --rounds n         rounds that count (default 5; an interval of 95 % needs 6, a narrow one 20)
  --against folder   also measure the Tidewire subjects with the packages of another checkout, installed and built,
                     as tidewire-http@folder and so on, in the same rounds; not in encode, read and redis
  --quick            few events and rounds: only see whether everything works; nothing is written
  --cpu-prof dir     write CPU profiles of the servers there
  --list             list suites and subjects`;

/**
 * @param argv - Arguments without the program name.
 * @throws {UsageError} If an argument is invalid.
 */
export function readArguments(argv: readonly string[]): Arguments {
  const { values, positionals } = parse(argv);
  const isQuick = values.quick === true;
  return {
    suites: positionals.length === 0 ? SUITES : positionals.map(suiteOf),
    subjects: values.subjects === undefined ? undefined : subjectsOf(values.subjects),
    rounds: values.rounds === undefined ? (isQuick ? 2 : 5) : roundsOf(values.rounds),
    isQuick,
    isList: values.list === true,
    cpuProfileDir: values["cpu-prof"],
    against: values.against,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      // Programs like npm pass on the `--` in front of the arguments.
      args: argv.filter((argument) => argument !== "--"),
      allowPositionals: true,
      options: {
        subjects: { type: "string" },
        rounds: { type: "string" },
        quick: { type: "boolean" },
        list: { type: "boolean" },
        "cpu-prof": { type: "string" },
        against: { type: "string" },
      },
    });
  } catch (error) {
    // Node adds advice on escaping, which does not help here.
    throw new UsageError((error as Error).message.split(". ")[0]);
  }
}

function suiteOf(name: string): Suite {
  const suite = SUITES.find((one) => one.name === name);
  if (suite !== undefined) return suite;
  const names = SUITES.map((one) => one.name).join(", ");
  throw new UsageError(`Expected the name of a suite (${names}), got ${JSON.stringify(name)}`);
}

function subjectsOf(list: string): ReadonlySet<SubjectName> {
  const names = list.split(",").map((name) => name.trim());
  const subjects = names.filter(isSubjectName);
  const unknown = names.find((name) => !isSubjectName(name));
  if (unknown === undefined) return new Set(subjects);
  throw new UsageError(
    `Expected subjects (${SUBJECT_NAMES.join(", ")}), got ${JSON.stringify(unknown)}`,
  );
}

function roundsOf(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new UsageError(
    `Expected --rounds to be a whole number from 1 to 9999, got ${JSON.stringify(text)}`,
  );
}
