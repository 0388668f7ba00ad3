/** Options of runs and their defaults. */

import { DEFAULTS } from "@tidewire/core";
import type { Decoded, WebReadable } from "@tidewire/core";
import {
  atLeast,
  callOnError,
  milliseconds,
  printErrors,
  unexpected,
} from "@tidewire/core/adapter";
import { check, checkOptions } from "./check-options.js";
import type { ItemFraming, RunMessage } from "./item.js";
import { memoryTapes } from "./memory-tapes.js";
import type { Tapes } from "./tapes.js";

/**
 * Where a background error comes from.
 *
 * - `source`: the source or `map` of a run has failed, or the source failed while it was being cancelled
 * - `tapes`: the store failed where no caller can catch the error
 * - `start`, `stop`, `follow`: such a call has rejected, for another reason than an invalid argument. Its caller gets the
 *   error too, if it awaits
 */
export type RunErrorStage = "source" | "tapes" | "start" | "stop" | "follow";

/** Limits of one run: defaults for all runs, and options of `start`. */
export interface RunLimits {
  /**
   * How long a run continues without a follower on any node, in milliseconds: then it is stopped. The time counts from
   * the start, or from when the last follower left. `false`: a run continues without followers until its own end.
   *
   * @defaultValue `false`
   */
  readonly abandonMs?: number | false | undefined;
  /**
   * How long the tape of a run is kept after its end, in milliseconds. Until then a follower gets all of it, later 204.
   *
   * @defaultValue `600_000` (ten minutes)
   */
  readonly keepMs?: number | undefined;
  /**
   * Size of one run: bytes of data and event types, and 64 for each item. The default has room for about 50 000 tokens
   * in small JSON objects, or 6 000 rows of 600 bytes. A run that exceeds it ends as `failed`, and its `signal` aborts.
   *
   * @defaultValue `4_194_304` (4 MiB)
   */
  readonly maxBytes?: number | undefined;
}

/** Options of `createRuns`. */
export interface RunsOptions extends RunLimits {
  /**
   * Where the items of runs are kept.
   *
   * @defaultValue `memoryTapes()`: for a single process
   */
  readonly tapes?: Tapes | undefined;
  /**
   * Most runs that may be running in this process at a time. Beyond it, `start` rejects with `ERR_SSE_RUNS_FULL`
   * (status 503), unless a run of its key is running.
   *
   * @defaultValue `1_000`
   */
  readonly maxRuns?: number | undefined;
  /**
   * Largest item in bytes, including its fields. A run with a larger one ends as `failed`. Not larger than that of the
   * hubs whose sessions follow.
   *
   * @defaultValue `1_048_576` (1 MiB)
   */
  readonly maxEventBytes?: number | undefined;
  /**
   * Converts data that is not a string to a string; with `verbatimStrings: false`, strings as well.
   *
   * @defaultValue `JSON.stringify`
   */
  readonly serialize?: ((data: unknown) => string) | undefined;
  /**
   * Whether string `data` of an item is kept unchanged. `false` passes all data through `serialize`. A bare string is
   * always kept unchanged.
   *
   * @defaultValue `true`
   */
  readonly verbatimStrings?: boolean | undefined;
  /**
   * Receives errors that no caller can catch, such as those of a source. A client that leaves is not an error.
   *
   * @defaultValue prints to stderr: the first error of each stage at once, then at most one line a minute with a count
   */
  readonly onError?:
    | ((error: unknown, context: { readonly stage: RunErrorStage; readonly key: string }) => void)
    | undefined;
}

/** Argument of a source: the run that it produces. */
export interface RunContext {
  /** Key of the run. */
  readonly key: string;
  /** Run id, with which the ids of its items begin: `<encoded key>.<generation>`. */
  readonly runId: string;
  /**
   * Aborted when the run ends before its source does: it was stopped, abandoned or lost, exceeded `maxBytes`, or `map`
   * failed. Its `reason` is a `DOMException` named `AbortError`. Pass it to everything that the source waits for. A
   * source that ignores it does not keep the run going.
   */
  readonly signal: AbortSignal;
}

/** Sources of runs: an iterable, an async iterable, a Node stream or a web stream. Bytes are decoded as UTF-8. */
export type RunSource<Item> = Iterable<Item> | AsyncIterable<Item> | WebReadable<Item>;

/** Begins to produce a run. Called once, in the async context of `start`, as are the listeners of `signal`. */
export type OpenRunSource<Item> = (
  context: RunContext,
) => RunSource<Item> | PromiseLike<RunSource<Item>>;

