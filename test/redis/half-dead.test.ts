import { setTimeout } from "node:timers/promises";
import { expect, it } from "vitest";
import { eventually } from "../client.js";
import { useCluster } from "./cluster.js";
import type { ClusterNode, Load, NodeStats, Outcome } from "./node.js";
import { describeWithRedis, useRedis } from "./redis-server.js";
import { CHANNEL, verify } from "./witness.js";

/** Longest silence of Redis, plus the time until a reader detects it. */
const FOUND_MS = 5_000 + 2_000;
/** Time for a new connection, on a machine that is also busy otherwise. */
const SLACK_MS = 1_000;

const load = (count: number, prefix: string, perSecond = 1_000): Load => ({
  channels: [CHANNEL],
  from: 0,
  count,
  perSecond,
  prefix,
});

const isBack = ({ log }: NodeStats): boolean => log.state === "live" && log.reconnects === 1;

describeWithRedis("When connections to Redis are half dead", () => {
  const redis = useRedis("test");
  const cluster = useCluster();

  it("detects a reader that receives nothing any more, and delivers the events it missed", async () => {
    const server = await redis();
    const proxy = await cluster.proxy(server);
    const [deaf, other] = await Promise.all([
      cluster.node({ url: proxy.url }),
      cluster.node({ url: server.url }),
    ]);
    const witnesses = await Promise.all([cluster.witness(deaf), cluster.witness(other)]);
    const [witness] = witnesses;
    const before = await other.publish(load(10, "before "));
    await eventually("what was published before", () => witness.events.length === 10);

    const attemptsBefore = proxy.attempts.length;
    proxy.freeze(true);
    const frozenAt = performance.now();
    const meanwhile = await other.publish(load(2_000, "meanwhile "));
    expect(meanwhile.filter(({ id }) => id === undefined)).toEqual([]);
    expect(witness.events, "what came through a dead connection").toHaveLength(10);
    await eventually("a new connection", () => proxy.attempts.length > attemptsBefore);
    const foundMs = (proxy.attempts[attemptsBefore] as number) - frozenAt;
    await eventually("what was published meanwhile", () => witness.events.length >= 2_010);
    const caughtUpMs = performance.now() - frozenAt;
    console.log(
      `idle reader: found after ${Math.round(foundMs)} ms, caught up after ${Math.round(caughtUpMs)} ms`,
    );
    expect(foundMs).toBeLessThan(FOUND_MS + SLACK_MS);
    expect(caughtUpMs).toBeLessThan(FOUND_MS + 2 * SLACK_MS);

    witness.hasStayed(frozenAt, performance.now());
    await deaf.until("its reader to be back", isBack);
    const after = await other.publish(load(10, "after "));
    await verify(server, [[...before, ...meanwhile, ...after]], witnesses);
    expect((await deaf.stats()).errors).toHaveLength(1);
  }, 30_000);

  it("detects a reader that falls silent under load", async () => {
    const server = await redis();
    const proxy = await cluster.proxy(server);
    const [deaf, other] = await Promise.all([
      cluster.node({ url: proxy.url }),
      cluster.node({ url: server.url }),
    ]);
    const witnesses = await Promise.all([cluster.witness(deaf), cluster.witness(other)]);
    const [witness] = witnesses;

    const publishing = other.publish(load(4_000, "", 500));
    await eventually("some of it", () => witness.events.length > 100);
    const attemptsBefore = proxy.attempts.length;
    proxy.freeze(true);
    const frozenAt = performance.now();
    await eventually("a new connection", () => proxy.attempts.length > attemptsBefore);
    const foundMs = (proxy.attempts[attemptsBefore] as number) - frozenAt;
    await deaf.until("its reader to have caught up", isBack);
    const caughtUpMs = performance.now() - frozenAt;
    console.log(
      `busy reader: found after ${Math.round(foundMs)} ms, caught up after ${Math.round(caughtUpMs)} ms`,
    );
    expect(foundMs).toBeLessThan(FOUND_MS + SLACK_MS);
    expect(caughtUpMs).toBeLessThan(FOUND_MS + 2 * SLACK_MS);
    witness.hasStayed(frozenAt, performance.now());
    const tally = await verify(server, [await publishing], witnesses);
    expect(tally.published).toBe(4_000);
  }, 30_000);

  it("abandons a connection whose publishes get no answer, and publishes over another one", async () => {
    const server = await redis();
    const proxy = await cluster.proxy(server);
    const [mute, other] = await Promise.all([
      cluster.node({ url: proxy.url, publishTimeoutMs: 1_000 }),
      cluster.node({ url: server.url }),
    ]);
    const witness = await cluster.witness(other);
    const outcomes = await mute.publish(load(1, "before "));
    expect(outcomes[0]?.id).toBeDefined();

    // Like a machine that hangs: it accepts connections, but never replies.
    proxy.freeze(false);
    const lost = await mute.publish(load(5, "lost "));
    expect(lost.map(({ code }) => code)).toEqual(lost.map(() => "ERR_SSE_LOG_UNKNOWN"));
    const refused = await publishUntil(mute, "ERR_SSE_LOG_REJECTED");
    outcomes.push(...lost, ...refused);
    expect(refused.length).toBeGreaterThan(0);

    proxy.takeNew();
    const takenAt = performance.now();
    outcomes.push(...(await publishUntil(mute, undefined)));
    console.log(
      `writer: publishes ${Math.round(performance.now() - takenAt)} ms after Redis answers again`,
    );
    const tally = await verify(server, [outcomes], [witness]);
    expect(tally.unknownButThere).toBe(0);
    expect(tally.slowestMs).toBeLessThanOrEqual(2_000);
  }, 30_000);
});

let attempts = 0;

/** Publishes events one by one until one has this outcome. @returns All outcomes. */
async function publishUntil(node: ClusterNode, code: string | undefined): Promise<Outcome[]> {
  const all: Outcome[] = [];
  const end = performance.now() + 12_000;
  for (;;) {
    const [outcome] = await node.publish({ ...load(1, "again "), from: attempts++ });
    if (outcome === undefined || performance.now() > end) {
      throw new Error(`Waited 12 s for a publish to end with ${code}`);
    }
    all.push(outcome);
    if (outcome.code === code) return all;
    await setTimeout(20);
  }
}
