import { SseError } from "@tidewire/core";
import { Cluster, Redis } from "ioredis";
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5";
import { Cluster as ValkeyCluster, Redis as Valkey } from "iovalkey";
import { createClient, createCluster, createSentinel } from "redis";
import { createClient as createClient4, createCluster as createCluster4 } from "redis4";
import {
  createClient as createClient5,
  createClientPool as createClientPool5,
  createCluster as createCluster5,
  createSentinel as createSentinel5,
} from "redis5";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ConnectionOptions } from "../src/client.js";
import { resolveRedisLogOptions } from "../src/options.js";
import type { RedisClient, RedisClientSource } from "../src/index.js";

afterEach(() => vi.restoreAllMocks());

/** @returns The settings found with a client, without empty ones. */
async function found(client: RedisClientSource): Promise<ConnectionOptions> {
  const { locator } = resolveRedisLogOptions({ client });
  const { credentialsProvider: _, ...options } = await locator.find(new AbortController().signal);
  return JSON.parse(JSON.stringify(options)) as ConnectionOptions;
}

function keyOf(client: RedisClientSource, key = "news"): string {
  return resolveRedisLogOptions({ client, key }).key;
}

/** @returns The message for a refused client. */
function refusalOf(client: unknown, key?: string): string {
  try {
    resolveRedisLogOptions({ client: client as RedisClient, key });
  } catch (error) {
    if (error instanceof SseError && error.code === "ERR_SSE_INVALID_OPTION") return error.message;
    throw error;
  }
  throw new Error("Nothing was thrown");
}

const URL = "rediss://user:secret@redis.example:6380/2";
const SETTINGS = { username: "user", password: "secret", database: 2 };

describe("The settings of a client", () => {
  it.each([
    ["node-redis 4", () => createClient4({ url: URL, name: "app" })],
    ["node-redis 5", () => createClient5({ url: URL, name: "app" })],
    ["node-redis 6", () => createClient({ url: URL, name: "app" })],
  ])("are read from %s", async (_, make) => {
    const options = await found(make());
    expect(options).toMatchObject({ ...SETTINGS, name: "app" });
    expect(options.socket).toMatchObject({ host: "redis.example", port: 6380, tls: true });
  });

  it.each([
    ["ioredis 6", () => new Redis(URL, { lazyConnect: true, connectionName: "app" })],
    ["ioredis 5", () => new Redis5(URL, { lazyConnect: true, connectionName: "app" })],
    ["iovalkey", () => new Valkey(URL, { lazyConnect: true, connectionName: "app" })],
  ])("are read from %s", async (_, make) => {
    const options = await found(make());
    expect(options).toMatchObject({ ...SETTINGS, name: "app" });
    expect(options.socket).toMatchObject({ host: "redis.example", port: 6380, tls: true });
  });

  it("may be the defaults of the library", async () => {
    expect(await found(createClient())).toEqual({});
    expect((await found(new Redis({ lazyConnect: true }))).socket).toEqual({
      host: "localhost",
      port: 6379,
    });
  });

  it("may be those of a Unix socket, and of TLS with its options", async () => {
    const { socket } = await found(new Redis({ lazyConnect: true, path: "/run/redis.sock" }));
    expect(socket).toEqual({ path: "/run/redis.sock" });
    const tls = new Valkey({
      lazyConnect: true,
      host: "a",
      port: 1,
      family: 6,
      tls: { ca: "pem" },
    });
    expect((await found(tls)).socket).toEqual({
      host: "a",
      port: 1,
      family: 6,
      tls: true,
      ca: "pem",
    });
  });

  it("keep a keep-alive delay of node-redis 4", async () => {
    const { socket } = await found(createClient4({ socket: { keepAlive: 9_000 } }));
    expect(socket).toMatchObject({ keepAlive: true, keepAliveInitialDelay: 9_000 });
  });

  it("put a key prefix in front of the key", () => {
    const lazyConnect = true;
    expect(keyOf(new Redis({ lazyConnect, keyPrefix: "app:" }))).toBe("app:news");
    expect(keyOf(createClient({ keyPrefix: "app:" }))).toBe("app:news");
    const redisOptions = { keyPrefix: "app:" };
    expect(keyOf(new Cluster([1], { lazyConnect, redisOptions }))).toBe("app:news");
    expect(keyOf(createCluster({ rootNodes: [{}], keyPrefix: "app:" }))).toBe("app:news");
    const sentinelRootNodes = [{ host: "a", port: 1 }];
    expect(keyOf(createSentinel({ name: "m", sentinelRootNodes, keyPrefix: "app:" }))).toBe(
      "app:news",
    );
    expect(keyOf(createClient())).toBe("news");
  });

  it("are read anew for every attempt if a function returns the client", async () => {
    const clients = [
      createClient({ url: "redis://a" }),
      new Redis("redis://b", { lazyConnect: true }),
    ];
    const { locator } = resolveRedisLogOptions({
      client: async () => clients.shift() as RedisClient,
    });
    const hosts = [];
    while (clients.length > 0) {
      hosts.push((await locator.find(new AbortController().signal)).socket?.host);
    }
    expect(hosts).toEqual(["a", "b"]);
  });

  it("are read without a connection, and the client is not changed", () => {
    const cluster = createCluster({ rootNodes: [{}] });
    const made = [
      createCluster4({ rootNodes: [{}] }),
      createCluster5({ rootNodes: [{}] }),
      cluster,
      createSentinel({ name: "m", sentinelRootNodes: [{ host: "a", port: 1 }] }),
      createSentinel5({ name: "m", sentinelRootNodes: [{ host: "a", port: 1 }] }),
    ];
    for (const client of made) {
      const prototype: unknown = Object.getPrototypeOf(client);
      resolveRedisLogOptions({ client });
      expect(Object.getPrototypeOf(client)).toBe(prototype);
    }
    // It can still be copied, and the copy is of its class.
    expect(cluster.duplicate().constructor).toBe(cluster.constructor);
    const lazyConnect = true;
    for (const client of [
      new Cluster([1], { lazyConnect }),
      new Cluster5([1], { lazyConnect }),
      new ValkeyCluster([1], { lazyConnect }),
      new Redis({ lazyConnect, sentinels: [{ host: "a", port: 1 }], name: "m" }),
    ]) {
      resolveRedisLogOptions({ client });
      expect(client.status).toBe("wait");
    }
  });
});