/** Turns an item of the source into an item of the run; `undefined` skips it. */
export type MapRunItem<Item> = (item: Decoded<Item>) => RunMessage | string | undefined;

/** Options of `start`. */
export interface StartOptions<Item> extends RunLimits {
  /**
   * Turns an item of the source into an item of the run; `undefined` skips it.
   *
   * @defaultValue each item is a message itself
   */
  readonly map?: MapRunItem<Item> | undefined;
}

/** Limits with all defaults filled in. */
export interface ResolvedRunLimits {
  readonly abandonMs: number | false;
  readonly keepMs: number;
  readonly maxBytes: number;
}

/** Options with all defaults filled in. */
export interface ResolvedRunsOptions {
  readonly tapes: Tapes;
  readonly limits: ResolvedRunLimits;
  readonly maxRuns: number;
  readonly framing: ItemFraming;
  /** Passes an error to the application. Never throws. */
  readonly report: (error: unknown, stage: RunErrorStage, key: string) => void;
}

const LIMITS: readonly (keyof RunLimits)[] = ["abandonMs", "keepMs", "maxBytes"];
const RUNS_OPTIONS: readonly string[] = [
  ...LIMITS,
  "tapes",
  "maxRuns",
  "maxEventBytes",
  "serialize",
  "verbatimStrings",
  "onError",
];

const DEFAULT_LIMITS: ResolvedRunLimits = {
  abandonMs: false,
  keepMs: 600_000,
  maxBytes: 4_194_304,
};
const DEFAULT_MAX_RUNS = 1_000;

/**
 * Checks options and fills in the defaults.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function resolveRunsOptions(options: RunsOptions = {}): ResolvedRunsOptions {
  checkOptions("createRuns", options, RUNS_OPTIONS);
  const {
    tapes,
    maxRuns = DEFAULT_MAX_RUNS,
    maxEventBytes = DEFAULTS.maxEventBytes,
    serialize = DEFAULTS.serialize,
    verbatimStrings = true,
    onError = printErrors(),
  } = options;
  const limits = resolveLimits(options, DEFAULT_LIMITS);
  check("maxRuns", maxRuns, atLeast(1, maxRuns));
  check("maxEventBytes", maxEventBytes, atLeast(1, maxEventBytes));
  if (typeof serialize !== "function") throw unexpected("serialize", "a function", serialize);
  if (typeof verbatimStrings !== "boolean") {
    throw unexpected("verbatimStrings", "true or false", verbatimStrings);
  }
  if (typeof onError !== "function") throw unexpected("onError", "a function", onError);
  if (tapes !== undefined && (typeof tapes !== "object" || typeof tapes?.create !== "function")) {
    throw unexpected("tapes", "memoryTapes() or another store of tapes", tapes);
  }
  return {
    tapes: tapes ?? memoryTapes(),
    limits,
    maxRuns,
    framing: {
      ofMessages: { maxEventBytes, serialize, verbatimStrings },
      ofStrings: { maxEventBytes, serialize, verbatimStrings: true },
    },
    report: (error, stage, key) => callOnError(onError, error, { stage, key }),
  };
}

/**
 * Checks the options of `start`.
 *
 * @param given - Options, or the `map` function.
 * @param defaults - Limits of `createRuns`.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function resolveStartOptions<Item>(
  given: MapRunItem<Item> | StartOptions<Item> | undefined,
  defaults: ResolvedRunLimits,
): ResolvedRunLimits & { readonly map: MapRunItem<Item> | undefined } {
  if (typeof given === "function") return { ...defaults, map: given };
  const options = given ?? {};
  checkOptions("start", options, [...LIMITS, "map"]);
  const { map } = options;
  if (map !== undefined && typeof map !== "function") throw unexpected("map", "a function", map);
  return { ...resolveLimits(options, defaults), map };
}

function resolveLimits(given: RunLimits, defaults: ResolvedRunLimits): ResolvedRunLimits {
  const {
    abandonMs = defaults.abandonMs,
    keepMs = defaults.keepMs,
    maxBytes = defaults.maxBytes,
  } = given;
  if (abandonMs !== false) check("abandonMs", abandonMs, milliseconds(1, abandonMs, "false or "));
  check("keepMs", keepMs, milliseconds(0, keepMs));
  check("maxBytes", maxBytes, atLeast(1, maxBytes));
  return { abandonMs, keepMs, maxBytes };
}
