/** Recognizes the values of the options `url` and `client`. */

import { SseError } from "@tidewire/core";
import { parseUrl } from "./client.js";
import type { ConnectionOptions } from "./client.js";
import { readIoRedis } from "./ioredis.js";
import { createFixedLocator } from "./locator.js";
import type { Locator, Settings } from "./locator.js";
import { readNodeRedis } from "./node-redis.js";

/**
 * A client for `redisLog`: from node-redis 4, 5 or 6 (`createClient`, `createCluster`, `createSentinel`), ioredis or
 * iovalkey (`Redis`, `Cluster`).
 *
 * The type lists the methods that all of them have, which avoids depending on their types. The library is detected when
 * the option is read.
 */
export interface RedisClient {
  /** Connects. The log does not call this, except for a Sentinel client of node-redis 5. */
  connect(...args: never[]): unknown;
  /** Sends a command. The log does not call this. */
  sendCommand(...args: never[]): unknown;
  /** Listens to an event. */
  on(event: never, listener: never): unknown;
}

/** A client whose settings are used, or a function that returns one for each attempt to connect. */
export type RedisClientSource = RedisClient | (() => RedisClient | Promise<RedisClient>);

/** Location of the stream. */
export interface Source {
  /** Key of the stream, including the client's prefix. */
  readonly key: string;
  readonly locator: Locator;
}

const LIBRARIES = "node-redis 4 to 6, ioredis or iovalkey";
/** Methods that every one of these clients has. */
const METHODS = ["connect", "on", "sendCommand"] as const;

/**
 * Finds the location of the stream. Does not connect.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` unless exactly one valid location is given.
 */
export function resolveSource(url: unknown, client: unknown, key: string): Source {
  if (url !== undefined && client !== undefined) {
    throw invalid(
      "Expected either `url` or `client`, got both: the client has the address of Redis, omit `url`",
    );
  }
  if (client !== undefined) return sourceOf(client, key);
  if (url === undefined) throw invalid("Expected either `url` or `client`, got neither");
  try {
    // node-redis treats an empty URL, such as an unset environment variable, as localhost.
    if (url === "") throw new Error("There is none");
    return { key, locator: createFixedLocator(parseUrl(url as string)) };
  } catch {
    // The URL may hold a password, and the error quotes the URL: neither is repeated.
    throw invalid(
      "Expected `url` to be like redis://user:password@host:6379/0, or rediss:// for TLS",
    );
  }
}

function sourceOf(client: unknown, key: string): Source {
  if (typeof client === "function" && !isClass(client)) {
    return { key, locator: createLateLocator(client as () => unknown, key) };
  }
  const settings = read(client, "`client`", ", or a function that returns one");
  const prefixed = settings.keyPrefix + key;
  return { key: prefixed, locator: settings.createLocator(prefixed) };
}

/** The function may return different kinds of clients, so each is recognized anew. */
function createLateLocator(give: () => unknown, key: string): Locator {
  const find = async (signal: AbortSignal): Promise<ConnectionOptions> => {
    const settings = read(await give(), "the function `client` to return", "");
    if (settings.keyPrefix !== "") {
      throw invalid(
        `Expected the function \`client\` to return a client without a key prefix, got ${JSON.stringify(settings.keyPrefix)}: ` +
          "put it in front of `key`",
      );
    }
    return settings.createLocator(key).find(signal);
  };
  return { hasFailover: false, find };
}

function read(client: unknown, what: string, orElse: string): Settings {
  if (typeof client === "object" && client !== null) {
    const isLike = METHODS.every(
      (name) => typeof (client as Record<string, unknown>)[name] === "function",
    );
    const settings = isLike ? (readIoRedis(client) ?? readNodeRedis(client)) : undefined;
    if (settings !== undefined) return settings;
  }
  const expected = `a client of ${LIBRARIES}${orElse}`;
  const verb = what.startsWith("`") ? " to be" : "";
  throw invalid(`Expected ${what}${verb} ${expected}, got ${nameGiven(client)}`);
}

/**
 * @returns A description of the value, with a hint for common mistakes. Never reveals a value that may hold a password.
 */
function nameGiven(client: unknown): string {
  if (client === null || client === undefined) return String(client);
  if (typeof client === "string") return "a string: an address goes into `url`";
  if (Array.isArray(client)) return "an array";
  if (typeof client === "function") return `the class ${client.name}: pass an instance of it`;
  if (typeof client !== "object") return `a ${typeof client}`;
  if (typeof (client as Partial<Promise<unknown>>).then === "function") {
    return "a promise: await it, or pass a function that returns it";
  }
  const name = (Object.getPrototypeOf(client) as object | null)?.constructor?.name;
  if (name === undefined || name === "Object") {
    const keys = Object.keys(client).slice(0, 5).join(", ");
    return keys === "" ? "an empty object" : `a plain object with ${keys}`;
  }
  return `an instance of ${name}`;
}

/** Whether a function is a class: calling it would throw or create an instance. */
function isClass(value: Function): boolean {
  if (/^class\b/.test(Function.prototype.toString.call(value))) return true;
  const prototype = value.prototype as object | undefined;
  return prototype !== undefined && METHODS.some((name) => name in prototype);
}

function invalid(message: string): SseError {
  return new SseError("ERR_SSE_INVALID_OPTION", message);
}
