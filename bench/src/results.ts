import { mkdir, readFile, writeFile } from "node:fs/promises";
import type { Machine } from "./machine.js";
import type { OtherCheckout } from "./other-checkout.js";
import type { SuiteOutcome } from "./suite.js";

/** The record of one run of a suite. */
export interface SuiteResults extends SuiteOutcome {
  readonly suite: string;
  /** The other checkout in the comparison. */
  readonly against?: Pick<OtherCheckout, "label" | "commits"> | undefined;
  readonly date: string;
  /** The measured commit, with `-dirty` if files were changed; `undefined` if it is not known. */
  readonly commit?: string | undefined;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly rounds: number;
  /** `true` for a run too short to be meaningful. */
  readonly isQuick: boolean;
  /** Subjects not measured, with the reasons. */
  readonly skipped: readonly string[];
}

const DIRECTORY = new URL("../results/", import.meta.url);

function fileOf(suite: string, label?: string): URL {
  return new URL(`${suite}${label === undefined ? "" : `@${label}`}.json`, DIRECTORY);
}

export async function writeResults(results: SuiteResults): Promise<void> {
  await mkdir(DIRECTORY, { recursive: true });
  await writeFile(
    fileOf(results.suite, results.against?.label),
    `${JSON.stringify(results, undefined, 2)}\n`,
  );
}

/** @returns The result of the last run of a suite; `undefined` if there was none. */
export async function readResults(suite: string): Promise<SuiteResults | undefined> {
  try {
    return JSON.parse(await readFile(fileOf(suite), "utf8")) as SuiteResults;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