describe("A client of node-redis that was given", () => {
  it("cannot end the process by an error without a listener", () => {
    const client = createClient();
    resolveRedisLogOptions({ client });
    resolveRedisLogOptions({ client });
    expect(client.listenerCount("error")).toBe(1);
    expect(client.emit("error", new Error("lost"))).toBe(true);
  });
});

class GlideClient {
  connect(): void {}
}

describe("Any other value instead of a client is refused by name", () => {
  const EXPECTED =
    "Expected `client` to be a client of node-redis 4 to 6, ioredis or iovalkey, or a function that returns one, got ";

  it.each([
    ["null", null, "null"],
    ["an empty object", {}, "an empty object"],
    ["settings", { host: "a", port: 1 }, "a plain object with host, port"],
    ["an array", [], "an array"],
    ["a number", 6_379, "a number"],
    ["true", true, "a boolean"],
    ["an address", "redis://:secret@127.0.0.1", "a string: an address goes into `url`"],
    ["the class", Redis, "the class Redis: pass an instance of it"],
    ["a class of the language", GlideClient, "the class GlideClient: pass an instance of it"],
    ["a promise", Promise.resolve(), "a promise: await it, or pass a function that returns it"],
    ["another library's client", new GlideClient(), "an instance of GlideClient"],
    ["a pool", createClientPool5(), "an instance of "],
    ["a map", new Map(), "an instance of Map"],
    [
      "an object with the methods and nothing else",
      { connect() {}, on() {}, sendCommand() {} },
      "a plain object with connect, on, sendCommand",
    ],
  ])("%s", (_, client, got) => {
    expect(refusalOf(client).slice(0, EXPECTED.length + got.length)).toBe(EXPECTED + got);
    expect(refusalOf(client)).not.toContain("secret");
  });

  it("and so is the result of a function, when it is called", async () => {
    const { locator } = resolveRedisLogOptions({ client: (() => "redis://:secret@a") as never });
    await expect(locator.find(new AbortController().signal)).rejects.toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message:
        "Expected the function `client` to return a client of node-redis 4 to 6, ioredis or iovalkey, got a string: an address goes into `url`",
    });
    const prefixed = resolveRedisLogOptions({
      client: () => new Redis({ lazyConnect: true, keyPrefix: "app:" }),
    });
    await expect(prefixed.locator.find(new AbortController().signal)).rejects.toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
    });
  });

  it("and so is a setting that cannot be reused", () => {
    const lazyConnect = true;
    expect(refusalOf(new Cluster([1], { lazyConnect, useSRVRecords: true }))).toContain(
      "`useSRVRecords`",
    );
    expect(refusalOf({ ...fakeRedis(), options: { Connector: Map } })).toContain("`Connector`");
  });

  it("and so is a key whose braces are not a hash tag, for a cluster", () => {
    for (const cluster of [
      new Cluster([1], { lazyConnect: true }),
      createCluster({ rootNodes: [{}] }),
    ]) {
      expect(refusalOf(cluster, "news{}")).toBe(
        'Expected `key` to have no braces, or a hash tag such as {news} for a cluster, got "news{}"',
      );
      expect(keyOf(cluster, "{news}:log")).toBe("{news}:log");
    }
    expect(keyOf(createClient(), "news{}")).toBe("news{}");
  });
});

/** As a `Redis` with options that its types do not have. */
function fakeRedis(): object {
  const method = (): void => {};
  return {
    connect: method,
    on: method,
    sendCommand: method,
    call: method,
    disconnect: method,
    status: "wait",
  };
}
