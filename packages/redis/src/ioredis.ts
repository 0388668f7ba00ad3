/** Reads the settings of ioredis and iovalkey clients: `Redis`, with or without Sentinel, and `Cluster`. */

import { SseError } from "@tidewire/core";
import type { ConnectionOptions } from "./client.js";
import { parseUrl } from "./client.js";
import { createClusterLocator } from "./cluster.js";
import { createFixedLocator, mapWith } from "./locator.js";
import type { Address, Settings } from "./locator.js";
import { createSentinelLocator } from "./sentinel.js";

/** Settings of a `Redis` client. */
interface RedisOptions {
  readonly host?: string | undefined;
  readonly port?: number | string | undefined;
  readonly path?: string | undefined;
  readonly family?: number | string | null | undefined;
  readonly username?: string | null | undefined;
  readonly password?: string | null | undefined;
  readonly db?: number | undefined;
  readonly tls?: object | boolean | undefined;
  readonly connectionName?: string | null | undefined;
  readonly keyPrefix?: string | undefined;
  readonly natMap?: unknown;
  readonly sentinels?: readonly Partial<Address>[] | null | undefined;
  readonly name?: string | null | undefined;
  readonly sentinelUsername?: string | null | undefined;
  readonly sentinelPassword?: string | null | undefined;
  readonly sentinelTLS?: object | undefined;
  readonly enableTLSForSentinelMode?: boolean | undefined;
  readonly Connector?: unknown;
}

/** Settings of a `Cluster` client. */
interface ClusterOptions {
  readonly redisOptions?: RedisOptions | undefined;
  readonly natMap?: unknown;
  readonly keyPrefix?: string | undefined;
  readonly useSRVRecords?: boolean | undefined;
}

interface IoRedis {
  readonly status: string;
  readonly options: RedisOptions & ClusterOptions;
  readonly isCluster?: boolean | undefined;
  readonly startupNodes?: readonly (string | number | RedisOptions)[] | undefined;
}

const PORT = 6_379;
const SENTINEL_PORT = 26_379;

/**
 * @param given - An object with the methods `connect`, `on` and `sendCommand`.
 * @returns Its settings; `undefined` if it is not an ioredis or iovalkey client.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if one of its settings cannot be reused.
 */
export function readIoRedis(given: object): Settings | undefined {
  const client = given as Partial<IoRedis>;
  if (typeof client.status !== "string" || !("call" in given) || !("disconnect" in given)) {
    return undefined;
  }
  if (typeof client.options !== "object" || client.options === null) return undefined;
  return client.isCluster === true ? readCluster(client as IoRedis) : readRedis(client as IoRedis);
}

function readRedis({ options }: IoRedis): Settings {
  if (options.Connector !== undefined) throw unsupported("Connector");
  const keyPrefix = options.keyPrefix ?? "";
  const { sentinels, name } = options;
  if (!sentinels || !name) {
    return { keyPrefix, createLocator: () => createFixedLocator(pick(options)) };
  }
  const locator = createSentinelLocator({
    name,
    sentinels: sentinels.map(({ host = "localhost", port = SENTINEL_PORT }) => ({ host, port })),
    sentinelOptions: pick({
      username: options.sentinelUsername,
      password: options.sentinelPassword,
      tls: options.sentinelTLS,
      family: options.family,
    }),
    nodeOptions: pick({
      ...options,
      path: undefined,
      tls: options.enableTLSForSentinelMode === true ? options.tls : undefined,
    }),
    mapAddress: mapWith(options.natMap),
  });
  return { keyPrefix, createLocator: () => locator };
}

function readCluster({ options, startupNodes = [] }: IoRedis): Settings {
  if (options.useSRVRecords === true) throw unsupported("useSRVRecords");
  const { redisOptions = {}, natMap } = options;
  const nodeOptions = pick({ ...redisOptions, db: undefined, path: undefined });
  const settings = {
    roots: startupNodes.map((node) => readStartupNode(node, redisOptions)),
    nodeOptions,
    mapAddress: mapWith(natMap),
  };
  return {
    keyPrefix: options.keyPrefix || redisOptions.keyPrefix || "",
    createLocator: (key) => createClusterLocator(settings, key),
  };
}

/** A startup node is a port, an address in text form, or settings. */
function readStartupNode(
  node: string | number | RedisOptions,
  redisOptions: RedisOptions,
): ConnectionOptions {
  const shared = { host: "127.0.0.1", ...redisOptions, db: undefined, path: undefined };
  if (typeof node === "object") return pick({ ...shared, ...node, db: undefined });
  if (/^\d+$/.test(String(node))) return pick({ ...shared, port: Number(node) });
  const text = String(node);
  const parsed = parseUrl(text.includes("://") ? text : `redis://${text}`);
  const defaults = pick(shared);
  return {
    ...defaults,
    username: parsed.username ?? defaults.username,
    password: parsed.password ?? defaults.password,
    socket: { ...defaults.socket, ...parsed.socket },
  };
}

/** @returns The address and credentials, in the form that node-redis uses. */
function pick({
  host = "localhost",
  port = PORT,
  path,
  family,
  username,
  password,
  db,
  tls,
  connectionName,
}: RedisOptions): ConnectionOptions {
  const address = path ? { path } : { host, port: Number(port), ...(family && { family }) };
  const secure = tls ? { tls: true, ...(typeof tls === "object" && tls) } : undefined;
  return {
    username: username ?? undefined,
    password: password ?? undefined,
    database: db,
    name: connectionName ?? undefined,
    socket: { ...address, ...secure },
  };
}

function unsupported(name: string): SseError {
  return new SseError(
    "ERR_SSE_INVALID_OPTION",
    `Expected \`client\` to be without the option \`${name}\`: the log opens its own connections and cannot use that. ` +
      "Pass a function that returns a client for the server that holds the stream",
  );
}
