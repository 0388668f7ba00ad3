import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { eventually } from "../client.js";
import { until } from "./redis-cluster.js";
import { describeWithRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";
import { LEASE_MS, SLACK_MS, abortOf, expectWhole, useRuns } from "./runs-suite.js";

describeWithRedis("Runs on Redis", () => {
  const { redis, startNode, openRuns, read, follow } = useRuns();

  describe("A producer", () => {
    it("that is killed is lost on every node within its lease, and the key is free", async () => {
      const [producer, other, here] = [await startNode(), await startNode(), await openRuns()];
      expect(await producer.begin({ key: "a", everyMs: 10 })).toEqual({ started: true });
      const got = read(here, "a");
      const client = follow(other, "a");
      await eventually("items", () => got.data.length > 50 && client.events.length > 50);
      await producer.kill();
      const killedAt = Date.now();
      await eventually(
        "both ends",
        () => got.outcome !== undefined && client.lastEventId === "~end",
      );
      expect(Date.now() - killedAt).toBeLessThan(LEASE_MS + SLACK_MS);
      expect(got.outcome).toBe("lost");
      expect(client.events.at(-1)).toMatchObject({ event: "end", data: "lost" });
      expectWhole(got.data);
      expect(client.events.slice(0, -1).map(({ data }) => data)).toEqual(got.data);
      expect(await here.state("a")).toMatchObject({ state: "lost", items: got.data.length });

      // The tape is kept, and another run can begin.
      const late = read(here, "a");
      await eventually("the end again", () => late.outcome !== undefined);
      expect(late.data).toEqual(got.data);
      expect(await other.begin({ key: "a", everyMs: 1, count: 3 })).toEqual({ started: true });
      const second = read(here, "a");
      await eventually("the second end", () => second.outcome !== undefined);
      expect(second.outcome).toBe("done");
      expectWhole(second.data, 3);
    });

    it("that is stopped for longer than its lease is lost, and adds nothing when it wakes up", async () => {
      const [producer, other, here] = [await startNode(), await startNode(), await openRuns()];
      await producer.begin({ key: "a", everyMs: 10 });
      const got = read(here, "a");
      await eventually("items", () => got.data.length > 20);
      producer.pause();
      const pausedAt = Date.now();
      await eventually("the end", () => got.outcome !== undefined);
      expect(got.endedAt - pausedAt).toBeLessThan(LEASE_MS + SLACK_MS);
      expect(got.outcome).toBe("lost");
      expectWhole(got.data);
      expect(await other.begin({ key: "a", everyMs: 10 })).toEqual({ started: true });
      const second = read(here, "a");
      await eventually("items of the next run", () => second.data.length > 5);
      producer.resume();
      expect((await abortOf(producer, "a")).cause).toBe("lost");
      await delay(300);
      expectWhole(second.data);
      expect(second.outcome).toBeUndefined();
      const late = read(here, "a");
      await eventually("items of the next run again", () => late.data.length > 5);
      expectWhole(late.data);
      expect(late.data[0]).toBe(second.data[0]);
    });

    it("that is stopped for less than half of its lease goes on", async () => {
      const server = await redis();
      const [producer, here] = [await startNode(), await openRuns()];
      await producer.begin({ key: "a", everyMs: 10, count: 400 });
      const got = read(here, "a");
      await eventually("items", () => got.data.length > 20);
      for (let round = 0; round < 2; round++) {
        // Just before it would renew its lease.
        await renewal(server, "a");
        await delay(LEASE_MS / 3 - 60);
        producer.pause();
        await delay(LEASE_MS * 0.45);
        producer.resume();
      }
      await eventually("the end", () => got.outcome !== undefined);
      expect(got.outcome).toBe("done");
      expectWhole(got.data, 400);
    });

    it("is one of two that start at the same time on two nodes", async () => {
      const [one, two, here] = [await startNode(), await startNode(), await openRuns()];
      for (let round = 0; round < 20; round++) {
        const key = `a/${round}`;
        const production = { key, everyMs: 1, count: 5 };
        const started = await Promise.all([one.begin(production), two.begin(production)]);
        // The other may come so late that the first run has ended.
        const first = started.filter((each) => each.started === true);
        expect(first.length).toBeGreaterThan(0);
        const got = read(here, key);
        await eventually("the end", () => got.outcome !== undefined);
        expect(got.outcome).toBe("done");
        expectWhole(got.data, 5);
      }
    });

    it("is stopped from another node, also if the notice is lost", async () => {
      const [producer, here] = [await startNode(), await openRuns()];
      await producer.begin({ key: "a", everyMs: 10 });
      await producer.begin({ key: "b", everyMs: 10 });
      const got = read(here, "a");
      await eventually("items", () => got.data.length > 5);
      const stoppedAt = Date.now();
      expect(await here.stop("a")).toBe(true);
      const abort = await abortOf(producer, "a");
      expect(abort.cause).toBe("stopped");
      expect(abort.at - stoppedAt).toBeLessThan(SLACK_MS);
      await eventually("the end", () => got.outcome !== undefined);
      expect(got.outcome).toBe("stopped");
      expectWhole(got.data);

      const server = await redis();
      const node = String(await server.command("HGET", "{tidewire-runs}:run:b", "n"));
      // A wait of the producer's ends within a sixth of its lease. From then on the thief is first.
      const theft = server.command("BZPOPMIN", `{tidewire-runs}:node:${node}`, "5");
      await delay(LEASE_MS / 3);
      expect(await here.stop("b")).toBe(true);
      expect(await theft).toMatchObject({ 1: expect.stringMatching(/^sb\./) });
      expect((await abortOf(producer, "b")).cause).toBe("stopped");
    });
  });

  describe("A follower on another node", () => {
    it("keeps a run going, and abandonMs counts from when the last one leaves", async () => {
      const [producer, other] = [await startNode(), await startNode()];
      const limits = { abandonMs: 1_500 };
      await producer.begin({ key: "a", everyMs: 10, limits });
      await delay(500);
      const client = follow(other, "a");
      await delay(2_000);
      // One that returns in between keeps it going.
      client.cut("rst");
      await delay(500);
      client.connect();
      await delay(2_000);
      expect(await producer.state("a")).toMatchObject({ state: "running" });
      client.cut("rst");
      const leftAt = Date.now();
      const abort = await abortOf(producer, "a");
      expect(abort.cause).toBe("abandoned");
      expect(abort.at - leftAt).toBeGreaterThanOrEqual(1_495);
      expect(abort.at - leftAt).toBeLessThan(1_500 + SLACK_MS);
    });

    it("that leaves during a renewal is not renewed", async () => {
      const server = await redis();
      const [producer, here] = [await startNode(), await openRuns()];
      await producer.begin({ key: "a", everyMs: 10, limits: { abandonMs: 400 } });
      await here.start("own", () => ticks(1_000));
      const reading = here.read("a");
      await reading.next();
      await renewal(server, "own");
      await delay(LEASE_MS / 3 - 60);
      server.pause();
      // The renewal of the node's own run is under way.
      await delay(300);
      await reading.return?.();
      server.resume();
      const leftAt = Date.now();
      const abort = await abortOf(producer, "a");
      expect(abort.cause).toBe("abandoned");
      expect(abort.at - leftAt).toBeLessThan(400 + SLACK_MS);
    });

    it("counts until the lease of its node is over if that node is killed", async () => {
      const [producer, other] = [await startNode(), await startNode()];
      await producer.begin({ key: "a", everyMs: 10, limits: { abandonMs: 200 } });
      const client = follow(other, "a");
      await eventually("items", () => client.events.length > 5);
      await other.kill();
      const killedAt = Date.now();
      const abort = await abortOf(producer, "a");
      expect(abort.cause).toBe("abandoned");
      expect(abort.at - killedAt).toBeGreaterThan(200);
      expect(abort.at - killedAt).toBeLessThan(LEASE_MS + 200 + SLACK_MS);
    });

    it("is read once for all followers of that node, and not at all without one", async () => {
      const server = await redis();
      const [producer, here] = [await startNode(), await openRuns()];
      await producer.begin({ key: "a", everyMs: 1, count: 300, bytes: 2_000 });
      await producer.begin({ key: "b", everyMs: 1, count: 300, bytes: 2_000 });
      const before = await sentBytes(server);
      const all = Array.from({ length: 50 }, () => read(here, "a"));
      await eventually("all ends", () => all.every(({ outcome }) => outcome === "done"));
      const sent = (await sentBytes(server)) - before;
      expect(all.map(({ data }) => data.length)).toEqual(all.map(() => 300));
      expect(sent).toBeGreaterThan(600_000);
      expect(sent).toBeLessThan(900_000);
    });

    it("misses nothing while its node is stopped for longer than a lease", async () => {
      const [producer, other] = [await startNode(), await startNode()];
      await producer.begin({ key: "a", everyMs: 10, count: 500 });
      const client = follow(other, "a");
      await eventually("items", () => client.events.length > 20);
      other.pause();
      await delay(LEASE_MS * 1.5);
      other.resume();
      await eventually("the end", () => client.lastEventId === "~end");
      const data = client.events.map((event) => event.data);
      expect(data.pop()).toBe("done");
      expectWhole(data, 500);
    });

    it("that has the whole tape but not the end gets the end, also if nothing is kept", async () => {
      const here = await openRuns();
      await here.start("a", () => ticks(20), { keepMs: 0 });
      const got = read(here, "a");
      await eventually("the end", () => got.outcome !== undefined);
      expect(got.outcome).toBe("done");
      expect(got.data).toHaveLength(20);
      expect(await here.state("a")).toBeUndefined();
      expect(await here.list()).toEqual([]);
    });

    it("reads a large tape in pages, and other runs meanwhile", async () => {
      const [producer, here] = [await startNode(), await openRuns()];
      await producer.begin({ key: "large", everyMs: 0, count: 200, bytes: 20_000 });
      await until("the large run", async () => (await here.state("large"))?.state === "done");
      await producer.begin({ key: "small", everyMs: 5, count: 50 });
      const small = read(here, "small");
      const large = read(here, "large");
      await eventually(
        "both ends",
        () => small.outcome !== undefined && large.outcome !== undefined,
      );
      expect(large.data.map((data) => data.length)).toHaveLength(200);
      expectWhole(small.data, 50);
    });
  });
});

async function* ticks(count: number): AsyncGenerator<{ data: string }> {
  for (let number = 1; number <= count; number++) {
    yield { data: String(number) };
    await delay(10);
  }
}

/** Waits until the producer of a run renews its lease. */
async function renewal(server: RedisServer, key: string): Promise<void> {
  const lease = (): Promise<unknown> => server.command("HGET", `{tidewire-runs}:run:${key}`, "l");
  const before = await lease();
  await until("a renewal", async () => (await lease()) !== before);
}

/** Bytes that a server has sent. */
async function sentBytes(server: RedisServer): Promise<number> {
  const stats = String(await server.command("INFO", "stats"));
  return Number(/total_net_output_bytes:(\d+)/.exec(stats)?.[1]);
}
