import { setTimeout as delay } from "node:timers/promises";
import { redisTapes } from "@tidewire/redis";
import { createRuns } from "@tidewire/runs";
import type { Runs } from "@tidewire/runs";
import { afterEach, expect } from "vitest";
import { within } from "../client.js";
import { EventClient } from "../delivery/event-client.js";
import { useRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";
import { RunsNode } from "./runs-node.js";
import type { Note, RunsNodeOptions } from "./runs-node.js";

export const LEASE_MS = 2_000;
/** Time that a busy machine may add to a limit. */
export const SLACK_MS = 2_000;

/** Data of a reader. */
export interface Read {
  readonly data: readonly string[];
  /** The outcome, or the error; `undefined` while the run is going on. */
  readonly outcome: string | undefined;
  /** When the outcome came, in milliseconds since 1970. */
  readonly endedAt: number;
}

/** Redis and nodes for a suite. Everything is closed after each test. */
export interface RunsSuite {
  /** The server of the test. */
  redis(): Promise<RedisServer>;
  /** Starts a node in a separate process. */
  startNode(tapes?: Partial<RunsNodeOptions["tapes"]>): Promise<RunsNode>;
  /** Runs of this process: a node that mostly reads. */
  openRuns(tapes?: { readonly url?: string; readonly leaseMs?: number }): Promise<Runs>;
  /** Reads a run from its beginning, in the background. */
  read(runs: Runs, key: string): Read;
  /** Follows a run from its beginning at a node. */
  follow(node: RunsNode, key: string): EventClient;
  /** Called after the test, the last one first. */
  cleanUp(cleanup: () => Promise<void> | void): void;
}

/** Provides Redis and nodes to a suite. */
export function useRuns(): RunsSuite {
  const redis = useRedis("test");
  const cleanups: (() => Promise<void> | void)[] = [];

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  });

  return {
    redis,
    cleanUp: (cleanup) => void cleanups.push(cleanup),
    async startNode(tapes) {
      const { url } = await redis();
      const node = await RunsNode.start({ tapes: { url, leaseMs: LEASE_MS, ...tapes } });
      cleanups.push(() => node.kill());
      return node;
    },
    async openRuns({ url, leaseMs = LEASE_MS } = {}) {
      const onError = (): void => {};
      const tapes = redisTapes({ url: url ?? (await redis()).url, leaseMs, onError });
      const runs = createRuns({ onError, tapes });
      cleanups.push(() => within("runs to close", runs.close()));
      return runs;
    },
    read(runs, key) {
      const data: string[] = [];
      const got = { data, outcome: undefined as string | undefined, endedAt: NaN };
      const stop = new AbortController();
      const reading = (async () => {
        for await (const event of runs.read(key, { signal: stop.signal })) {
          if (event.type === "item") data.push(event.data);
          else [got.outcome, got.endedAt] = [event.outcome, Date.now()];
        }
      })();
      reading.catch((error: unknown) => void (got.outcome = String(error)));
      cleanups.push(async () => {
        stop.abort();
        await Promise.allSettled([reading]);
      });
      return got;
    },
    follow({ port }, key) {
      const client = new EventClient(port, `/?key=${key}`);
      client.connect();
      cleanups.push(() => client.cut("rst"));
      return client;
    },
  };
}

/** Every item is the next of one run. */
export function expectWhole(data: readonly string[], count: number = data.length): void {
  const [runId] = data[0]?.split(":") ?? [];
  expect(data).toEqual(Array.from({ length: count }, (_, index) => `${runId}:${index + 1}`));
}

/** Waits until a node's source has noticed that its run was aborted. */
export async function abortOf(
  node: RunsNode,
  key: string,
): Promise<{ readonly cause: string; readonly at: number }> {
  const find = async (): Promise<{ readonly cause: string; readonly at: number }> => {
    for (;;) {
      const { notes } = await node.report();
      const found = notes.find((note: Note) => note[0] === "abort" && note[1] === key);
      if (found?.[0] === "abort") return { cause: found[3], at: found[4] };
      await delay(10);
    }
  };
  return within(`the abort of ${key}`, find());
}
