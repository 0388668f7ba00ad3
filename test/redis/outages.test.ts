import { setTimeout } from "node:timers/promises";
import { expect, it } from "vitest";
import { eventually } from "../client.js";
import { useCluster } from "./cluster.js";
import type { ClusterNode, NodeStats, Outcome } from "./node.js";
import { mostWithin } from "./proxy.js";
import type { RedisProxy } from "./proxy.js";
import { describeWithRedis, useRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";
import { CHANNEL, verify } from "./witness.js";
import type { Tally, Witness } from "./witness.js";

const OUTAGE_MS = 10_000;
const PER_SECOND = 100;

/** Two nodes that publish, with a witness each. Connections of the first node are counted. */
interface Pair {
  readonly server: RedisServer;
  readonly proxy: RedisProxy;
  readonly nodes: readonly [ClusterNode, ClusterNode];
  readonly witnesses: readonly [Witness, Witness];
}

/** Number of publishers and their rate. */
interface Rate {
  readonly nodes?: readonly ClusterNode[];
  readonly perSecond?: number;
}

/** All events published in a test, by either node. */
class Loads {
  readonly #nodes: readonly ClusterNode[];
  readonly #outcomes: Outcome[][];
  #number = 0;

  constructor(nodes: readonly ClusterNode[]) {
    this.#nodes = nodes;
    this.#outcomes = nodes.map(() => []);
  }

  get outcomes(): readonly (readonly Outcome[])[] {
    return this.#outcomes;
  }

  /** Each of these nodes publishes at a steady rate. @returns The outcomes, once all have settled. */
  async run(
    count: number,
    { nodes = this.#nodes, perSecond = PER_SECOND }: Rate = {},
  ): Promise<Outcome[]> {
    const from = this.#number;
    this.#number += count;
    const load = { channels: [CHANNEL], from, count, perSecond };
    const settled = await Promise.all(
      nodes.map(async (node) => {
        const index = this.#nodes.indexOf(node);
        const outcomes = await node.publish({ ...load, prefix: `${index}:` });
        this.#outcomes[index]?.push(...outcomes);
        return outcomes;
      }),
    );
    return settled.flat();
  }

  /** Publishes until it works again, because the publishing connection has its own pauses. */
  async untilPublished(): Promise<void> {
    const end = performance.now() + 10_000;
    for (;;) {
      const outcomes = await this.run(1);
      if (outcomes.every(({ id }) => id !== undefined)) return;
      if (performance.now() > end) throw new Error("Waited 10 s until publishing works again");
      await setTimeout(50);
    }
  }
}

const isDown = ({ log }: NodeStats): boolean => log.state === "down";
const isLive = ({ log }: NodeStats): boolean => log.state === "live";

/** An outage is reported once, with its end, however many attempts to connect were made. */
async function expectOutages(nodes: readonly ClusterNode[], count: number): Promise<void> {
  for (const node of nodes) {
    const { log, errors, health } = await node.stats();
    expect(log).toMatchObject({ state: "live", reconnects: count });
    expect(log.lagMs).toBe(0);
    expect(errors).toHaveLength(count);
    expect(errors.every((error) => error.startsWith("log: "))).toBe(true);
    expect(health).toEqual([
      "live",
      ...Array.from({ length: count }, () => ["down", "live"]).flat(),
    ]);
  }
}

async function sumUp(
  what: string,
  { server, witnesses }: { server: RedisServer; witnesses: readonly Witness[] },
  loads: Loads,
): Promise<Tally> {
  const tally = await verify(server, loads.outcomes, witnesses);
  console.log(
    `${what}: ${tally.published} published, ${tally.rejected} rejected, ${tally.unknown} unknown ` +
      `of which ${tally.unknownButThere} are there; each settled within ${tally.slowestMs} ms`,
  );
  return tally;
}

describeWithRedis("When Redis goes away", () => {
  const redis = useRedis("test");
  const cluster = useCluster();

  async function startPair(server: RedisServer, publishTimeoutMs?: number): Promise<Pair> {
    const proxy = await cluster.proxy(server);
    const nodes = await Promise.all([
      cluster.node({ url: proxy.url, publishTimeoutMs }),
      cluster.node({ url: server.url, publishTimeoutMs }),
    ]);
    const witnesses = await Promise.all([cluster.witness(nodes[0]), cluster.witness(nodes[1])]);
    return { server, proxy, nodes, witnesses };
  }

  it("keeps streams open and loses nothing while Redis hangs for ten seconds", async () => {
    const pair = await startPair(await redis());
    const { server, proxy, nodes, witnesses } = pair;
    const loads = new Loads(nodes);
    await loads.run(50);

    const during = loads.run((PER_SECOND * OUTAGE_MS) / 1_000);
    await eventually("some of it to arrive", () => witnesses[1].events.length > 120);
    const attemptsBefore = proxy.attempts.length;
    server.pause();
    const start = performance.now();
    // A silent connection gets the time that Redis may take to answer, plus two seconds.
    const first = await Promise.all(nodes.map((node) => node.until("it to be down", isDown)));
    const foundMs = performance.now() - start;
    expect(foundMs).toBeLessThan(7_500);
    // Counted from the start of the outage, not from its detection.
    for (const { log, at } of first) {
      expect(log.lagMs).toBeGreaterThan(at - performance.timeOrigin - start - 500);
    }
    await setTimeout(OUTAGE_MS - foundMs);
    const second = await Promise.all(nodes.map((node) => node.stats()));
    for (const [index, { log, at }] of second.entries()) {
      expect(log.state).toBe("down");
      expect(log.lastError).toBeDefined();
      const before = first[index] as (typeof first)[number];
      const grownMs = log.lagMs - before.log.lagMs;
      expect(grownMs).toBeGreaterThan(at - before.at - 250);
      expect(grownMs).toBeLessThan(at - before.at + 250);
    }
    for (const witness of witnesses) witness.hasStayed(start, performance.now());
    const attempts = proxy.attempts.slice(attemptsBefore);
    expect(mostWithin(1_000, attempts)).toBeLessThanOrEqual(20);

    server.resume();
    const resumedAt = performance.now();
    await Promise.all(nodes.map((node) => node.until("it to be live", isLive)));
    console.log(
      `hang: found after ${Math.round(foundMs)} ms, ${attempts.length} attempts to connect, ` +
        `live ${Math.round(performance.now() - resumedAt)} ms after it was over`,
    );
    await during;
    await loads.untilPublished();
    const after = await loads.run(50);
    expect(after.filter(({ id }) => id === undefined)).toEqual([]);

    const tally = await sumUp("hang", pair, loads);
    expect(tally.slowestMs).toBeLessThanOrEqual(6_000);
    expect(tally.rejected).toBeGreaterThan(0);
    expect(tally.unknown).toBeGreaterThan(0);
    await expectOutages(nodes, 1);
  }, 40_000);

  it("loses nothing when all its connections are cut, again and again", async () => {
    const pair = await startPair(await redis(), 1_000);
    const { server, nodes, witnesses } = pair;
    const start = performance.now();
    const loads = new Loads(nodes);
    await loads.run(10);
    const during = loads.run(4_000, { perSecond: 1_000 });
    const CUTS = 4;
    for (let cuts = 1; cuts <= CUTS; cuts++) {
      const had = witnesses[0].events.length;
      await server.command("CLIENT", "KILL", "TYPE", "normal");
      const isBack = (stats: NodeStats): boolean => isLive(stats) && stats.log.reconnects === cuts;
      await Promise.all(nodes.map((node) => node.until("it to be back", isBack)));
      await eventually("delivery to go on", () => witnesses[0].events.length > had + 100);
    }
    await during;
    await loads.untilPublished();
    const after = await loads.run(20);
    expect(after.filter(({ id }) => id === undefined)).toEqual([]);

    const tally = await sumUp(`${CUTS} cuts`, pair, loads);
    expect(tally.slowestMs).toBeLessThanOrEqual(2_000);
    for (const witness of witnesses) {
      expect(witness.connections).toBe(1);
      expect(witness.isOpen).toBe(true);
      expect(witness.resets).toEqual([]);
    }
    await expectOutages(nodes, CUTS);
    console.log(`cuts: over after ${Math.round(performance.now() - start)} ms`);
  }, 30_000);

  it("retries less and less often while Redis answers but refuses to be read", async () => {
    const server = await redis();
    await server.command("SET", "tidewire", "no stream");
    const proxy = await cluster.proxy(server);
    const node = await cluster.node({ url: proxy.url });
    await node.until("it to be down", isDown);
    const attemptsBefore = proxy.attempts.length;
    await setTimeout(2_500);
    const attempts = proxy.attempts.length - attemptsBefore;
    console.log(`refusal: ${attempts} attempts to connect in 2.5 s`);
    // With a pause of 50 to 100 ms after each attempt it would be more than thirty.
    expect(attempts).toBeLessThan(15);
    expect((await node.stats()).errors).toHaveLength(1);
    await server.command("DEL", "tidewire");
    await node.until("it to be live", isLive);
  });

  it("waits quietly while Redis is down, and continues when it is back with its file", async () => {
    const pair = await startPair(await redis(), 1_000);
    const { server, proxy, nodes, witnesses } = pair;
    // A node that only keeps a stream open. It has published, so it has both connections to restore.
    const idleProxy = await cluster.proxy(server);
    const idle = await cluster.node({ url: idleProxy.url, publishTimeoutMs: 1_000 });
    const all = { ...pair, witnesses: [...witnesses, await cluster.witness(idle)] };
    const loads = new Loads([...nodes, idle]);
    await loads.run(1);

    const during = loads.run((PER_SECOND * OUTAGE_MS) / 1_000, { nodes });
    await eventually("some of it to arrive", () => witnesses[1].events.length > 50);
    const attemptsBefore = [proxy, idleProxy].map(({ attempts }) => attempts.length);
    await server.kill();
    const start = performance.now();
    await Promise.all([...nodes, idle].map((node) => node.until("it to be down", isDown)));
    const first = await idle.stats();
    await setTimeout(OUTAGE_MS - (performance.now() - start));
    const second = await idle.stats();
    const apartMs = second.at - first.at;
    for (const witness of all.witnesses) witness.hasStayed(start, performance.now());

    expect(second.log.state).toBe("down");
    const grownMs = second.log.lagMs - first.log.lagMs;
    expect(grownMs).toBeGreaterThan(apartMs - 250);
    expect(grownMs).toBeLessThan(apartMs + 250);
    const cpuMs = (second.cpu.user + second.cpu.system - first.cpu.user - first.cpu.system) / 1_000;
    expect(cpuMs / apartMs, "CPU of an idle node").toBeLessThan(0.02);
    const attempts = [proxy, idleProxy].map((each, index) =>
      each.attempts.slice(attemptsBefore[index]),
    );
    for (const times of attempts) expect(mostWithin(1_000, times)).toBeLessThanOrEqual(20);
    // It keeps trying: with two connections and pauses of at most five seconds.
    for (const times of attempts) expect(times.length).toBeGreaterThanOrEqual(4);
    const tried = attempts.map(
      (times) => `${times.length}, of which ${mostWithin(1_000, times)} in one second`,
    );
    console.log(
      `death: an idle node took ${Math.round(cpuMs)} ms of CPU in ${Math.round(apartMs)} ms; ` +
        `attempts to connect: ${tried.join("; ")}`,
    );

    await server.run();
    const backAt = performance.now();
    await Promise.all([...nodes, idle].map((node) => node.until("it to be live", isLive)));
    console.log(`death: live ${Math.round(performance.now() - backAt)} ms after Redis was back`);
    await during;
    await loads.untilPublished();
    const after = await loads.run(50);
    expect(after.filter(({ id }) => id === undefined)).toEqual([]);

    const tally = await sumUp("death", all, loads);
    expect(tally.slowestMs).toBeLessThanOrEqual(2_000);
    expect(tally.rejected).toBeGreaterThan(0);
    await expectOutages([...nodes, idle], 1);
  }, 40_000);
});
