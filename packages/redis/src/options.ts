/** Options of the log and their defaults. */

import { DEFAULTS, SseError } from "@tidewire/core";
import { checkName } from "@tidewire/core/adapter";
import type { LogHealth } from "@tidewire/core/log";
import type { Locator } from "./locator.js";
import { resolveSource } from "./source.js";
import type { RedisClientSource } from "./source.js";

/** How much of the stream Redis keeps: whichever limit is reached first. */
export interface StreamRetentionOptions {
  /**
   * Age in milliseconds after which an event is dropped, as soon as something is published after it.
   *
   * @defaultValue `300_000` (five minutes)
   */
  readonly maxAgeMs?: number | undefined;
  /**
   * Number of events. Redis drops them in groups, so that there are some more.
   *
   * @defaultValue `100_000`
   */
  readonly maxEvents?: number | undefined;
}

/** Where Redis is, by its address. */
export interface RedisUrl {
  /**
   * Where Redis is: `redis://user:password@host:6379/0`, or `rediss://` for TLS. This or `client`.
   *
   * @see https://www.iana.org/assignments/uri-schemes/prov/redis
   */
  readonly url: string;
}

/** Where Redis is, by a client that knows it. */
export interface RedisClientOption {
  /**
   * A client in place of `url`, for Sentinel, a cluster, or settings that a URL has no place for: of node-redis 4 to 6
   * (`createClient`, `createCluster`, `createSentinel`), ioredis or iovalkey (`Redis`, `Cluster`). It need not be connected
   * and is not used itself: the log makes connections of its own with the same settings, and looks the master up before
   * each of them. Only a Sentinel client of node-redis 5 is used, to ask for the master, and connected if it is not.
   *
   * Or a function that gives a client each time a connection is made.
   */
  readonly client: RedisClientSource;
}

/** Where Redis is: exactly one of `url` and `client`. */
export type RedisPlace =
  | (RedisUrl & { readonly client?: undefined })
  | (RedisClientOption & { readonly url?: undefined });

/** What `redisLog` takes beside the place of Redis. */
export interface RedisLogSettings {
  /**
   * Key of the stream. Hubs with the same key share all that is published. A `keyPrefix` of the client is put in front.
   *
   * @defaultValue `"tidewire"`
   */
  readonly key?: string | undefined;
  /** How much Redis keeps. Each hub's own `retention` says how much of it is replayed: at most what is here. */
  readonly retention?: StreamRetentionOptions | undefined;
  /**
   * How long Redis remembers a `dedupeKey`, in milliseconds.
   *
   * @defaultValue `120_000`
   */
  readonly dedupeWindowMs?: number | undefined;
  /**
   * How long a publish waits for Redis to answer, in milliseconds, before it fails with `ERR_SSE_LOG_UNKNOWN`.
   *
   * @defaultValue `5_000`
   */
  readonly publishTimeoutMs?: number | undefined;
  /** Called whenever `state` changes. What it throws goes to the hub's `onError`. */
  readonly onHealth?: ((health: LogHealth) => void) | undefined;
}

/** Options of `redisLog`: where Redis is, and how it is used. */
export type RedisLogOptions = RedisLogSettings & RedisPlace;

/** Options with every default filled in. */
export interface ResolvedRedisLogOptions {
  /** Key of the stream, with what the client puts in front of each. */
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

/** Longest delay that a timer of Node takes. */
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
  checkWhole("retention.maxAgeMs", maxAgeMs, Number.MAX_SAFE_INTEGER);
  checkWhole("retention.maxEvents", maxEvents, Number.MAX_SAFE_INTEGER);
  checkWhole("dedupeWindowMs", dedupeWindowMs, Number.MAX_SAFE_INTEGER);
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
 * @param path - Name of the option whose value they are; absent for options of a function.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` otherwise, with the name that was probably meant.
 */
export function checkOptions(value: unknown, names: readonly string[], path?: string): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    // A URL in its place may hold a password.
    const got = typeof value === "string" ? "a string" : describe(value);
    const what = path === undefined ? "options" : `\`${path}\``;
    throw invalid(`Expected ${what} to be an object, got ${got}`);
  }
  for (const name of Object.keys(value)) checkName(name, names, path);
}

function checkWhole(name: string, value: unknown, most: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most) return;
  throw unexpected(name, "a whole number >= 1", value);
}

function unexpected(name: string, expected: string, value: unknown): SseError {
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
