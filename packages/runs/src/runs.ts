/** Starts, follows, reads and stops runs; owns the producers of this process. */

import { SseError } from "@tidewire/core";
import { atLeast, milliseconds, unexpected } from "@tidewire/core/adapter";
import { check, checkOptions } from "./check-options.js";
import { follow } from "./follow.js";
import type { FollowingSession, FollowOptions, FollowParts } from "./follow.js";
import { resolveRunsOptions, resolveStartOptions } from "./options.js";
import type {
  MapRunItem,
  OpenRunSource,
  ResolvedRunsOptions,
  RunsOptions,
  StartOptions,
} from "./options.js";
import { Producer } from "./producer.js";
import { RunReader } from "./read.js";
import type { ReadRunOptions, RunEvent } from "./read.js";
import { encodeKey } from "./run-id.js";
import type { RunState, Tapes } from "./tapes.js";

/** Result of `start`. */
export interface Started {
  /** `true` if this call began the run, `false` if a run of that key was going on. */
  readonly started: boolean;
}

/** Options of `list`. */
export interface ListOptions {
  /**
   * Beginning of the keys.
   *
   * @defaultValue `""`: all keys
   */
  readonly prefix?: string | undefined;
  /**
   * Most runs to return.
   *
   * @defaultValue `1_000`
   */
  readonly limit?: number | undefined;
}

/** Options of `close`. */
export interface CloseRunsOptions {
  /**
   * How long runs of this process may go on until their own end, in milliseconds. The rest is aborted and ends as
   * `lost`.
   *
   * @defaultValue `0`
   */
  readonly drainMs?: number | undefined;
}

/**
 * Creates runs: answers of a model, exports, builds. Each is produced once, goes on when its readers leave, is stopped
 * only on purpose, and any number of sessions follow it, from the beginning or from where they were.
 *
 * @param options - Where runs are kept, and their limits.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function createRuns(options?: RunsOptions): Runs {
  return new Runs(resolveRunsOptions(options));
}

/** The runs of a process. A store that several processes share makes their runs common. */
export class Runs {
  readonly #options: ResolvedRunsOptions;
  readonly #tapes: Tapes;
  readonly #follow: FollowParts;
  /** Runs that go on in this process, and those that are being created. */
  readonly #producers = new Set<Producer>();
  /** Set from the first `close` on. */
  #closing: Promise<void> | undefined;
  #isClosed = false;

