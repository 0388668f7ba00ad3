import { setTimeout as delay } from "node:timers/promises";
import { redisTapes } from "@tidewire/redis";
import { createRuns } from "@tidewire/runs";
import type { Runs } from "@tidewire/runs";
import { afterEach, expect, it } from "vitest";
import { eventually, within } from "../client.js";
import { makeClient } from "./clients.mjs";
import type { Place } from "./clients.mjs";
import { RedisCluster, until } from "./redis-cluster.js";
import { RedisSentinel } from "./redis-sentinel.js";
import { describeWithRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";

const RUNS = 10;
const PREFIX = "failover";

/** A master that fails. */
interface Failover {
  readonly library: string;
  readonly place: Place;
  readonly master: RedisServer;
}

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A run that ends once a signal aborts: it yields 1, 2, 3 … */
async function* numbers(over: AbortSignal): AsyncGenerator<string> {
  for (let number = 1; !over.aborted; number++) {
    yield String(number);
    await delay(10);
  }
}

/**
 * Follows runs on one node that another one produces, while a master fails. Each follower gets every item once and in
 * order, up to the end of the run or to `lost`.
 *
 * @param fail - Returns after the new master has been there for a while.
 */
async function expectFailover(
  { library, place }: Failover,
  fail: () => Promise<void> | void,
): Promise<void> {
  const open = (): Runs => {
    const client = makeClient(library, place);
    const tapes = redisTapes({ client, prefix: PREFIX, onError: () => {} });
    const runs = createRuns({ tapes, onError: () => {} });
    closers.push(() => within("the runs to close", runs.close()));
    return runs;
  };
  const [producing, following] = [open(), open()];
  const over = new AbortController();
  const all = Array.from({ length: RUNS }, (_, index) => ({
    key: `run-${index}`,
    got: [] as string[],
    outcome: undefined as string | undefined,
  }));
  for (const one of all) await producing.start(one.key, () => numbers(over.signal));
  const reading = all.map(async (one) => {
    for await (const event of following.read(one.key)) {
      if (event.type === "item") one.got.push(event.data);
      else one.outcome = event.outcome;
    }
  });
  await eventually("items", () => all.every(({ got }) => got.length > 50));
  const failedAt = performance.now();
  await fail();
  const before = all.map(({ got }) => got.length);
  await eventually(
    () =>
      `more items or ends: ${JSON.stringify(all.map(({ got, outcome }) => [got.length, outcome]))}`,
    () =>
      all.every(
        ({ got, outcome }, index) =>
          outcome !== undefined || got.length > (before[index] ?? 0) + 50,
      ),
    25_000,
  );
  const tookMs = performance.now() - failedAt;
  over.abort();
  await within("the ends", Promise.all(reading));
  for (const { got } of all) expect(got).toEqual(got.map((_, index) => String(index + 1)));
  const outcomes = all.map(({ outcome }) => outcome);
  console.log(`${library}: ${Math.round(tookMs)} ms, ${outcomes.join(" ")}`);
  for (const outcome of outcomes) expect(["done", "lost"]).toContain(outcome);
  // The key of a run that was lost is free. The connection for calls may still be between two attempts.
  const answers = (): Promise<boolean> =>
    following.state("run-0").then(
      () => true,
      () => false,
    );
  await until("an answer", answers);
  await expect(following.start("run-0", () => ["again"])).resolves.toEqual({ started: true });
}

describeWithRedis("Runs while another Redis server becomes the master", () => {
  it.each(["ioredis 6", "node-redis 6"])(
    "go on in a cluster whose master dies, or are lost once: %s",
    async (library) => {
      const cluster = await RedisCluster.start(PREFIX);
      closers.push(() => cluster.stop());
      const { place, holder: master } = cluster;
      await expectFailover({ library, place, master }, () => master.kill());
    },
    60_000,
  );

  it("go on in a cluster whose master hangs and wakes up later, or are lost once", async () => {
    const cluster = await RedisCluster.start(PREFIX);
    closers.push(() => cluster.stop());
    const { place, holder: master } = cluster;
    closers.push(() => master.resume());
    await expectFailover({ library: "ioredis 6", place, master }, async () => {
      master.pause();
      await delay(8_000);
      master.resume();
    });
  }, 60_000);

  it("go on under Sentinel when the master dies, or are lost once", async () => {
    const sentinel = await RedisSentinel.start();
    closers.push(() => sentinel.stop());
    const { place, master } = sentinel;
    await expectFailover({ library: "ioredis 6", place, master }, () => master.kill());
  }, 60_000);
});
