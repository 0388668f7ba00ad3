// Chaos with runs on three nodes and a failing Redis: followers are cut and come back to another node, producers are
// killed and stopped, runs are stopped, and Redis is paused, restarted, cut off and flushed. SEED=… repeats the choice of
// faults, SECONDS=… sets how long it lasts, and WITHOUT=flushes,pauses removes faults.
import { setTimeout } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import { within } from "../client.js";
import { seeded } from "../delivery/event-client.js";
import { until } from "../redis/redis-cluster.js";
import { RedisServer, describeWithRedis } from "../redis/redis-server.js";
import { RunsNode } from "../redis/runs-node.js";
import { RunFollower } from "./run-follower.js";
import type { Visit } from "./run-follower.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
const SECONDS = Number(process.env["SECONDS"] ?? (process.env["SOAK"] === "full" ? 600 : 12));
const NODES = 3;
const KEYS = Array.from({ length: 50 }, (_, index) => `run-${index}`);
const FOLLOWERS = 60;
const LEASE_MS = 2_000;
const KEEP_MS = 3_000;
/** Time that a busy machine may add to a lease. */
const SLACK_MS = 3_000;
const FAULTS = ["cuts", "flushes", "kills", "outages", "pauses", "restarts", "stops"] as const;
const WITHOUT = (process.env["WITHOUT"] ?? "").split(",");

/** A node, and whether it is there to serve. */
interface Place {
  node: RunsNode;
  isUp: boolean;
}

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function countOf(key: string): number {
  return 40 + 5 * KEYS.indexOf(key);
}

