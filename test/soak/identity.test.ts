// Thousands of sessions with identities: one identity is disconnected on three nodes while events are published, ten
// thousand requests compete for the sessions of a few identities, and ten thousand sessions are checked again.
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { disconnectMany } from "../redis/disconnect-suite.js";
import { TimedStream } from "../redis/many-streams.js";
import { ClusterNode } from "../redis/node.js";
import type { Checks, NodeHubOptions } from "../redis/node.js";
import { describeWithRedis, useRedis } from "../redis/redis-server.js";

const SESSIONS = Number(
  process.env["SESSIONS"] ?? (process.env["SOAK"] === "full" ? 10_000 : 2_000),
);
/** Longest time between two checks of a session, in milliseconds. */
const EVERY_MS = process.env["SOAK"] === "full" ? 10_000 : 4_000;
/** Clients that connect at the same time. */
const AT_ONCE = 500;

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

describeWithRedis("A thousand streams of one identity on three nodes", () => {
  const server = useRedis("test");

  it("get no event later than 100 ms after a disconnect", { timeout: 120_000 }, async () => {
    const redis = await server();
    const { events, lastMs } = await disconnectMany(redis.url, { count: 1_000, perSecond: 20 });
    console.info(`${events} events before, the last ${lastMs.toFixed(1)} ms after the promise`);
    expect(events).toBeGreaterThan(1_000);
  });
});

describeWithRedis(`${SESSIONS} sessions on one node`, () => {
  const server = useRedis("test");

  async function startNode(options: NodeHubOptions): Promise<ClusterNode> {
    const redis = await server();
    const node = await ClusterNode.start({ url: redis.url }, options);
    // Thousands of sessions that end take longer than a test may.
    closers.push(() => node.kill());
    await node.until("the log to be live", ({ log }) => log.state === "live");
    return node;
  }

  /** Opens streams, `AT_ONCE` at the same time. */
  async function openAll(node: ClusterNode, userOf: (index: number) => string): Promise<void> {
    const streams: TimedStream[] = [];
    closers.push(async () => {
      for (const stream of streams) stream.close();
    });
    for (let from = 0; from < SESSIONS; from += AT_ONCE) {
      const batch = Array.from({ length: Math.min(AT_ONCE, SESSIONS - from) }, (_, index) =>
        TimedStream.open(node.port, `/?channel=news&user=${userOf(from + index)}`),
      );
      streams.push(...(await Promise.all(batch)));
    }
  }

  describe("that compete for ten identities with three each", () => {
    it.each(["refuse", "closeOldest"] as const)(
      "leave 30 with %s",
      { timeout: 120_000 },
      async (excess) => {
        const node = await startNode({
          maxSessionsPerIdentity: { max: 3, excess },
          maxHeld: 20_000,
        });
        const seen: number[] = [];
        const watching = setInterval(() => {
          void node.stats().then(({ sessions }) => seen.push(sessions.open));
        }, 20);
        try {
          await openAll(node, (index) => `user-${index % 10}`);
        } finally {
          clearInterval(watching);
        }
        const { sessions, closes, turnedAway } = await node.stats();
        expect(Math.max(...seen)).toBeLessThanOrEqual(30);
        expect(sessions.open).toBe(30);
        const others = SESSIONS - 30;
        expect([closes.replaced, turnedAway]).toEqual(
          excess === "refuse" ? [0, others] : [others, 0],
        );
      },
    );
  });

  it("are each checked again within the period", { timeout: 180_000 }, async () => {
    const measure = async (options: NodeHubOptions): Promise<{ cpu: number; checks: Checks }> => {
      const node = await startNode(options);
      await openAll(node, (index) => `user-${index}`);
      await delay(2_000);
      const { cpu: before } = await node.stats();
      await delay(2 * EVERY_MS);
      const { cpu: after, sessions } = await node.stats();
      expect(sessions.open).toBe(SESSIONS);
      const checks = await node.checks();
      for (const close of closers.splice(0).toReversed()) await close();
      const micros = after.user + after.system - before.user - before.system;
      return { cpu: micros / (2 * EVERY_MS * 1_000), checks };
    };
    const without = await measure({});
    const { cpu, checks } = await measure({ revalidateMs: EVERY_MS, checkMs: 5 });
    const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
    console.info(
      `CPU of one core: ${percent(without.cpu)} without, ${percent(cpu)} with checks every ${EVERY_MS} ms: ${JSON.stringify(checks)}`,
    );
    expect(checks.count).toBeGreaterThan(2 * SESSIONS);
    expect(checks.most).toBeLessThanOrEqual(32);
    // A process that is busy gets to them later.
    expect(checks.longestGapMs).toBeLessThan(EVERY_MS + 1_000);
  });
});
