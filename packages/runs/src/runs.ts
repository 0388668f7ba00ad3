/** Starts, follows, reads and stops runs; owns the producers of this process. */

import { SseError, isSseError } from "@tidewire/core";
import {
  KeepAlive,
  atLeast,
  milliseconds,
  rejectedWith,
  runOutside,
  unexpected,
} from "@tidewire/core/adapter";
import { check, checkOptions } from "./check-options.js";
import { checkFollowOptions, closedError, follow } from "./follow.js";
import type { FollowingSession, FollowOptions, FollowParts } from "./follow.js";
import { resolveRunsOptions, resolveStartOptions } from "./options.js";
import type {
  MapRunItem,
  OpenRunSource,
  ResolvedRunsOptions,
  RunErrorStage,
  RunsOptions,
  StartOptions,
} from "./options.js";
import { Producer } from "./producer.js";
import { RunReader } from "./read.js";
import type { RunEvent, RunReadOptions } from "./read.js";
import { encodeKey } from "./run-id.js";
import type { Outcome } from "./tape.js";
import type { RunState, Tapes } from "./tapes.js";

/** Result of `start`. */
export interface Started {
  /** `true` if this call began the run, `false` if a run of that key was running. */
  readonly started: boolean;
}

/** Counters and current state of the runs of a process, from `runs.stats()`. */
export interface RunsStats {
  /** Runs that this process is producing. */
  readonly running: number;
  /** Sessions and loops over `read` in this process that follow a run, which may be produced anywhere. */
  readonly followers: number;
  /** Runs that this process has started. */
  readonly started: number;
  /** Their ends, by outcome. */
  readonly ends: Readonly<Record<Outcome, number>>;
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
   * How long runs of this process may continue to their own end, in milliseconds. The rest is aborted and ends as
   * `lost`.
   *
   * @defaultValue `0`
   */
  readonly drainMs?: number | undefined;
}

/** Time for the last items and the ends of runs that `close` aborts, in milliseconds: the store may be unreachable. */
const LAST_MS = 2_000;

