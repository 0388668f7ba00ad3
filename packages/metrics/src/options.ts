/** Options of both kinds of metrics, and their checks. */

import { SseError } from "@tidewire/core";
import type { HubStats } from "@tidewire/core";
import { checkName, describeValue, unexpected } from "@tidewire/core/adapter";

/** The hub whose metrics are collected: any {@link https://github.com/tidewire/tidewire | Tidewire} hub. */
export interface MeasuredHub {
  /** @returns Counters and current state of the hub. */
  stats(): HubStats;
}

/** Counters of runs. */
export interface RunCounts {
  /** Runs that are running. */
  readonly running: number;
  /** Sessions and loops that follow a run. */
  readonly followers: number;
  /** Runs that were started. */
  readonly started: number;
  /** Ends by outcome. */
  readonly ends: Readonly<Record<string, number>>;
}

/** Runs whose metrics are collected: the result of `createRuns()` of `@tidewire/runs`. */
export interface MeasuredRuns {
  /** @returns Counters and current state of the runs. */
  stats(): RunCounts;
}

/** Options that Prometheus and OpenTelemetry share. */
export interface MetricsOptions {
  /**
   * The runs of this process, whose metrics are collected too.
   *
   * @defaultValue no metrics of runs
   */
  readonly runs?: MeasuredRuns | undefined;
  /**
   * Labels of every metric, in OpenTelemetry attributes. Needed to tell several hubs of a process apart.
   *
   * @defaultValue none
   */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/**
 * Checks the arguments of a function that collects metrics.
 *
 * @param call - Name of the function.
 * @param own - Names of its own options.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if one is invalid.
 */
export function checkArguments(
  call: string,
  hub: unknown,
  options: unknown,
  own: readonly string[],
): void {
  if (!hasStats(hub)) {
    // The middleware of Express has the hub as a property.
    const hint = hasStats((hub as { readonly hub?: unknown } | undefined)?.hub)
      ? ": pass its `hub`"
      : "";
    throw invalid(`Expected ${call}() to get a hub, got ${describeValue(hub)}${hint}`);
  }
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw invalid(
      `Expected the options of ${call}() to be an object, got ${describeValue(options)}`,
    );
  }
  for (const name of Object.keys(options)) checkName(name, [...own, "runs", "labels"]);
  const { runs, labels = {} } = options as MetricsOptions;
  if (runs !== undefined && !hasStats(runs))
    throw unexpected("runs", "the runs of createRuns()", runs);
  const areLabels =
    typeof labels === "object" &&
    labels !== null &&
    Object.entries(labels).every(
      ([name, value]) => /^[a-z_][a-z0-9_]*$/i.test(name) && typeof value === "string",
    );
  if (!areLabels) throw unexpected("labels", "an object of strings by label name", labels);
  const taken = TAKEN.find((name) => name in labels);
  if (taken !== undefined)
    throw invalid(`The label \`${taken}\` belongs to the metrics themselves`);
}

/** Labels that metrics have. */
const TAKEN = ["state", "reason", "outcome", "le"];

function hasStats(value: unknown): boolean {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    "stats" in value &&
    typeof value.stats === "function"
  );
}

/** Creates an `ERR_SSE_INVALID_OPTION` error. */
export function invalid(message: string): SseError {
  return new SseError("ERR_SSE_INVALID_OPTION", message);
}
