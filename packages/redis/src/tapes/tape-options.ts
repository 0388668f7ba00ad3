/** Options of the tapes on Redis and their defaults. */

import { SseError } from "@tidewire/core";
import { printErrors } from "@tidewire/core/adapter";
import { checkOptions, checkWhole, unexpected } from "../options.js";
import type { RedisPlace } from "../options.js";
import { resolveSource } from "../source.js";
import type { Source } from "../source.js";

/** Options of `redisTapes` besides the location of Redis. */
export interface RedisTapesSettings {
  /**
   * Beginning of all keys. Processes with the same prefix share their runs. A `keyPrefix` of the client is put in
   * front.
   *
   * @defaultValue `"tidewire-runs"`
   */
  readonly prefix?: string | undefined;
  /**
   * How long the lease of a producer lasts on Redis' clock, in milliseconds. A producer that is gone is `lost` once its
   * lease is over. It is renewed every third of that time. A process that cannot renew it for 70 % of that time cancels
   * its runs. At least 1 000; all processes with the same prefix need the same value.
   *
   * @defaultValue `15_000`
   */
  readonly leaseMs?: number | undefined;
  /**
   * Most runs that may be running at the same time in all processes with this prefix. Beyond that, `start` rejects with
   * `ERR_SSE_RUNS_FULL`. With several `shards`, each takes its share.
   *
   * @defaultValue `10_000`
   */
  readonly maxRuns?: number | undefined;
  /**
   * Number of hash slots over which the runs are spread, for a cluster: each slot may be on another master. Each of
   * them costs a process up to two connections. All processes with the same prefix need the same value.
   *
   * @defaultValue `1`
   */
  readonly shards?: number | undefined;
  /**
   * How long a command waits for an answer of Redis, in milliseconds, before it fails with
   * `ERR_SSE_TAPES_UNAVAILABLE`.
   *
   * @defaultValue a third of `leaseMs`, at most `5_000`
   */
  readonly commandTimeoutMs?: number | undefined;
  /**
   * Called with errors in the background: with the first error of each outage, and of each series of refusals, and
   * with records that cannot be read. Runs that are affected continue, or end as `lost`. An error that it throws is printed
   * to stderr.
   *
   * @defaultValue prints to stderr: the first error at once, then at most one line a minute with a count
   */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** Options of `redisTapes`: the location of Redis, and how to use it. */
export type RedisTapesOptions = RedisTapesSettings & RedisPlace;

/** Options with all defaults filled in. */
export interface ResolvedRedisTapesOptions {
  /** One for each shard. */
  readonly sources: readonly Source[];
  readonly leaseMs: number;
  /** Most runs of a shard. */
  readonly maxRuns: number;
  readonly commandTimeoutMs: number;
  readonly onError: (error: unknown) => void;
}

const OPTIONS: readonly string[] = [
  "url",
  "client",
  "prefix",
  "leaseMs",
  "maxRuns",
  "shards",
  "commandTimeoutMs",
  "onError",
];

/** Shortest lease: renewals and deadlines are counted in steps of a quarter of a second. */
const MIN_LEASE_MS = 1_000;
const MAX_LEASE_MS = 3_600_000;
const MAX_SHARDS = 1_024;
const MAX_TIMEOUT_MS = 5_000;

/**
 * Checks options and fills in the defaults.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function resolveRedisTapesOptions(options: RedisTapesOptions): ResolvedRedisTapesOptions {
  checkOptions(options, OPTIONS);
  const { prefix = "tidewire-runs", leaseMs = 15_000, maxRuns = 10_000, shards = 1 } = options;
  if (typeof prefix !== "string" || prefix === "") {
    throw unexpected("prefix", "a string that is not empty", prefix);
  }
  checkWhole("leaseMs", leaseMs, MAX_LEASE_MS, MIN_LEASE_MS);
  checkWhole("maxRuns", maxRuns);
  checkWhole("shards", shards, MAX_SHARDS);
  if (shards > 1 && prefix.includes("{")) {
    throw new SseError(
      "ERR_SSE_INVALID_OPTION",
      `Expected \`prefix\` to have no braces with several \`shards\`, got ${JSON.stringify(prefix)}: a hash tag names a single slot`,
    );
  }
  const { commandTimeoutMs = Math.min(MAX_TIMEOUT_MS, Math.floor(leaseMs / 3)), onError } = options;
  checkWhole("commandTimeoutMs", commandTimeoutMs, MAX_LEASE_MS);
  if (onError !== undefined && typeof onError !== "function") {
    throw unexpected("onError", "a function", onError);
  }
  return {
    sources: Array.from({ length: shards }, (_, shard) =>
      resolveSource(options.url, options.client, shards === 1 ? prefix : `${prefix}.${shard}`),
    ),
    leaseMs,
    maxRuns: Math.ceil(maxRuns / shards),
    commandTimeoutMs,
    onError: onError === undefined ? printTapeErrors() : (error) => tell(onError, error),
  };
}

/** Calls the application, whose error must not end a connection. */
function tell(onError: (error: unknown) => void, error: unknown): void {
  try {
    onError(error);
  } catch (thrown) {
    console.error("tidewire: `onError` has thrown:", thrown);
  }
}

function printTapeErrors(): (error: unknown) => void {
  const print = printErrors();
  return (error) => print(error, { stage: "tapes" });
}