/**
 * Creates runs: answers of a model, exports, builds. Each is produced once, continues when its readers leave, and
 * stops only when you stop it. Any number of sessions follow it, from the beginning or from where they were.
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
  /** Runs that are running in this process, and those that are being created. */
  readonly #producers = new Set<Producer>();
  #started = 0;
  readonly #ends: Record<Outcome, number> = { done: 0, failed: 0, stopped: 0, lost: 0 };
  /** Number of loops over `read` under way. */
  #readings = 0;
  /** A loop that waits for items is work: otherwise a program that only reads would end at once. */
  readonly #work = new KeepAlive();
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
      reading: (change) => {
        this.#readings += change;
        runOutside(() => this.#work.set(this.#readings > 0));
      },
      isClosed: () => this.#isClosed,
      report: options.report,
    };
  }

  /**
   * Begins a run, unless one with that key is running anywhere. After its end another can begin at once.
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
   *   invalid, with `ERR_SSE_RUNS_FULL` (status 503) if too many runs are running, with `ERR_SSE_CLOSED` (status 503)
   *   after `close`, and with the error of the store if it cannot be reached. Every rejection but that for an argument
   *   is also reported to `onError` with the stage `start`; an unawaited one does not end the process.
   */
  start<Item>(
    key: string,
    source: OpenRunSource<Item>,
    options?: MapRunItem<Item> | StartOptions<Item>,
  ): Promise<Started> {
    let resolved: ReturnType<typeof resolveStartOptions<Item>>;
    try {
      encodeKey(key);
      if (typeof source !== "function") {
        throw unexpected("source", "a function that returns the source", source);
      }
      resolved = resolveStartOptions(options, this.#options.limits);
    } catch (error) {
      return rejectedWith(error);
    }
    return this.#heard("start", key, this.#start(key, source, resolved));
  }

  async #start<Item>(
    key: string,
    source: OpenRunSource<Item>,
    { map, ...limits }: ReturnType<typeof resolveStartOptions<Item>>,
  ): Promise<Started> {
    if (this.#closing !== undefined) throw closedError();
    const { maxRuns } = this.#options;
    if (this.#producers.size >= maxRuns) {
      const state = await this.#tapes.state(key);
      if (state?.state === "running") return { started: false };
      throw new SseError(
        "ERR_SSE_RUNS_FULL",
        `${maxRuns} runs are running in this process (\`maxRuns\`)`,
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
        throw closedError();
      }
      this.#started += 1;
      void producer.ended.then(() => {
        this.#producers.delete(producer);
        this.#ends[producer.outcome] += 1;
      });
      producer.start(writer, source, map);
      return { started: true };
    } catch (error) {
      this.#producers.delete(producer);
      throw error;
    }
  }

  /**
   * Sends a run to a client: the items that it does not have yet, then each item as it comes, then the end. Each item has its
   * position as its id, so that a client that reconnects continues after it, on any node.
   *
   * If there is nothing to follow, the answer is 204, after which `EventSource` does not reconnect: no run of that key,
   * one that is no longer kept, or a client that reports a position of an earlier run. It never gets parts of two runs.
   * If the store cannot be reached, or the runs are closed and the hub is not yet, a client that names
   * `text/event-stream` gets an empty stream and reconnects.
   *
   * @param key - Key of the run.
   * @param session - Session of the client: `res.sse`, `reply.sse` or `hub.createSession(…)`, without channels.
   * @param options - Last message, and position.
   * @returns `true` once the client was sent the end; `false` if it left first, or there was nothing to follow. Rejects
   *   with `ERR_SSE_INVALID_OPTION` if an argument is invalid (status 400 if it is the key or `after`), with
   *   `ERR_SSE_ID_RESERVED` if the session has subscribed to channels, with `ERR_SSE_HEADERS_SENT` if the response was
   *   sent already, and with the error of `end`. For a client that does not name `text/event-stream` also with the
   *   error of the store if that cannot be reached, and with `ERR_SSE_CLOSED` (status 503) after `close`. Every
   *   rejection but that for an argument is also reported to `onError` with the stage `follow`; an unawaited one does
   *   not end the process.
   */
  follow(key: string, session: FollowingSession, options: FollowOptions = {}): Promise<boolean> {
    try {
      encodeKey(key);
      checkFollowOptions(session, options);
    } catch (error) {
      return rejectedWith(error);
    }
    return this.#heard("follow", key, follow(this.#follow, key, session, options));
  }

  /**
   * Reads a run in server code: the same items with the same ids, then one `end`. While it reads, the run has a
   * follower, and the process stays alive: to store what a run produces, collect it in the source instead, or `abandonMs`
   * never stops the run. Leaving the loop frees everything.
   *
   * @param key - Key of the run.
   * @param options - Position, and a signal that ends the iteration.
   * @returns An iterable for one loop. It yields nothing, not even an end, if there is nothing to follow. Its first `next`
   *   rejects with the error of the store if that cannot be reached, and with `ERR_SSE_CLOSED` (status 503) after `close`.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an argument is invalid.
   */
  read(key: string, options: RunReadOptions = {}): AsyncIterableIterator<RunEvent> {
    encodeKey(key);
    return new RunReader(this.#follow, key, options);
  }

  /**
   * Stops a run that is running in any process: its source's `signal` aborts, and its followers get the end `stopped`.
   *
   * @param key - Key of the run.
   * @returns `true` if there was such a run. Another can begin then. Rejects with `ERR_SSE_INVALID_OPTION` if the key is
   *   invalid, with the error of the store if it cannot be reached, and with `ERR_SSE_CLOSED` (status 503) after `close`.
   *   Every rejection but that for the key is also reported to `onError` with the stage `stop`; an unawaited one does not
   *   end the process.
   */
  stop(key: string): Promise<boolean> {
    try {
      encodeKey(key);
    } catch (error) {
      return rejectedWith(error);
    }
    return this.#heard("stop", key, this.#stop(key));
  }

  async #stop(key: string): Promise<boolean> {
    return this.#open().stop(key);
  }

  /**
   * Returns the state of the newest run of a key, in whichever process it is running.
   *
   * @param key - Key of the run.
   * @returns Its state; `undefined` if there is none, or it is no longer kept. Rejects with `ERR_SSE_INVALID_OPTION` if
   *   the key is invalid, with the error of the store if it cannot be reached, and with `ERR_SSE_CLOSED` (status 503)
   *   after `close`.
   */
  async state(key: string): Promise<RunState | undefined> {
    encodeKey(key);
    return this.#open().state(key);
  }

  /**
   * Lists the newest run of each key, in no particular order: those that are running, and those that are still kept.
   *
   * @param options - Which keys, and how many.
   * @returns Their states. Rejects with `ERR_SSE_INVALID_OPTION` if an option is invalid, with the error of the
   *   store if it cannot be reached, and with `ERR_SSE_CLOSED` (status 503) after `close`.
   */
  async list(options: ListOptions = {}): Promise<readonly RunState[]> {
    checkOptions("list", options, ["prefix", "limit"]);
    const { prefix = "", limit = 1_000 } = options;
    if (typeof prefix !== "string") throw unexpected("prefix", "a string", prefix);
    check("limit", limit, atLeast(1, limit));
    return this.#open().list({ prefix, limit });
  }

  /**
   * Returns counters and the current state of the runs of this process.
   *
   * @returns A copy that does not change.
   */
  stats(): RunsStats {
    return {
      running: this.#producers.size,
      followers: this.#follow.followers.size,
      started: this.#started,
      ends: { ...this.#ends },
    };
  }

  /**
   * Closes the runs of this process: begins no more, lets those that are running end, aborts the rest as `lost`, and
   * closes the store. Sessions that still follow a run of another process are closed, and their clients reconnect. Call
   * it before `hub.close()`. Idempotent.
   *
   * @param options - Time for the runs to end.
   * @returns Resolves once everything is closed: a few seconds after `drainMs` at the latest, also if the store cannot be
   *   reached. Never rejects.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
   */
  close(options: CloseRunsOptions = {}): Promise<void> {
    checkOptions("close", options, ["drainMs"]);
    const { drainMs = 0 } = options;
    check("drainMs", drainMs, milliseconds(0, drainMs));
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  /**
   * Reports a rejection, which counts as handled from then on: many callers do not await, and an outage of the store must
   * not end their process.
   *
   * @returns The same promise.
   */
  #heard<Result>(stage: RunErrorStage, key: string, result: Promise<Result>): Promise<Result> {
    result.catch((error: unknown) => {
      // An ordinary deploy.
      const isClosed = isSseError(error) && error.code === "ERR_SSE_CLOSED";
      if (!isClosed) this.#options.report(error, stage, key);
    });
    return result;
  }

  /** @returns The store. Throws after `close`. */
  #open(): Tapes {
    if (this.#isClosed) throw closedError();
    return this.#tapes;
  }

  async #close(drainMs: number): Promise<void> {
    if (drainMs > 0) await this.#allEnded(drainMs);
    for (const producer of this.#producers) producer.close();
    await this.#allEnded(LAST_MS);
    // Comes first: a client that asks from here on gets the answer of closed runs, not an error of the store.
    this.#isClosed = true;
    await this.#tapes.close();
    for (const wake of this.#follow.followers) wake();
  }

  /** Waits until all runs of this process have ended, or a time is over. */
  async #allEnded(withinMs: number): Promise<void> {
    if (this.#producers.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, withinMs);
    });
    await Promise.race([Promise.all([...this.#producers].map(({ ended }) => ended)), late]);
    clearTimeout(timer);
  }
}
