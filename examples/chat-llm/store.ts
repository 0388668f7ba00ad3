import { createHub } from "@tidewire/core";
import type { Hub } from "@tidewire/core";
import { redisLog, redisTapes } from "@tidewire/redis";
import { createRuns, memoryTapes } from "@tidewire/runs";
import type { Runs } from "@tidewire/runs";
import type { Channels } from "./channels.js";

/** How long questions and answers are kept, in milliseconds: one hour. An application keeps them in its database. */
const KEEP_MS = 3_600_000;

/** Where Redis is, and how the keys of the demo begin. */
export interface RedisPlace {
  readonly url: string;
  readonly key: string;
}

/**
 * Opens the two places where a chat is kept: the log has its questions, the tapes have its answers.
 *
 * @param redis - Redis that several nodes share; `undefined` keeps everything in the memory of this process.
 */
export function openStore(redis?: RedisPlace): { hub: Hub<Channels>; runs: Runs } {
  const retention = { maxAgeMs: KEEP_MS };
  const log = redis && redisLog({ ...redis, retention });
  // A short lease: the pages learn within three seconds that a node has died.
  const tapes = redis
    ? redisTapes({ url: redis.url, prefix: `${redis.key}:runs`, leaseMs: 3_000 })
    : memoryTapes();
  return {
    hub: createHub<Channels>({ log, retention }),
    // An answer that no page has followed for two minutes is stopped.
    runs: createRuns({ tapes, keepMs: KEEP_MS, abandonMs: 120_000 }),
  };
}
