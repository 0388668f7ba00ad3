/** Options of the log and their defaults. */

import { DEFAULTS, SseError } from "@tidewire/core";
import { checkName } from "@tidewire/core/adapter";
import type { LogHealth } from "@tidewire/core/log";
import type { Locator } from "./locator.js";
import { resolveSource } from "./source.js";
import type { RedisClientSource } from "./source.js";

/** How much of the stream Redis keeps. The first limit reached applies. */
export interface StreamRetentionOptions {
  /**
   * Maximum age in milliseconds. Later publishes drop older events.
   *
   * @defaultValue `300_000` (five minutes)
   */
  readonly maxAgeMs?: number | undefined;
  /**
   * Number of events. Redis drops them in groups, so it keeps slightly more.
   *
   * @defaultValue `100_000`
   */
  readonly maxEvents?: number | undefined;
}

/** The address of Redis. */
export interface RedisUrl {
  /**
   * Address of Redis: `redis://user:password@host:6379/0`, or `rediss://` for TLS. Either this or `client`.
   *
   * @see https://www.iana.org/assignments/uri-schemes/prov/redis
   */
  readonly url: string;
}

/** A client that knows the address of Redis. */
export interface RedisClientOption {
  /**
   * A client instead of `url`, for Sentinel, a cluster, or settings that do not fit in a URL: from node-redis 4 to 6
   * (`createClient`, `createCluster`, `createSentinel`), ioredis or iovalkey (`Redis`, `Cluster`). It does not have to
   * be connected and is not used itself: the log opens its own connections with the same settings, and looks up the
   * master before each of them. Only a Sentinel client of node-redis 5 is used, to find the master, and connected if
   * necessary.
   *
   * A function that returns a client is called for each attempt to connect.
   */
  readonly client: RedisClientSource;
}

/** Location of Redis: exactly one of `url` and `client`. */
export type RedisPlace =
  | (RedisUrl & { readonly client?: undefined })
  | (RedisClientOption & { readonly url?: undefined });

/** Options of `redisLog` besides the location of Redis. */
export interface RedisLogSettings {
  /**
   * Key of the stream. Hubs with the same key share all events. A `keyPrefix` of the client is put in front.
   *
   * @defaultValue `"tidewire"`
   */
  readonly key?: string | undefined;
  /** How much Redis keeps. Each hub replays as much of it as its own `retention` allows. */
  readonly retention?: StreamRetentionOptions | undefined;
  /**
   * How long Redis remembers a `dedupeKey`, in milliseconds.
   *
   * @defaultValue `120_000`
   */
  readonly dedupeWindowMs?: number | undefined;
  /**
   * How long a publish waits for an answer of Redis, in milliseconds, before it fails with `ERR_SSE_LOG_UNKNOWN`.
   *
   * @defaultValue `5_000`
   */
  readonly publishTimeoutMs?: number | undefined;
  /** Called whenever `state` changes. An error that it throws goes to the hub's `onError`. */
  readonly onHealth?: ((health: LogHealth) => void) | undefined;
}

/** Options of `redisLog`: the location of Redis, and how to use it. */
export type RedisLogOptions = RedisLogSettings & RedisPlace;

/** Options with all defaults filled in. */
export interface ResolvedRedisLogOptions {
  /** Key of the stream, including the client's prefix. */
  readonly key: string;
  readonly locator: Locator;
  readonly retention: { readonly maxAgeMs: number; readonly maxEvents: number };
  readonly dedupeWindowMs: number;
  readonly publishTimeoutMs: number;
  readonly onHealth: ((health: LogHealth) => void) | undefined;
}

/** Names of the options of `redisLog`. */
export const REDIS_LOG_OPTIONS: readonly string[] = [
  "url",
  "client",
  "key",
  "retention",
  "dedupeWindowMs",
  "publishTimeoutMs",
  "onHealth",
];

/** Longest delay of a Node timer. */
const MAX_MS = 2_147_483_647;

/**
 * Checks options and fills in the defaults.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function resolveRedisLogOptions(options: RedisLogOptions): ResolvedRedisLogOptions {
  checkOptions(options, REDIS_LOG_OPTIONS);
  const {
    key = "tidewire",
    retention = {},
    dedupeWindowMs = 120_000,
    publishTimeoutMs = 5_000,
    onHealth,
  } = options;
  if (typeof key !== "string" || key === "")
    throw unexpected("key", "a string that is not empty", key);
  checkOptions(retention, ["maxAgeMs", "maxEvents"], "retention");
  const { maxAgeMs = DEFAULTS.retention.maxAgeMs, maxEvents = DEFAULTS.retention.maxEvents } =
    retention;
  checkWhole("retention.maxAgeMs", maxAgeMs);
  checkWhole("retention.maxEvents", maxEvents);
  checkWhole("dedupeWindowMs", dedupeWindowMs);
  checkWhole("publishTimeoutMs", publishTimeoutMs, MAX_MS);
  if (onHealth !== undefined && typeof onHealth !== "function") {
    throw unexpected("onHealth", "a function", onHealth);
  }
  return {
    ...resolveSource(options.url, options.client, key),
    retention: { maxAgeMs, maxEvents },
    dedupeWindowMs,
    publishTimeoutMs,
    onHealth,
  };
}

/**
 * Checks that options are an object and have no unknown names.
 *
 * @param path - Name of the option that contains them; absent for options of a function.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if they are not, with a suggestion for an unknown name.
 */
export function checkOptions(value: unknown, names: readonly string[], path?: string): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    // A URL passed by mistake may hold a password.
    const got = typeof value === "string" ? "a string" : describe(value);
    const what = path === undefined ? "options" : `\`${path}\``;
    throw invalid(`Expected ${what} to be an object, got ${got}`);
  }
  for (const name of Object.keys(value)) checkName(name, names, path);
}

/**
 * Checks that an option is a whole number.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it is not, or out of range.
 */
export function checkWhole(
  name: string,
  value: unknown,
  most: number = Number.MAX_SAFE_INTEGER,
  least: number = 1,
): void {
  const isWhole = Number.isSafeInteger(value);
  if (isWhole && (value as number) >= least && (value as number) <= most) return;
  const limit = isWhole && (value as number) > most ? ` and <= ${most}` : "";
  throw unexpected(name, `a whole number >= ${least}${limit}`, value);
}

/** @returns The error for an option with an invalid value. */
export function unexpected(name: string, expected: string, value: unknown): SseError {
  return invalid(`Expected \`${name}\` to be ${expected}, got ${describe(value)}`);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  const isPlain =
    typeof value === "string" || typeof value === "number" || typeof value === "boolean";
  return isPlain
    ? `${JSON.stringify(value).slice(0, 100)} (${typeof value})`
    : `a value of type ${typeof value}`;
}

function invalid(message: string): SseError {
  return new SseError("ERR_SSE_INVALID_OPTION", message);
}
