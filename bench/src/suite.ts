import type { SubjectName, TIDEWIRE } from "./catalogue.js";
import type { Figure } from "./figure.js";
import type { Progress } from "./progress.js";
import type { Table } from "./table.js";
import type { Target } from "./target.js";

/** The choices of the person who runs the benchmark. */
export interface SuiteContext {
  readonly rounds: number;
  /** `true`: only checks that everything works. */
  readonly isQuick: boolean;
  readonly cpuProfileDir: string | undefined;
  readonly progress: Progress;
  /** @returns The names that were chosen and can be measured, each Tidewire subject before its twin if it has one. */
  pick<Name extends SubjectName>(names: readonly Name[]): WithTwin<Name>[];
}

/** A name and, if it has a twin from another checkout, the twin's name. */
export type WithTwin<Name> = Name extends (typeof TIDEWIRE)[number]
  ? Name | `${Name}@${string}`
  : Name;

/** The result of a suite. */
export interface SuiteOutcome {
  /** Settings of the measurement. */
  readonly parameters: Readonly<Record<string, number | string | boolean>>;
  readonly figures: readonly Figure[];
  readonly tables: readonly Table[];
  readonly targets: readonly Target[];
}

/** One question that the benchmark answers. */
export interface Suite {
  readonly name: string;
  readonly title: string;
  /** Describes for the page what the suite measures, and how. */
  readonly method: string;
  run(context: SuiteContext): Promise<SuiteOutcome>;
}
