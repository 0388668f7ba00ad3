/** Tapes in the memory of this process. */

import { SseError } from "@tidewire/core";
import { atLeast, runOutside } from "@tidewire/core/adapter";
import { sizeOf } from "./item.js";
import { check, checkOptions } from "./check-options.js";
import { createRunId } from "./run-id.js";
import { Tape } from "./tape.js";
import type { RunEnd } from "./tape.js";
import type {
  CancelReason,
  ListQuery,
  RunState,
  TapeReader,
  Tapes,
  TapeTerms,
  TapeWriter,
} from "./tapes.js";

/** Options of `memoryTapes`. */
export interface MemoryTapesOptions {
  /**
   * Size of all runs that have ended and are still kept, counted as for `maxBytes`. Beyond it, the tapes that ended
   * first are dropped before their `keepMs` is over. Runs that are still running do not count.
   *
   * @defaultValue `67_108_864` (64 MiB)
   */
  readonly maxKeptBytes?: number | undefined;
}

/**
 * Creates a store of tapes in the memory of this process: for a single process, for tests and for development. The
 * tapes end with the process.
 *
 * @param options - Bounds.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function memoryTapes(options: MemoryTapesOptions = {}): Tapes {
  checkOptions("memoryTapes", options, ["maxKeptBytes"]);
  const { maxKeptBytes = 67_108_864 } = options;
  check("maxKeptBytes", maxKeptBytes, atLeast(0, maxKeptBytes));
  return new MemoryTapes(maxKeptBytes);
}

/** One run, from its start until its tape is dropped. */
class MemoryRun {
  readonly key: string;
  readonly runId: string;
  readonly keepMs: number;
  readonly tape = new Tape();
  readonly startedAt = Date.now();
  /** Set until the run ends, if its producer wants to know. */
  cancel: ((why: CancelReason) => void) | undefined;
  endedAt: number | undefined;
  followers = 0;
  /** When the last follower left, or the run began; meaningless while there are followers. */
  leftAt = performance.now();
  /** Bytes of the tape; 0 until the run has ended. */
  bytes = 0;
  /** Drops the tape. Set from the end of the run until then. */
  timer: NodeJS.Timeout | undefined;

  constructor(key: string, keepMs: number, cancel: (why: CancelReason) => void) {
    this.key = key;
    this.runId = createRunId(key);
    this.keepMs = keepMs;
    this.cancel = cancel;
  }

  get state(): RunState {
    const { key, runId, tape, startedAt, endedAt } = this;
    const { outcome = "running", error } = tape.end ?? {};
    return { key, runId, state: outcome, error, items: tape.length, startedAt, endedAt };
  }
}

class MemoryTapes implements Tapes {
  /** The newest run of each key that is running or still kept. */
  readonly #runs = new Map<string, MemoryRun>();
  /** Runs that have ended and are still kept, the first to end first. */
  readonly #kept = new Set<MemoryRun>();
  readonly #maxKeptBytes: number;
  /** Bytes of `#kept`. */
  #keptBytes = 0;
  #isClosed = false;

  constructor(maxKeptBytes: number) {
    this.#maxKeptBytes = maxKeptBytes;
  }

  async create(
    key: string,
    { keepMs }: TapeTerms,
    cancel: (why: CancelReason) => void,
  ): Promise<TapeWriter | undefined> {
    this.#checkOpen();
    const earlier = this.#runs.get(key);
    if (earlier !== undefined) {
      if (earlier.endedAt === undefined) return undefined;
      this.#drop(earlier);
    }
    const run = new MemoryRun(key, keepMs, cancel);
    this.#runs.set(key, run);
    return {
      runId: run.runId,
      append(items) {
        run.tape.add(items);
        return undefined;
      },
      unfollowedMs: () => (run.followers > 0 ? 0 : performance.now() - run.leftAt),
      end: async (end) => this.#end(run, end),
    };
  }

  async open(key: string): Promise<TapeReader | undefined> {
    this.#checkOpen();
    const run = this.#runs.get(key);
    if (run === undefined) return undefined;
    run.followers += 1;
    let isOpen = true;
    return {
      runId: run.runId,
      tape: run.tape,
      close() {
        if (!isOpen) return;
        isOpen = false;
        run.followers -= 1;
        if (run.followers === 0) run.leftAt = performance.now();
      },
    };
  }

  async stop(key: string): Promise<boolean> {
    this.#checkOpen();
    const run = this.#runs.get(key);
    if (run === undefined || run.endedAt !== undefined) return false;
    this.#cancel(run, "stopped");
    return true;
  }

  async state(key: string): Promise<RunState | undefined> {
    this.#checkOpen();
    return this.#runs.get(key)?.state;
  }

  async list({ prefix, limit }: ListQuery): Promise<readonly RunState[]> {
    this.#checkOpen();
    const found: RunState[] = [];
    for (const run of this.#runs.values()) {
      if (found.length >= limit) break;
      if (run.key.startsWith(prefix)) found.push(run.state);
    }
    return found;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const run of this.#runs.values()) {
      if (run.endedAt === undefined) this.#cancel(run, "lost");
      this.#drop(run);
    }
  }

  /** A run that is not found after `close` may well be found in the next process. */
  #checkOpen(): void {
    if (this.#isClosed) {
      throw new SseError("ERR_SSE_CLOSED", "The tapes are closed", { statusCode: 503 });
    }
  }

  /** Ends a run without its producer. */
  #cancel(run: MemoryRun, why: CancelReason): void {
    const { cancel } = run;
    this.#end(run, { outcome: why });
    cancel?.(why);
  }

  #end(run: MemoryRun, end: RunEnd): void {
    if (run.endedAt !== undefined) return;
    run.endedAt = Date.now();
    run.cancel = undefined;
    run.tape.finish(end);
    if (run.keepMs === 0) return this.#drop(run);
    for (let number = 1; number <= run.tape.length; number++) {
      const item = run.tape.at(number);
      if (item !== undefined) run.bytes += sizeOf(item);
    }
    this.#kept.add(run);
    this.#keptBytes += run.bytes;
    // It may outlast the request that began the run by far, and must not keep that request's context.
    run.timer = runOutside(() => setTimeout(() => this.#drop(run), run.keepMs).unref());
    for (const oldest of this.#kept) {
      if (this.#keptBytes <= this.#maxKeptBytes) return;
      this.#drop(oldest);
    }
  }

  /** Forgets a run. Readers that have its tape read it to its end. */
  #drop(run: MemoryRun): void {
    clearTimeout(run.timer);
    if (this.#kept.delete(run)) this.#keptBytes -= run.bytes;
    if (this.#runs.get(run.key) === run) this.#runs.delete(run.key);
  }
}
