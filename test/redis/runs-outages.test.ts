import { setTimeout as delay } from "node:timers/promises";
import { redisTapes } from "@tidewire/redis";
import { createRuns } from "@tidewire/runs";
import { describe, expect, it } from "vitest";
import { eventually, within } from "../client.js";
import { Faucet } from "../runs/faucet.js";
import { RedisProxy } from "./proxy.js";
import { until } from "./redis-cluster.js";
import { describeWithRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";
import { LEASE_MS, SLACK_MS, abortOf, expectWhole, useRuns } from "./runs-suite.js";

describeWithRedis("Runs on a Redis that fails", () => {
  const { redis, startNode, openRuns, read, follow, cleanUp } = useRuns();

  describe("An outage of Redis", () => {
    it("shorter than a quarter of the lease delays a run, and nothing is missed", async () => {
      const server = await redis();
      const [producer, here] = [await startNode(), await openRuns()];
      await producer.begin({ key: "a", everyMs: 5, count: 400 });
      const got = read(here, "a");
      await eventually("items", () => got.data.length > 20);
      server.pause();
      await delay(LEASE_MS / 5);
      server.resume();
      await eventually("the end", () => got.outcome !== undefined);
      expect(got.outcome).toBe("done");
      expectWhole(got.data, 400);
    });

    it("longer than the lease loses a run on every node within the lease, after its producer has given up", async () => {
      const server = await redis();
      // The producer has given up a good while before, even on a busy machine.
      const leaseMs = 2 * LEASE_MS;
      const [producer, other] = [await startNode({ leaseMs }), await startNode({ leaseMs })];
      const here = await openRuns({ leaseMs });
      await producer.begin({ key: "a", everyMs: 10 });
      const got = read(here, "a");
      const client = follow(other, "a");
      await eventually("items", () => got.data.length > 20 && client.events.length > 20);
      server.pause();
      cleanUp(() => server.resume());
      const pausedAt = Date.now();
      await eventually(
        "both ends",
        () => got.outcome !== undefined && client.lastEventId === "~end",
      );
      expect(Date.now() - pausedAt).toBeLessThan(leaseMs + SLACK_MS);
      expect(got.outcome).toBe("lost");
      expectWhole(got.data);
      const abort = await abortOf(producer, "a");
      expect(abort.cause).toBe("lost");
      expect(abort.at).toBeLessThan(got.endedAt);
      await delay(500);
      server.resume();
      await until("Redis to answer", () =>
        here.state("a").then(
          () => true,
          () => false,
        ),
      );
      const late = read(here, "a");
      await eventually("the end of the tape", () => late.outcome !== undefined);
      expect(late.outcome).toBe("lost");
      expectWhole(late.data);
      expect(late.data.length).toBeGreaterThanOrEqual(got.data.length);
      expect(await other.begin({ key: "a", everyMs: 1, count: 1 })).toEqual({ started: true });
    });

    it("delays a run whose items were taken without a reply, also if another one grows meanwhile", async () => {
      const server = await redis();
      const onError = (): void => {};
      const tapes = redisTapes({ url: server.url, leaseMs: 6_000, commandTimeoutMs: 300, onError });
      const runs = createRuns({ tapes, onError });
      cleanUp(() => within("runs to close", runs.close()));
      const [grows, waits] = [new Faucet().give("1"), new Faucet().give("1")];
      await runs.start("a", () => grows);
      await runs.start("b", () => waits);
      const got = read(runs, "b");
      await until("the first items", async () => (await runs.state("a"))?.items === 1);
      await eventually("the first item", () => got.data.length === 1);
      server.pause();
      cleanUp(() => server.resume());
      // One command with these is on its way when Redis hangs, and carried out when it wakes up.
      grows.give("2");
      const data = Array.from({ length: 300 }, (_, index) => `${index + 2}${"x".repeat(100)}`);
      waits.give(...data);
      await delay(100);
      // The next command has less room for the other run.
      grows.give("x".repeat(1_040_000));
      await delay(700);
      server.resume();
      await eventually("the items", () => got.data.length === 301 || got.outcome !== undefined);
      waits.end();
      await eventually("the end", () => got.outcome !== undefined);
      expect(got.outcome).toBe("done");
      expect(got.data).toEqual(["1", ...data]);
      expect(await runs.state("a")).toMatchObject({ state: "running", items: 3 });
    });

    it("in which it restarts with its file delays a run, and nothing is missed", async () => {
      const server = await redis();
      // A lease that a busy machine keeps: the run must not be lost for another reason.
      const lease = { leaseMs: 15_000 };
      const [producer, here] = [await startNode(lease), await openRuns(lease)];
      await producer.begin({ key: "a", everyMs: 5, count: 400 });
      const got = read(here, "a");
      await eventually("items", () => got.data.length > 20);
      await server.kill();
      await server.run();
      await eventually("the end", () => got.outcome !== undefined);
      expect(got.outcome).toBe("done");
      expectWhole(got.data, 400);
    });

    it("that cuts all connections again and again delays a run, and nothing is missed", async () => {
      const server = await redis();
      // A lease that a busy machine keeps: the run must not be lost for another reason.
      const lease = { leaseMs: 15_000 };
      const [producer, here] = [await startNode(lease), await openRuns(lease)];
      await producer.begin({ key: "a", everyMs: 2, count: 1_500 });
      const got = read(here, "a");
      while (got.outcome === undefined) {
        await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await delay(100);
      }
      expect(got.outcome).toBe("done");
      expectWhole(got.data, 1_500);
    });

    it("of one node alone gives its followers `lost`, and the run goes on for all others", async () => {
      const proxy = await RedisProxy.start((await redis()).port);
      cleanUp(() => proxy.close());
      const [producer, here] = [await startNode(), await openRuns()];
      const cutOff = await openRuns({ url: proxy.url });
      await producer.begin({ key: "a", everyMs: 10 });
      const [got, lost] = [read(here, "a"), read(cutOff, "a")];
      await eventually("items", () => got.data.length > 20 && lost.data.length > 20);
      proxy.freeze(false);
      const cutAt = Date.now();
      await eventually("the end", () => lost.outcome !== undefined);
      expect(lost.outcome).toBe("lost");
      expect(lost.endedAt - cutAt).toBeGreaterThan(LEASE_MS / 2);
      expect(lost.endedAt - cutAt).toBeLessThan(LEASE_MS + SLACK_MS);
      expectWhole(lost.data);
      expect(got.outcome).toBeUndefined();
      proxy.takeNew();
      await until("an answer", () =>
        cutOff.state("a").then(
          () => true,
          () => false,
        ),
      );
      const again = read(cutOff, "a");
      await eventually("more items", () => again.data.length > lost.data.length + 20);
      expectWhole(again.data);
      expect([got.outcome, again.outcome]).toEqual([undefined, undefined]);
    });

    it("makes calls fail in bounded time, and the runs close", async () => {
      const server = await redis();
      const here = await openRuns();
      expect(await here.state("a")).toBeUndefined();
      server.pause();
      cleanUp(() => server.resume());
      const startedAt = Date.now();
      const results = await Promise.allSettled([
        here.start("a", () => []),
        here.stop("a"),
        here.state("a"),
        here.list(),
        here.read("a").next(),
      ]);
      expect(Date.now() - startedAt).toBeLessThan(LEASE_MS + SLACK_MS);
      for (const result of results) {
        expect(result).toMatchObject({
          status: "rejected",
          reason: { code: "ERR_SSE_TAPES_UNAVAILABLE", statusCode: 503 },
        });
      }
      await within("the runs to close", here.close());
      expect(Date.now() - startedAt).toBeLessThan(2 * LEASE_MS + SLACK_MS);
    });

    it("lets runs close in a few seconds, however long their lease is", async () => {
      const server = await redis();
      const onError = (): void => {};
      const tapes = redisTapes({ url: server.url, leaseMs: 60_000, onError });
      const runs = createRuns({ tapes, onError });
      const faucet = new Faucet().give("1");
      await runs.start("a", () => faucet);
      const got = read(runs, "a");
      await eventually("an item", () => got.data.length === 1);
      await server.kill();
      faucet.give("2");
      await delay(100);
      await within("the runs to close", runs.close(), 5_000);
      expect(faucet.isLeft).toBe(true);
    });
  });

  describe("A loss of data", () => {
    it("by FLUSHALL loses a run on every node, and the key is free at once", async () => {
      const server = await redis();
      const [producer, other, here] = [await startNode(), await startNode(), await openRuns()];
      await producer.begin({ key: "a", everyMs: 10 });
      await producer.begin({ key: "quiet", everyMs: 60_000 });
      const [got, quiet] = [read(here, "a"), read(here, "quiet")];
      await eventually("items", () => got.data.length > 20 && quiet.data.length === 1);
      await server.command("FLUSHALL");
      const flushedAt = Date.now();
      expect(await other.begin({ key: "a", everyMs: 1, count: 3 })).toEqual({ started: true });
      await eventually("both ends", () => got.outcome !== undefined && quiet.outcome !== undefined);
      expect(Date.now() - flushedAt).toBeLessThan(LEASE_MS + SLACK_MS);
      expect([got.outcome, quiet.outcome]).toEqual(["lost", "lost"]);
      expectWhole(got.data);
      expect((await abortOf(producer, "a")).cause).toBe("lost");
      expect((await abortOf(producer, "quiet")).cause).toBe("lost");
      const second = read(here, "a");
      await eventually("the next run", () => second.outcome !== undefined);
      expect(second.outcome).toBe("done");
      expectWhole(second.data, 3);
    });

    it("of items that were taken loses the run: no follower gets other items in their place", async () => {
      const server = await redis();
      const [producer, here] = [await startNode(), await openRuns()];
      await producer.begin({ key: "a", everyMs: 50 });
      const got = read(here, "a");
      await eventually("items", () => got.data.length > 5);
      const [tape] = (await server.command("KEYS", "{tidewire-runs}:tape:*")) as string[];
      await server.command("RPOP", tape!, "3");
      await eventually("the end", () => got.outcome !== undefined);
      expect(got.outcome).toBe("lost");
      expectWhole(got.data);
      expect((await abortOf(producer, "a")).cause).toBe("lost");
      expect(await here.state("a")).toMatchObject({ state: "lost" });
    });
  });

  describe("The store", () => {
    it("refuses more runs than `maxRuns` in all processes, until one has ended", async () => {
      const [one, two] = [await startNode({ maxRuns: 3 }), await startNode({ maxRuns: 3 })];
      await one.begin({ key: "a", everyMs: 10 });
      await one.begin({ key: "b", everyMs: 10 });
      await two.begin({ key: "c", everyMs: 10 });
      expect(await two.begin({ key: "d", everyMs: 10 })).toEqual({ code: "ERR_SSE_RUNS_FULL" });
      expect(await one.begin({ key: "c", everyMs: 10 })).toEqual({ started: false });
      await two.stop("a");
      expect(await two.begin({ key: "d", everyMs: 10 })).toEqual({ started: true });
      expect(await two.begin({ key: "a", everyMs: 10 })).toEqual({ code: "ERR_SSE_RUNS_FULL" });
      await one.kill();
      await delay(LEASE_MS + 100);
      expect(await two.begin({ key: "a", everyMs: 10 })).toEqual({ started: true });
    });

    it("gives every key a time to live, and leaves none behind", async () => {
      const server = await redis();
      const [producer, here] = [await startNode(), await openRuns()];
      const limits = { keepMs: 500 };
      for (const key of ["a", "b", "c"]) await producer.begin({ key, everyMs: 5, limits });
      const all = ["a", "b", "c"].map((key) => read(here, key));
      await eventually("items", () => all.every(({ data }) => data.length > 10));
      await here.stop("a");
      const keys = (await server.command("KEYS", "*")) as string[];
      expect(keys.length).toBeGreaterThanOrEqual(8);
      for (const key of keys) {
        const ms = Number(await server.command("PTTL", key));
        // A mailbox may have been emptied in between.
        expect([key, ms !== -1]).toEqual([key, true]);
      }
      await producer.kill();
      await eventually("all ends", () => all.every(({ outcome }) => outcome !== undefined));
      await here.close();
      await until("no keys", async () => {
        return ((await server.command("KEYS", "*")) as string[]).length === 0;
      });
    });

    it("leaves no key of its process, no connection and no timer when it closes", async () => {
      const server = await redis();
      const [node, here] = [await startNode(), await openRuns()];
      const idle = (await node.report()).resources;
      await node.begin({ key: "a", everyMs: 5 });
      await here.start("b", () => endless());
      const [a, b] = [read(here, "a"), read(here, "b")];
      const client = follow(node, "b");
      await eventually(
        "items",
        () => a.data.length > 5 && b.data.length > 5 && client.events.length > 5,
      );
      await node.closeRuns();
      await eventually("the end", () => a.outcome !== undefined);
      expect(a.outcome).toBe("lost");
      client.cut("rst");
      await until("nothing to be left", async () => {
        const { resources } = await node.report();
        return JSON.stringify(resources.toSorted()) === JSON.stringify(idle.toSorted());
      });
      await here.close();
      const clients = String(await server.command("CLIENT", "LIST"))
        .trim()
        .split("\n");
      expect(clients).toHaveLength(1);
      const keys = (await server.command("KEYS", "*")) as string[];
      expect(keys.filter((key) => key.includes(":node:"))).toEqual([]);
      expect(await server.command("EXISTS", "{tidewire-runs}:going")).toBe(0);
    });

    it("writes what all runs of a turn append in one command", async () => {
      const server = await redis();
      // Not one that a busy machine is too slow for.
      const here = await openRuns({ leaseMs: 15_000 });
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => here.start(`a/${index}`, () => ticks(20))),
      );
      const before = await calls(server, "eval");
      await until("all runs to end", async () => {
        const states = await here.list();
        return states.length === 50 && states.every(({ state }) => state === "done");
      });
      // 1 000 items, and 50 ends.
      expect((await calls(server, "eval")) - before).toBeLessThan(200);
    });

    it("leaves no run behind that begins while it closes", async () => {
      const server = await redis();
      const [closing, here] = [await openRuns(), await openRuns()];
      await Promise.all([closing.list(), here.list()]);
      server.pause();
      const begun = closing.start("a", () => []);
      await delay(20);
      const closed = closing.close();
      await delay(50);
      server.resume();
      await within("the runs to close", closed);
      await expect(begun).rejects.toMatchObject({ code: "ERR_SSE_CLOSED" });
      expect(await here.start("a", () => [])).toEqual({ started: true });
    });

    it("loses its runs while Redis refuses writes, and begins none", async () => {
      const server = await redis();
      const [producer, here] = [await startNode(), await openRuns()];
      await producer.begin({ key: "a", everyMs: 10 });
      const got = read(here, "a");
      await eventually("items", () => got.data.length > 5);
      await server.command("CONFIG", "SET", "maxmemory", "1");
      const refusedAt = Date.now();
      expect(await producer.begin({ key: "b", everyMs: 1 })).toEqual({
        code: "ERR_SSE_TAPES_UNAVAILABLE",
      });
      expect((await abortOf(producer, "a")).cause).toBe("lost");
      await eventually("the end", () => got.outcome !== undefined);
      expect(got.endedAt - refusedAt).toBeLessThan(LEASE_MS + SLACK_MS);
      expect(got.outcome).toBe("lost");
      expectWhole(got.data);
      expect(await here.state("a")).toMatchObject({ state: "lost", items: got.data.length });
    });

    it("is not stormed with connections by followers while Redis refuses what they wait with", async () => {
      const server = await redis();
      const [producer, here] = [await startNode({ leaseMs: 9_000 }), [] as unknown[]];
      const onError = (error: unknown): void => void here.push(error);
      const tapes = redisTapes({ url: server.url, leaseMs: 9_000, onError });
      const runs = createRuns({ tapes, onError });
      cleanUp(() => within("runs to close", runs.close()));
      await producer.begin({ key: "a", everyMs: 10 });
      const got = read(runs, "a");
      await eventually("items", () => got.data.length > 5);
      // As while a disk is full: `stop-writes-on-bgsave-error`.
      await server.command("CONFIG", "SET", "min-replicas-to-write", "1");
      const before = await connections(server);
      await delay(3_000);
      expect((await connections(server)) - before).toBeLessThan(25);
      // One for each of its two connections.
      expect(here.length).toBeLessThanOrEqual(2);
      await server.command("CONFIG", "SET", "min-replicas-to-write", "0");
      const had = got.data.length;
      await eventually("items again", () => got.data.length > had + 50);
      expectWhole(got.data);
    });

    it("begins no run if Redis does not say whether one is going on", async () => {
      const server = await redis();
      await server.command("ACL", "SETUSER", "blind", "on", ">p", "~*", "+@all", "-hgetall");
      const runs = await openRuns({ url: server.url.replace("//", "//blind:p@") });
      const code = "ERR_SSE_TAPES_UNAVAILABLE";
      await expect(runs.start("a", () => endless())).rejects.toMatchObject({ code });
      await expect(runs.state("a")).rejects.toMatchObject({ code });
    });

    it("sends a run that has ended to its followers while Redis refuses writes", async () => {
      const server = await redis();
      const [producer, here] = [await startNode(), await openRuns()];
      await producer.begin({ key: "a", everyMs: 1, count: 3 });
      await producer.begin({ key: "b", everyMs: 10 });
      await until("the end", async () => (await here.state("a"))?.state === "done");
      // This node is connected, and waits for notices that Redis does not take any more.
      const other = read(here, "b");
      await eventually("items", () => other.data.length > 0);
      await server.command("CONFIG", "SET", "maxmemory", "1");
      const got = read(here, "a");
      await eventually("the end", () => got.outcome !== undefined);
      expect(got.outcome).toBe("done");
      expectWhole(got.data, 3);
    });
  });
});

async function* endless(): AsyncGenerator<{ data: string }> {
  for (let number = 1; ; number++) {
    yield { data: String(number) };
    await delay(5);
  }
}

async function* ticks(count: number): AsyncGenerator<{ data: string }> {
  for (let number = 1; number <= count; number++) {
    yield { data: String(number) };
    await delay(10);
  }
}

/** Connections that a server has accepted. */
async function connections(server: RedisServer): Promise<number> {
  const stats = String(await server.command("INFO", "stats"));
  return Number(/total_connections_received:(\d+)/.exec(stats)?.[1]);
}

/** Calls of a command that a server has had. */
async function calls(server: RedisServer, command: string): Promise<number> {
  const stats = String(await server.command("INFO", "commandstats"));
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}
