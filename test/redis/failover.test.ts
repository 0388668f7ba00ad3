import { setTimeout } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import type { Place } from "./clients.mjs";
import { ClusterNode } from "./node.js";
import type { Outcome } from "./node.js";
import { RedisCluster, until } from "./redis-cluster.js";
import { RedisSentinel } from "./redis-sentinel.js";
import { describeWithRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";
import { CHANNEL, Witness, readStream } from "./witness.js";

const PER_SECOND = 100;
/** Number of events in a batch. */
const BATCH = 50;

/** A master that fails, and the replica that takes over. */
interface Failover {
  /** Client libraries, one per node. */
  readonly libraries: readonly string[];
  readonly place: Place;
  readonly master: RedisServer;
  readonly replica: RedisServer;
  stop(): Promise<void>;
}

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** The events published by all nodes at a steady rate. */
class Load {
  readonly #nodes: readonly ClusterNode[];
  readonly #batches: Promise<readonly Outcome[]>[] = [];
  /** The first number not published yet. */
  next = 0;

  constructor(nodes: readonly ClusterNode[]) {
    this.#nodes = nodes;
  }

  /**
   * Publishes until a condition holds, then one more batch. Does not await publishes, so that a hanging one holds up
   * nothing.
   */
  async until(isTrue: () => boolean, ms = 30_000): Promise<void> {
    const end = performance.now() + ms;
    for (let isLast = false; !isLast; this.next += BATCH) {
      isLast = isTrue() || performance.now() > end;
      for (const [index, node] of this.#nodes.entries()) {
        const load = { channels: [CHANNEL], count: BATCH, perSecond: PER_SECOND, dedupe: true };
        this.#batches.push(node.publish({ ...load, from: this.next, prefix: `${index}:` }));
      }
      await setTimeout((1_000 * BATCH) / PER_SECOND);
    }
    if (!isTrue()) throw new Error(`Waited ${ms} ms, publishing`);
  }

  /** @returns The outcome of every publish. */
  async outcomes(): Promise<readonly Outcome[]> {
    return (await Promise.all(this.#batches)).flat();
  }
}

async function is(role: "master" | "slave", server: RedisServer): Promise<boolean> {
  try {
    return String(await server.command("ROLE")).startsWith(role);
  } catch {
    // Sentinel cuts all connections of a server when it changes the server's role.
    return false;
  }
}

/**
 * Nodes publish, with a witness each, while a master fails. No witness has a gap or a duplicate: it either got every
 * event of the stream once and in order, or one reset and everything after that.
 *
 * @param wake - Resumes the old master once the other one has taken over.
 */
async function expectFailover(
  what: string,
  { libraries, place, master, replica, stop }: Failover,
  fail: () => Promise<void> | void,
  wake?: () => void,
): Promise<void> {
  closers.push(stop);
  const nodes = await Promise.all(
    libraries.map(async (library) => {
      const log = { publishTimeoutMs: 2_000 };
      const node = await ClusterNode.start(log, { heartbeatMs: 1_000 }, { library, place });
      closers.push(() => node.kill());
      return node;
    }),
  );
  const witnesses = nodes.map((node) => {
    const witness = new Witness(node);
    closers.push(() => witness.cut("fin"));
    witness.connect();
    return witness;
  });
  await eventually("the witnesses to be subscribed", () =>
    witnesses.every(({ cursors }) => cursors > 0),
  );
  const load = new Load(nodes);
  await load.until(() => witnesses.every(({ events }) => events.length > 300));

  const failedAt = performance.now();
  await fail();
  let takenOverMs = 0;
  const takenOver = until("the replica to be the master", () => is("master", replica)).then(
    () => void (takenOverMs = performance.now() - failedAt),
  );
  await load.until(() => takenOverMs > 0);
  await takenOver;
  wake?.();
  const { next } = load;
  let deliveredMs = 0;
  await load.until(() => {
    const isNew = ({ data }: { data: string }): boolean => Number(data.split(":")[1]) >= next;
    if (!witnesses.every(({ events }) => events.some(isNew))) return false;
    deliveredMs ||= performance.now() - failedAt;
    return true;
  });
  if (wake !== undefined) {
    await until("the old master to follow", () => is("slave", master));
    await load.until(() => true);
  }
  const all = await load.outcomes();

  const stream = await readStream(replica);
  const published = all.filter(({ id }) => id !== undefined);
  const there = new Set(stream.map(({ data }) => data));
  expect(there.size, "each is there once").toBe(stream.length);
  const lost = published.filter(({ data }) => !there.has(data));
  console.log(
    `${what}: new master after ${Math.round(takenOverMs)} ms, delivery after ${Math.round(deliveredMs)} ms; ` +
      `${published.length} published, of which ${lost.length} were lost with the old master, ` +
      `${all.length - published.length} not; resets ${witnesses.map(({ resets }) => resets.length).join(" ")}`,
  );
  const codes = new Set(all.flatMap(({ code }) => code ?? []));
  expect([...codes].filter((code) => !code.startsWith("ERR_SSE_LOG_"))).toEqual([]);
  for (const witness of witnesses) {
    await eventually("the end", () => witness.events.at(-1)?.id === stream.at(-1)?.id);
    const { connections, resets, resetAt } = witness;
    expect(connections).toBe(1);
    expect(["", "fork"]).toContain(resets.map(({ reason }) => reason).join(" "));
    const received = witness.events.map(({ id, data }) => ({ id, data }));
    expect(new Set(received.map(({ id }) => id)).size, "no doubles").toBe(received.length);
    // A reset is preceded by the start of the stream and the events lost with the old master.
    const before = received.slice(0, resetAt).filter(({ data }) => there.has(data));
    expect(before).toEqual(stream.slice(0, before.length));
    // After the reset, or without one, there is no gap.
    const behind = received.slice(resetAt);
    expect(behind.length).toBeGreaterThan(BATCH);
    expect(behind).toEqual(resets.length === 0 ? stream : stream.slice(-behind.length));
  }
}

describeWithRedis("When a master fails", () => {
  it("in a cluster, by its death, streams miss nothing or are reset once", async () => {
    const cluster = await RedisCluster.start("tidewire");
    const { place, holder, replica } = cluster;
    const libraries = ["node-redis 4", "node-redis 6", "ioredis 6"];
    const failover = { libraries, place, master: holder, replica, stop: () => cluster.stop() };
    await expectFailover("cluster, killed", failover, () => holder.kill());
  }, 90_000);

  it("in a cluster, by hanging, streams miss nothing or are reset once", async () => {
    const cluster = await RedisCluster.start("tidewire");
    const { place, holder, replica } = cluster;
    const libraries = ["node-redis 5", "ioredis 5", "iovalkey"];
    const failover = { libraries, place, master: holder, replica, stop: () => cluster.stop() };
    await expectFailover(
      "cluster, hung",
      failover,
      () => holder.pause(),
      () => holder.resume(),
    );
  }, 90_000);

  it("under Sentinel, by its death, streams miss nothing or are reset once", async () => {
    const sentinel = await RedisSentinel.start();
    const { place, master, replica } = sentinel;
    const libraries = ["node-redis 5", "ioredis 5", "iovalkey"];
    const failover = { libraries, place, master, replica, stop: () => sentinel.stop() };
    await expectFailover("Sentinel, killed", failover, () => master.kill());
  }, 90_000);

  it("under Sentinel, by hanging, streams miss nothing or are reset once", async () => {
    const sentinel = await RedisSentinel.start();
    const { place, master, replica } = sentinel;
    const libraries = ["node-redis 5", "node-redis 6", "ioredis 6"];
    const failover = { libraries, place, master, replica, stop: () => sentinel.stop() };
    await expectFailover("Sentinel, hung", failover, () => master.pause());
  }, 90_000);
});
