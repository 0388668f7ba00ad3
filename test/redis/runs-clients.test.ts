import { setTimeout as delay } from "node:timers/promises";
import { redisTapes } from "@tidewire/redis";
import type { RedisClient, RedisTapesOptions } from "@tidewire/redis";
import { createRuns } from "@tidewire/runs";
import type { Tapes } from "@tidewire/runs";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, within } from "../client.js";
import { begin, endOf, items, itemsOf, openTape, tapesContract } from "../contracts/tapes.js";
import { readText } from "../architecture/sources.js";
import { LIBRARIES, LIBRARIES_WITH_SENTINEL, makeClient } from "./clients.mjs";
import type { Place } from "./clients.mjs";
import { useRedisCluster } from "./redis-cluster.js";
import { useRedisSentinel } from "./redis-sentinel.js";
import { describeWithRedis, useRedis } from "./redis-server.js";

/** Each of them has several slots in the cluster, so that its masters have some. */
const SHARDS = 3;

const closers: (() => unknown)[] = [];
let stores = 0;

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function open(options: RedisTapesOptions): Tapes {
  const tapes = redisTapes(options);
  closers.push(() => within("the tapes to close", tapes.close()));
  return tapes;
}

/** A run is produced, followed, listed and stopped by two processes that share a store. */
async function expectToWork(library: string, place: Place, shards = 1): Promise<void> {
  const prefix = `clients-${++stores}`;
  const make = (): Tapes => {
    const client = makeClient(library, place);
    // A Sentinel client of version 5 is used, and stays open.
    if ("sentinels" in place && library === "node-redis 5") {
      closers.push(() => (client as RedisClient & { destroy(): Promise<void> }).destroy());
    }
    return open({ client, prefix, shards });
  };
  const [one, two] = [make(), make()];
  for (const key of ["a", "b", "c", "d"]) {
    const { writer, cancels } = await begin(one, key);
    await writer.append(items(3));
    const reader = await openTape(two, key);
    expect(await itemsOf(reader, 3)).toMatchObject(items(3));
    expect(await two.stop(key)).toBe(true);
    expect(await endOf(reader)).toEqual({ outcome: "stopped" });
    await eventually("the producer to be told", () => cancels.length > 0);
    reader.close();
  }
  expect(await two.list({ prefix: "", limit: 10 })).toHaveLength(4);
}

describeWithRedis("Runs with a client instead of an address", () => {
  const redis = useRedis("suite");
  const sentinel = useRedisSentinel();
  const cluster = useRedisCluster("{failover.0}");

  it.each(LIBRARIES)("are on its server: %s", async (library) => {
    await expectToWork(library, await redis());
  });

  it.each(LIBRARIES_WITH_SENTINEL)("are on the master that Sentinel names: %s", async (library) => {
    await expectToWork(library, (await sentinel()).place);
  });

  it.each(LIBRARIES)("are spread over a cluster: %s", async (library) => {
    await expectToWork(library, (await cluster()).place, SHARDS);
  });

  it("need no more permissions than docs/reference/redis.md lists", async () => {
    const server = await redis();
    const page = readText("docs/reference/redis.md");
    const list = /on `\{<prefix>\}:\*`:\n\n```text\n([^`]+)```/.exec(page)?.[1] ?? "";
    const commands = list.trim().split(/\s+/);
    expect(commands.length).toBeGreaterThan(20);
    const rules = ["~{permitted}:*", ...commands.map((name) => `+${name.toLowerCase()}`)];
    await server.command("ACL", "SETUSER", "runs", "reset", "on", ">secret", ...rules);
    const url = server.url.replace("//", "//runs:secret@");
    const errors: unknown[] = [];
    const onError = (error: unknown): void => void errors.push(error);
    const make = (): Tapes => open({ url, prefix: "permitted", leaseMs: 1_000, onError });
    const [one, two] = [make(), make()];
    for (const end of [{ outcome: "done" }, { outcome: "failed", error: "no" }] as const) {
      const { writer } = await begin(one, "a");
      const reader = await openTape(two, "a");
      await writer.append(items(3));
      // Both leases are renewed.
      await delay(1_500);
      expect(await itemsOf(reader, 3)).toMatchObject(items(3));
      expect(await two.state("a")).toMatchObject({ state: "running" });
      reader.close();
      expect(await writer.unfollowedMs()).toBeLessThan(1_000);
      await writer.end(end);
    }
    await begin(one, "b");
    expect(await two.stop("b")).toBe(true);
    expect(await two.list({ prefix: "", limit: 10 })).toHaveLength(2);
    expect(errors).toEqual([]);
  });

  tapesContract({
    name: "redisTapes() on a cluster",
    presenceMs: 50,
    async open() {
      const { place } = await cluster();
      const prefix = `contract-${++stores}`;
      const make = (): Tapes =>
        redisTapes({ client: makeClient("ioredis 6", place), prefix, shards: SHARDS });
      return { tapes: make(), other: make };
    },
  });

  describe("whose slot moves to a replica on command", () => {
    it("go on there, and nothing is missed", async () => {
      const redisCluster = await cluster();
      const make = (): Tapes =>
        redisTapes({
          client: makeClient("node-redis 6", redisCluster.place),
          prefix: "failover.0",
        });
      const [producing, following] = [make(), make()].map((tapes) => createRuns({ tapes }));
      closers.push(() => Promise.all([producing?.close(), following?.close()]));
      const over = new AbortController();
      await producing?.start("a", async function* source() {
        for (let number = 1; !over.signal.aborted; number++) {
          yield String(number);
          await new Promise((resolve) => {
            setTimeout(resolve, 5);
          });
        }
      });
      const got: string[] = [];
      const reading = (async () => {
        for await (const event of following?.read("a") ?? []) {
          got.push(event.type === "item" ? event.data : event.outcome);
        }
      })();
      await eventually("items", () => got.length > 50);
      await redisCluster.swap();
      const before = got.length;
      await eventually("items from the new master", () => got.length > before + 200);
      over.abort();
      await within("the end", reading);
      expect(got.pop()).toBe("done");
      expect(got).toEqual(got.map((_, index) => String(index + 1)));
    });
  });
});