  /** @internal Runs are made by {@link createRuns}. */
  constructor(options: ResolvedRunsOptions) {
    this.#options = options;
    this.#tapes = options.tapes;
    this.#follow = {
      tapes: options.tapes,
      followers: new Set(),
      isClosed: () => this.#isClosed,
      report: options.report,
    };
  }

  /**
   * Begins a run, unless one with that key is going on anywhere. After its end another can begin at once.
   *
   * The run does not depend on the request that began it: it ends when its source does, or by {@link Runs.stop}.
   *
   * @param key - Any text of at most 96 bytes, for example the id of a conversation. A byte other than a letter, a
   *   digit, `.`, `_` or `-` counts as three. Clients see it in the ids of the items.
   * @param source - Begins to produce. Called only if this call begins the run. If it throws or rejects, or its source
   *   fails, the run ends as `failed`, and `onError` gets the error.
   * @param options - `map` turns an item of the source into an item of the run; limits replace those of `createRuns`. A
   *   function is short for `{ map }`.
   * @returns Resolves once the run exists, not when it ends. Rejects with `ERR_SSE_INVALID_OPTION` if an argument is
   *   invalid, with `ERR_SSE_RUNS_FULL` (status 503) if too many runs are going on, with `ERR_SSE_CLOSED` (status 503)
   *   after `close`, and with the error of the store if it cannot be reached.
   */
  async start<Item>(
    key: string,
    source: OpenRunSource<Item>,
    options?: MapRunItem<Item> | StartOptions<Item>,
  ): Promise<Started> {
    encodeKey(key);
    if (typeof source !== "function") {
      throw unexpected("source", "a function that returns the source", source);
    }
    const { map, ...limits } = resolveStartOptions(options, this.#options.limits);
    if (this.#closing !== undefined) throw closed();
    const { maxRuns } = this.#options;
    if (this.#producers.size >= maxRuns) {
      throw new SseError(
        "ERR_SSE_RUNS_FULL",
        `${maxRuns} runs are going on in this process (\`maxRuns\`)`,
        { statusCode: 503 },
      );
    }
    const producer = new Producer(key, limits, this.#options);
    this.#producers.add(producer);
    try {
      const writer = await this.#tapes.create(key, limits, producer.cancel);
      if (writer === undefined) {
        this.#producers.delete(producer);
        return { started: false };
      }
      if (this.#closing !== undefined) {
        producer.cancel("lost");
        await writer.end({ outcome: "lost" });
        throw closed();
      }
      void producer.ended.then(() => this.#producers.delete(producer));
      producer.start(writer, source, map);
      return { started: true };
    } catch (error) {
      this.#producers.delete(producer);
      throw error;
    }
  }

  /**
   * Sends a run to a client: the items that it does not have yet, then each item as it comes, then the end. Each item has its
   * position as its id, so that a client that comes back goes on behind it, on any node.
   *
   * If there is nothing to follow, the answer is 204, after which `EventSource` does not come back: no run of that key,
   * one that is no longer kept, or a client that reports a position of an earlier run. It never gets parts of two runs.
   * If the store cannot be reached, a client that names `text/event-stream` gets an empty stream and comes back.
   *
   * @param key - Key of the run.
   * @param session - Session of the client: `res.sse`, `reply.sse` or `hub.createSession(…)`, without channels.
   * @param options - Last message, and position.
   * @returns `true` once the client was sent the end; `false` if it left first, or there was nothing to follow. Rejects
   *   with `ERR_SSE_INVALID_OPTION` if an argument is invalid, with the error of `end` or `send`, and with the error of
   *   the store if it cannot be reached and the client does not name `text/event-stream`.
   */
  async follow(key: string, session: FollowingSession, options?: FollowOptions): Promise<boolean> {
    encodeKey(key);
    return follow(this.#follow, key, session, options);
  }

  /**
   * Reads a run in server code: the same items with the same ids, then one `end`. While it reads, the run has a
   * follower. Leaving the loop frees everything.
   *
   * @param key - Key of the run.
   * @param options - Position, and a signal that ends the iteration.
   * @returns An iterable for one loop. It yields nothing if there is nothing to follow, and its first `next` rejects
   *   with the error of the store if that cannot be reached.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an argument is invalid.
   */
  read(key: string, options: ReadRunOptions = {}): AsyncIterableIterator<RunEvent> {
    encodeKey(key);
    return new RunReader(this.#follow, key, options);
  }

  /**
   * Stops a run that is going on in any process: its source's `signal` aborts, and its followers get the end `stopped`.
   *
   * @param key - Key of the run.
   * @returns `true` if there was such a run. Another can begin then. Rejects with `ERR_SSE_INVALID_OPTION` if the key is
   *   invalid, and with the error of the store if it cannot be reached.
   */
  async stop(key: string): Promise<boolean> {
    encodeKey(key);
    return this.#tapes.stop(key);
  }

  /**
   * Tells how the newest run of a key is, wherever it goes on.
   *
   * @param key - Key of the run.
   * @returns Its state; `undefined` if there is none, or it is no longer kept. Rejects with `ERR_SSE_INVALID_OPTION` if
   *   the key is invalid, and with the error of the store if it cannot be reached.
   */
  async state(key: string): Promise<RunState | undefined> {
    encodeKey(key);
    return this.#tapes.state(key);
  }

  /**
   * Lists the newest run of each key, in no particular order: those that are going on, and those that are still kept.
   *
   * @param options - Which keys, and how many.
   * @returns Their states. Rejects with `ERR_SSE_INVALID_OPTION` if an option is invalid, and with the error of the
   *   store if it cannot be reached.
   */
  async list(options: ListOptions = {}): Promise<readonly RunState[]> {
    checkOptions("list", options, ["prefix", "limit"]);
    const { prefix = "", limit = 1_000 } = options;
    if (typeof prefix !== "string") throw unexpected("prefix", "a string", prefix);
    check("limit", limit, atLeast(1, limit));
    return this.#tapes.list({ prefix, limit });
  }

  /**
   * Closes the runs of this process: begins no more, lets those that are going on end, aborts the rest as `lost`, and
   * closes the store. Sessions that still follow a run of another process are closed, and their clients come back. Call
   * it before `hub.close()`. Idempotent.
   *
   * @param options - Time for the runs to end.
   * @returns Resolves in bounded time. Never rejects.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
   */
  close(options: CloseRunsOptions = {}): Promise<void> {
    checkOptions("close", options, ["drainMs"]);
    const { drainMs = 0 } = options;
    check("drainMs", drainMs, milliseconds(0, drainMs));
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    const all = (): Promise<unknown> => Promise.all([...this.#producers].map(({ ended }) => ended));
    if (this.#producers.size > 0 && drainMs > 0) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => {
        timer = setTimeout(resolve, drainMs);
      });
      await Promise.race([all(), late]);
      clearTimeout(timer);
    }
    for (const producer of this.#producers) producer.close();
    await all();
    await this.#tapes.close();
    this.#isClosed = true;
    for (const wake of this.#follow.followers) wake();
  }
}

function closed(): SseError {
  return new SseError("ERR_SSE_CLOSED", "The runs are closed", { statusCode: 503 });
}
