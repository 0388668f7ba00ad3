/** Entry point for stores of tapes, `@tidewire/runs/tapes`: the contract between runs and the place where they are kept. */

import type { Outcome, RunEnd, Tape, TapeItem } from "./tape.js";

export { Tape } from "./tape.js";
export type { Outcome, RunEnd, TapeItem } from "./tape.js";
export { createRunId, encodeKey, formatPosition, parsePosition } from "./run-id.js";
export type { Position } from "./run-id.js";

/** Settings of a new run. */
export interface TapeTerms {
  /** How long the tape is kept after the end of the run, in milliseconds. */
  readonly keepMs: number;
  /** How long the run may continue without a follower, in milliseconds; `false` for any time. Only for information. */
  readonly abandonMs: number | false;
}

/**
 * Why a run ended without its producer.
 *
 * - `stopped`: `Tapes.stop` was called, on any node
 * - `lost`: the producer has lost its lease, and other nodes may have seen the end `lost`
 */
export type CancelReason = "stopped" | "lost";

/** State of a run. */
export interface RunState {
  /** Key of the run. */
  readonly key: string;
  /** Run id: `<encoded key>.<generation>`. */
  readonly runId: string;
  /** `running`, or the outcome of the run. */
  readonly state: "running" | Outcome;
  /** Message of the error of a run that has failed. It may contain details that clients should not see. */
  readonly error?: string | undefined;
  /** Number of items on the tape: the newest has the id `<run id>.<items>`. */
  readonly items: number;
  /** When the run began, in milliseconds since 1970, on the clock of the store. */
  readonly startedAt: number;
  /** When the run ended, in milliseconds since 1970; `undefined` while it is running. */
  readonly endedAt?: number | undefined;
}

/** Selects runs for `list`. */
export interface ListQuery {
  /** Beginning of the keys; `""` for all. */
  readonly prefix: string;
  /** Most runs to return, from 1. */
  readonly limit: number;
}

/**
 * A place where tapes are kept: `memoryTapes()`, or `redisTapes()` of `@tidewire/redis`.
 *
 * A store MUST
 * - let at most one run of a key be running at a time, in all processes that share the store;
 * - give each run a new id, made by `createRunId`;
 * - give every reader the same items in the same order, and exactly one end;
 * - end a run as `lost` if its producer is gone, within the store's lease;
 * - settle every promise in bounded time, also if it cannot be reached.
 *
 * A store MUST NOT
 * - add an item to a tape after its end, or after it has cancelled the producer;
 * - keep the process alive with a timer.
 */
export interface Tapes {
  /**
   * Begins a run with an empty tape. A run of that key that has ended is replaced: readers that have opened it read it to
   * its end, new readers get the new one.
   *
   * @param key - Key of the run, already checked by `encodeKey`.
   * @param terms - Settings of the run.
   * @param cancel - Called at most once if the run ends without its producer, never after `TapeWriter.end`. The end is
   *   on the tape by then, or the store adds it. It must not throw.
   * @returns The writer; `undefined` if a run of that key is running. Rejects if the store is full (`ERR_SSE_RUNS_FULL`,
   *   status 503) or cannot be reached.
   */
  create(
    key: string,
    terms: TapeTerms,
    cancel: (why: CancelReason) => void,
  ): Promise<TapeWriter | undefined>;
  /**
   * Opens the tape of the newest run of a key.
   *
   * @returns The reader, which the caller closes; `undefined` if there is no such run, or it is no longer kept. Rejects
   *   if the store cannot be reached.
   */
  open(key: string): Promise<TapeReader | undefined>;
  /**
   * Ends the run of a key with the outcome `stopped`. Once it resolves, another run of that key can begin, and the
   * producer is cancelled if it is one of this store object.
   *
   * @returns `true` if there was a run to end. Rejects if the store cannot be reached.
   */
  stop(key: string): Promise<boolean>;
  /** @returns State of the newest run of a key; `undefined` if there is none. Rejects if the store cannot be reached. */
  state(key: string): Promise<RunState | undefined>;
  /** @returns Newest run of each key that matches, in no particular order. Rejects if the store cannot be reached. */
  list(query: ListQuery): Promise<readonly RunState[]>;
  /**
   * Ends the runs of this process that are still running as `lost`, and frees everything: connections, timers, tapes
   * in memory. Tapes that are still open get no more items. Idempotent, never rejects.
   */
  close(): Promise<void>;
}

/** The producer's side of a run. */
export interface TapeWriter {
  /** Run id. */
  readonly runId: string;
  /**
   * Adds items. Those of several calls may be joined, for at most 10 ms.
   *
   * @param items - Checked items, at least one.
   * @returns `undefined` if the store has already taken them, otherwise a promise that settles once it has. Callers may
   *   add more before that. Rejects if the items are not on the tape: then `cancel` is called, or has been.
   */
  append(items: readonly TapeItem[]): Promise<void> | undefined;
  /**
   * Time since the run last had a follower on any node, or since it began, in milliseconds; 0 while it has one. Asked
   * just before the run is stopped because of it.
   */
  unfollowedMs(): number | Promise<number>;
  /**
   * Ends the run. Called at most once, after the last `append` has settled.
   *
   * @param end - Outcome, and the error if it has failed.
   * @returns Settles once readers can see the end. Rejects if the store could not take it: the run will be `lost`.
   */
  end(end: RunEnd): Promise<void>;
}

/** One reader of a tape. While it is open, the run has a follower. */
export interface TapeReader {
  /** Run id. */
  readonly runId: string;
  /**
   * The tape, shared by all readers of the run in this process. It may be empty at first, and fills up by itself. It
   * gets an end in any case, unless the store is closed.
   */
  readonly tape: Tape;
  /** Gives the reader back. Idempotent. */
  close(): void;
}
