/** Tapes on Redis: spreads the runs over shards. */

import { encodeKey } from "@tidewire/runs/tapes";
import type {
  CancelReason,
  ListQuery,
  RunState,
  TapeReader,
  TapeTerms,
  TapeWriter,
  Tapes,
} from "@tidewire/runs/tapes";
import { slotOf } from "../slot.js";
import { stateOf } from "./commands.js";
import { resolveRedisTapesOptions } from "./tape-options.js";
import type { RedisTapesOptions } from "./tape-options.js";
import { TapeStore } from "./tape-store.js";

/**
 * Creates a store that keeps the tapes of runs in Redis, for processes that share their runs:
 * `createRuns({ tapes: redisTapes({ url }) })`.
 *
 * A run of a key is produced by at most one process at a time, and any process follows and stops it. Each run has a tape
 * with a time to live, apart from the stream of `redisLog`. A process reads only the tapes that are followed in it, each
 * once. It needs one connection for commands and, while runs are followed or produced in it, one for reading.
 *
 * @param options - Location of Redis, and how long a producer may be silent.
 * @returns A store for `createRuns`.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function redisTapes(options: RedisTapesOptions): Tapes {
  const { sources, ...others } = resolveRedisTapesOptions(options);
  return new RedisTapes(sources.map((source) => new TapeStore({ ...source, ...others })));
}

class RedisTapes implements Tapes {
  readonly #shards: readonly TapeStore[];

  constructor(shards: readonly TapeStore[]) {
    this.#shards = shards;
  }

  async create(
    key: string,
    terms: TapeTerms,
    cancel: (why: CancelReason) => void,
  ): Promise<TapeWriter | undefined> {
    const name = encodeKey(key);
    return this.#shardOf(name).create(key, name, terms, cancel);
  }

  async open(key: string): Promise<TapeReader | undefined> {
    const name = encodeKey(key);
    return this.#shardOf(name).open(name);
  }

  async stop(key: string): Promise<boolean> {
    const name = encodeKey(key);
    return this.#shardOf(name).stop(name);
  }

  async state(key: string): Promise<RunState | undefined> {
    const name = encodeKey(key);
    return this.#shardOf(name).state(name);
  }

  async list({ prefix, limit }: ListQuery): Promise<readonly RunState[]> {
    const names = prefix === "" ? "" : encodeKey(prefix);
    // A cursor may lead to the same run twice.
    const states = new Map<string, RunState>();
    for (const shard of this.#shards) {
      let cursor = "0";
      do {
        const page = await shard.list(names, cursor);
        for (const found of page.found) states.set(found[0], stateOf(encodeKey(found[0]), found));
        if (states.size >= limit) return [...states.values()].slice(0, limit);
        ({ cursor } = page);
      } while (cursor !== "0");
    }
    return [...states.values()];
  }

  async close(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.close()));
  }

  #shardOf(name: string): TapeStore {
    return this.#shards[slotOf(name) % this.#shards.length] as TapeStore;
  }
}