describeWithRedis("Runs on three nodes on a Redis that fails", () => {
  it(
    `give every follower the items of one run up to its end, for ${SECONDS} s`,
    { timeout: 0 },
    async () => {
      const random = seeded(SEED);
      const pick = <Item>(from: readonly Item[]): Item =>
        from[Math.floor(random() * from.length)] as Item;
      const counts: { [name: string]: number } = {};
      const count = (name: string): void => void (counts[name] = (counts[name] ?? 0) + 1);
      const redis = await RedisServer.start();
      closers.push(() => redis.stop());
      closers.push(() => redis.resume());
      const startNode = async (): Promise<RunsNode> => {
        const node = await RunsNode.start({
          tapes: { url: redis.url, leaseMs: LEASE_MS },
          runs: { keepMs: KEEP_MS },
        });
        closers.push(() => node.kill());
        return node;
      };
      const places: Place[] = await Promise.all(
        Array.from({ length: NODES }, async () => ({ node: await startNode(), isUp: true })),
      );
      const anyNode = (): RunsNode | undefined => {
        const up = places.filter(({ isUp }) => isUp);
        return up.length === 0 ? undefined : pick(up).node;
      };
      const visits: Visit[] = [];
      const faults: string[] = [];
      /** Time until which a stream may be silent for a reason of the test. */
      let excusedUntil = 0;
      const over = new AbortController();

      async function fail(kind: (typeof FAULTS)[number]): Promise<void> {
        count(kind);
        const place = pick(places);
        const lease = (least: number, most: number): number =>
          LEASE_MS * (least + random() * (most - least));
        switch (kind) {
          case "cuts":
            await redis.command("CLIENT", "KILL", "TYPE", "normal");
            break;
          case "flushes":
            await redis.command("FLUSHALL");
            break;
          case "kills":
            place.isUp = false;
            await place.node.kill();
            place.node = await startNode();
            place.isUp = true;
            break;
          case "outages":
            redis.pause();
            await setTimeout(lease(0.1, 1.5));
            redis.resume();
            break;
          case "pauses": {
            const { port } = place.node;
            place.isUp = false;
            place.node.pause();
            await setTimeout(lease(0.1, 2));
            place.node.resume();
            place.isUp = true;
            // Its clients did not hear of anything meanwhile.
            for (const follower of followers) {
              if (follower.port === port) follower.progressAt = performance.now();
            }
            break;
          }
          case "restarts":
            await redis.kill();
            await redis.run();
            break;
          case "stops":
            void anyNode()?.stop(pick(KEYS));
            break;
          default:
            kind satisfies never;
        }
      }

      async function failOften(kinds: readonly (typeof FAULTS)[number][]): Promise<void> {
        const enabled = kinds.filter((kind) => !WITHOUT.includes(kind));
        while (!over.signal.aborted && enabled.length > 0) {
          await setTimeout(300 + random() * 1_500);
          await fail(pick(enabled));
        }
      }

      async function produce(): Promise<void> {
        while (!over.signal.aborted) {
          const key = pick(KEYS);
          const everyMs = 2 + (KEYS.indexOf(key) % 8);
          void anyNode()
            ?.begin({ key, count: countOf(key), everyMs })
            .then(({ started, code }) => {
              if (started === true) count("runs");
              if (code !== undefined) count(code);
            });
          await setTimeout(5 + random() * 10);
        }
      }

      /** Compares what a follower has with the tape, if Redis still has that. */
      async function compare({ runId, items, outcome }: Visit): Promise<void> {
        const tape = `{tidewire-runs}:tape:${runId}`;
        const records = await redis.command("LRANGE", tape, "0", "-1").catch(() => []);
        const last = (records as string[]).at(-1);
        // A node that heard nothing of Redis may say `lost` before the end is on the tape.
        if (last?.startsWith("e") !== true) return;
        count(`compared ${outcome}`);
        const onTape = (records as string[]).length - 2;
        if (items === onTape) return;
        const text = `${runId}: ${outcome} after ${items} items, the tape has ${onTape} and ${last}`;
        if (outcome === "lost" && items < onTape) count("lost before its end was known");
        else faults.push(text);
      }

      const followers = Array.from({ length: FOLLOWERS }, () => new RunFollower(pick(KEYS)));

      function follow(index: number): void {
        const follower = followers[index] as RunFollower;
        const { visit, port } = follower;
        if (visit !== undefined) {
          visits.push(visit);
          count(`ended ${visit.outcome}`);
          if (visit.outcome === "stopped" || visit.outcome === "lost") void compare(visit);
          if (!over.signal.aborted) followers[index] = new RunFollower(pick(KEYS));
        } else if (port === undefined) {
          const node = anyNode();
          if (node !== undefined && random() < 0.1) follower.connect(node.port);
        } else if (random() < 0.003) {
          count("cut followers");
          follower.cut();
        } else {
          const isPaused = places.some(({ node, isUp }) => !isUp && node.port === port);
          const silentMs = performance.now() - Math.max(follower.progressAt, excusedUntil);
          if (!isPaused && silentMs > LEASE_MS + SLACK_MS) {
            faults.push(
              `${follower.key}: an open stream was silent for ${Math.round(silentMs)} ms`,
            );
            follower.cut();
          }
        }
      }

      const startedAt = performance.now();
      const driving = [
        produce(),
        failOften(["outages", "restarts", "cuts", "flushes"]),
        failOften(["kills", "pauses", "stops", "stops"]),
      ];
      while (performance.now() - startedAt < SECONDS * 1_000) {
        const before = performance.now();
        await setTimeout(20);
        // This process was not served itself.
        if (performance.now() - before > 500) excusedUntil = performance.now();
        for (const index of followers.keys()) follow(index);
      }
      over.abort();
      await Promise.all(driving);

      const isAtEnd = (): boolean => followers.every(({ visit }) => visit !== undefined);
      const settleBy = performance.now() + 4 * LEASE_MS + 10_000;
      while (!isAtEnd() && performance.now() < settleBy) {
        await setTimeout(20);
        for (const [index, { visit }] of followers.entries()) {
          if (visit === undefined) follow(index);
        }
      }
      for (const { key, visit } of followers) {
        if (visit === undefined) faults.push(`${key}: a follower got no end`);
        else visits.push(visit);
      }

      for (const { key, runId, items, outcome, faults: own } of visits) {
        faults.push(...own.map((text) => `${runId}: ${text}`));
        if (outcome === "done" && items !== countOf(key)) {
          faults.push(`${runId}: done after ${items} of ${countOf(key)} items`);
        }
        if (!["done", "lost", "stopped", "gone"].includes(outcome)) {
          faults.push(`${runId}: ended as ${outcome}`);
        }
      }

      // Nothing is left: no timer or connection in the nodes, no key in Redis.
      for (const { node } of places) await within("runs to close", node.closeRuns());
      for (const { node } of places) {
        await until("the node to be idle", async () => {
          const { resources } = await node.report();
          return !resources.some((name) => /Timeout|Immediate|TCPSocketWrap/.test(name));
        });
      }
      const clients = String(await redis.command("CLIENT", "LIST"))
        .trim()
        .split("\n");
      expect(clients).toHaveLength(1);
      await until(
        "all keys to expire",
        async () => (await redis.command("DBSIZE")) === 0,
        KEEP_MS + 3 * LEASE_MS + SLACK_MS,
      );

      const items = visits.reduce((sum, visit) => sum + visit.items, 0);
      console.log(`SEED=${SEED}: ${items} items in ${visits.length} visits`, counts);
      expect(faults).toEqual([]);
      expect(counts["ended done"]).toBeGreaterThan(0);
    },
  );
});
