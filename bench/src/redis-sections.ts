import { setTimeout as wait } from "node:timers/promises";
import type { LoadReport } from "./load-protocol.js";
import type { Audience, RedisCluster } from "./redis-cluster.js";
import type { BusyOrder } from "./redis-protocol.js";
import { quantile } from "./statistics.js";

// The measured sections of the suite `redis`. Each does its work on a cluster and returns the cost.

/** Events at a steady pace. */
export interface Pace {
  readonly perSecond: number;
  readonly count: number;
  readonly bytes: number;
}

/** Work that nodes and Redis still do after the last client has everything belongs to the section. */
const SETTLE_MS = 20;

/** @returns How long events took from publishing to their last client, in milliseconds. */
export async function measureLatency(
  cluster: RedisCluster,
  audience: Audience,
  pace: Pace,
): Promise<{ p50: number; p99: number; max: number }> {
  const { latencies } = await publishTo(cluster, audience, pace);
  return {
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    max: quantile(latencies, 1),
  };
}

/** @returns CPU of the node per delivery, in microseconds. */
export async function measureDelivery(
  cluster: RedisCluster,
  audience: Audience,
  pace: Pace,
): Promise<number> {
  const { cpuUs } = await measureNodes(cluster, () => publishTo(cluster, audience, pace));
  return cpuUs / (pace.count * audience.clients);
}

/**
 * Publishes events that no client wants, and after them one event for the witnesses. When they have it, the nodes have
 * read everything that was published before.
 *
 * @param witnesses - At least one on each node.
 * @returns CPU of a node in percent of a core and in microseconds per event, and CPU of Redis per publish.
 */
export async function measureUnwanted(
  cluster: RedisCluster,
  witnesses: Audience,
  pace: Pace,
): Promise<{ percent: number; nodeUs: number; redisUs: number }> {
  const { redis, publisher, nodes } = cluster;
  const redisBefore = await redis.cpuUs();
  const { cpuUs, elapsedMs } = await measureNodes(cluster, async () => {
    await publisher.call("publishPaced", { channel: "unwanted", first: 0, ...pace });
    await publishTo(cluster, witnesses, { ...pace, count: 1 });
  });
  const redisUs = (await redis.cpuUs()) - redisBefore;
  const nodeUs = cpuUs / nodes.length;
  return {
    percent: nodeUs / 10 / elapsedMs,
    nodeUs: nodeUs / pace.count,
    redisUs: redisUs / pace.count,
  };
}

/** @returns Publishes per second, and CPU per publish of the publisher and of Redis, in microseconds. */
export async function measurePublishing(
  { redis, publisher }: RedisCluster,
  order: BusyOrder,
): Promise<{ perSecond: number; publisherUs: number; redisUs: number }> {
  const redisBefore = await redis.cpuUs();
  const { elapsedMs, cpuUs } = await publisher.call("publishBusily", order);
  const redisUs = (await redis.cpuUs()) - redisBefore;
  return {
    perSecond: (order.count * 1_000) / elapsedMs,
    publisherUs: cpuUs / order.count,
    redisUs: redisUs / order.count,
  };
}

/** Publishes at a steady pace, and waits until all clients have everything. */
async function publishTo(
  cluster: RedisCluster,
  audience: Audience,
  pace: Pace,
): Promise<{ latencies: number[] }> {
  const { clients, channel, load } = audience;
  await load.begin({ step: pace.count * clients, isTimed: true });
  const reached = load.reached();
  const order = { channel, first: cluster.sequence, ...pace };
  cluster.sequence += pace.count;
  const [publishedAt] = await Promise.all([cluster.publisher.call("publishPaced", order), reached]);
  await wait(SETTLE_MS);
  const report = await load.end();
  checkArrival(cluster, audience, pace, report);
  const latencies = publishedAt.map((at, event) => (report.completedAt[event] ?? NaN) - at);
  return { latencies };
}

/** @returns CPU time of all nodes together, and the time that has passed. */
async function measureNodes(
  { nodes }: RedisCluster,
  work: () => Promise<unknown>,
): Promise<{ cpuUs: number; elapsedMs: number }> {
  await Promise.all(nodes.map((node) => node.call("begin", null)));
  const start = performance.now();
  await work();
  const elapsedMs = performance.now() - start;
  const used = await Promise.all(nodes.map((node) => node.call("end", null)));
  return { cpuUs: used.reduce((sum, one) => sum + one, 0), elapsedMs };
}

/** A section with missing events is not worth measuring. */
function checkArrival(
  { subject }: RedisCluster,
  audience: Audience,
  { count, bytes: size }: Pace,
  { clients, events, bytes, disorder }: LoadReport,
): void {
  const fail = (what: string): never => {
    throw new Error(`${subject} did not deliver what was published: ${what}`);
  };
  if (clients !== audience.clients) fail(`${clients} of ${audience.clients} clients are there`);
  if (events.min !== count || events.max !== count) {
    fail(`of ${count} events its clients have ${events.min} to ${events.max}`);
  }
  if (disorder !== undefined) fail(disorder);
  if (bytes.min < count * size) fail(`a client has only ${bytes.min} bytes`);
}
