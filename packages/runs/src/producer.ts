/** Produces one run: reads its source, fills its tape and ends it, whatever the source does. */

import { SseError } from "@tidewire/core";
import { Scope, breathe, describeValue, messageOf, openSource } from "@tidewire/core/adapter";
import type { SourceReader } from "@tidewire/core/adapter";
import { encodeItem, sizeOf } from "./item.js";
import type {
  MapRunItem,
  OpenRunSource,
  ResolvedRunLimits,
  ResolvedRunsOptions,
} from "./options.js";
import type { Outcome, RunEnd } from "./tape.js";
import type { CancelReason, TapeWriter } from "./tapes.js";

/** Why a run ends before its source: the `cause` of the abort. */
type AbortCause = CancelReason | "abandoned" | "failed" | "closed";

/** Bytes that may be on their way to the store before the source has to wait. */
const MAX_UNTAKEN_BYTES = 65_536;
/** Longest error message on a tape. */
const MAX_ERROR_LENGTH = 1_024;
/** Time until the followers are counted again after the store could not say, in milliseconds. */
const ASK_AGAIN_MS = 1_000;

/** The producer of one run. */
export class Producer {
  /** Settles when the run is over and its end is on the tape, or could not be put there. Never rejects. */
  readonly ended: Promise<void>;
  /** How the run ended; meaningless before `ended` has settled. */
  outcome: Outcome = "lost";
  readonly #key: string;
  readonly #limits: ResolvedRunLimits;
  readonly #options: ResolvedRunsOptions;
  readonly #abort = new AbortController();
  /** The async context of `start`, in which the source and its listeners run. */
  readonly #scope = new Scope();
  #writer: TapeWriter | undefined;
  /** Set while the source is being read. */
  #reader: SourceReader | undefined;
  /** Whether the end is decided: nothing is added any more. */
  #isOver = false;
  /** Whether the store has ended the run, so that no end has to be added. */
  #isCancelled = false;
  /** The next check for followers. */
  #timer: NodeJS.Timeout | undefined;
  #bytes = 0;
  /** Bytes on their way to the store. */
  #untaken = 0;
  /** Settles once the store has taken everything it was given until now; `undefined` if it has. */
  #taken: Promise<void> | undefined;
  #tellEnded: () => void = () => {};

  constructor(key: string, limits: ResolvedRunLimits, options: ResolvedRunsOptions) {
    this.#key = key;
    this.#limits = limits;
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
  }

  /** Receives from the store that the run is over without its producer. */
  readonly cancel = (why: CancelReason): void => {
    this.#isCancelled = true;
    if (this.#isOver) return;
    this.outcome = why;
    this.#interrupt(why);
    this.#tellEnded();
  };

  /**
   * Begins to read the source.
   *
   * @param writer - The tape of the run.
   * @param open - Begins to produce.
   * @param map - Turns an item into a message.
   */
  start<Item>(
    writer: TapeWriter,
    open: OpenRunSource<Item>,
    map: MapRunItem<Item> | undefined,
  ): void {
    this.#writer = writer;
    if (this.#isOver) return;
    const { abandonMs } = this.#limits;
    if (abandonMs !== false) this.#checkFollowersIn(abandonMs, abandonMs);
    void this.#produce(writer, open, map);
  }

  /** Ends a run that is still running, because this process stops. */
  close(): void {
    if (!this.#isOver) this.#interruptAndEnd({ outcome: "lost" }, "closed");
  }

  async #produce<Item>(
    writer: TapeWriter,
    open: OpenRunSource<Item>,
    map: MapRunItem<Item> | undefined,
  ): Promise<void> {
    let isSourceOver = false;
    try {
      const { signal } = this.#abort;
      const source = await open({ key: this.#key, runId: writer.runId, signal });
      const reader = openSource(checkSource(source));
      if (this.#isOver) return this.#cancelSource(reader);
      this.#reader = reader;
      for (;;) {
        isSourceOver = true;
        const { done, value } = await reader.next();
        isSourceOver = done;
        // A source that never waits would block the event loop.
        const pause = breathe();
        if (pause !== undefined) await pause;
        if (this.#isOver) return;
        if (done) break;
        const message = map === undefined ? value : mapped(map, value);
        if (map !== undefined && message === undefined) continue;
        const taken = this.#add(writer, message);
        if (taken === undefined) continue;
        await taken;
        if (this.#isOver) return;
      }
      this.#isOver = true;
      this.#reader = undefined;
      await this.#end({ outcome: "done" });
    } catch (error) {
      if (this.#isOver) return this.#reportLate(error);
      this.#options.report(error, "source", this.#key);
      if (isSourceOver) this.#reader = undefined;
      this.#interruptAndEnd(
        { outcome: "failed", error: messageOf(error).slice(0, MAX_ERROR_LENGTH) },
        "failed",
      );
    }
  }

  /**
   * Adds one item.
   *
   * @returns `undefined` if the source may continue, otherwise a promise that settles once it may.
   */
  #add(writer: TapeWriter, message: unknown): Promise<void> | undefined {
    const item = encodeItem(message, this.#options.framing);
    const size = sizeOf(item);
    this.#bytes += size;
    const { maxBytes } = this.#limits;
    if (this.#bytes > maxBytes) {
      throw new SseError(
        "ERR_SSE_INVALID_DATA",
        `Expected the run ${JSON.stringify(this.#key)} to have at most ${maxBytes} bytes (\`maxBytes\`)`,
      );
    }
    const taken = writer.append([item]);
    if (taken === undefined) return undefined;
    this.#untaken += size;
    const before = this.#taken;
    const all = Promise.all([before, taken]).then(
      () => {
        this.#untaken -= size;
        if (this.#taken === all) this.#taken = undefined;
      },
      // The store cancels the run, or has: there is nothing else to say here.
      () => {},
    );
    this.#taken = all;
    return this.#untaken > MAX_UNTAKEN_BYTES ? all : undefined;
  }

  /** Ends the run before its source. */
  #interruptAndEnd(end: RunEnd, why: AbortCause): void {
    this.#interrupt(why);
    void this.#end(end);
  }

  /** Stops everything that the run still does, except for its end. */
  #interrupt(why: AbortCause): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    const reader = this.#reader;
    this.#reader = undefined;
    const abort = new DOMException(`The run has ended: ${why}`, {
      name: "AbortError",
      cause: why,
    });
    // A stop comes from another request, or from another process.
    this.#scope.runInAsyncScope(() => {
      this.#abort.abort(abort);
      if (reader !== undefined) this.#cancelSource(reader);
    });
  }

  /** Puts the end on the tape, after everything that was added. Never rejects. */
  async #end(end: RunEnd): Promise<void> {
    clearTimeout(this.#timer);
    this.outcome = end.outcome;
    try {
      if (this.#taken !== undefined) await this.#taken;
      if (!this.#isCancelled) await this.#writer?.end(end);
    } catch (error) {
      if (!this.#isCancelled) this.#options.report(error, "tapes", this.#key);
    }
    this.#tellEnded();
  }

  #cancelSource(reader: SourceReader): void {
    reader.cancel(this.#abort.signal.reason).catch((error: unknown) => this.#reportLate(error));
  }

  /** Reports an error of a source after the end of its run, unless it only says that it was aborted. */
  #reportLate(error: unknown): void {
    const { reason } = this.#abort.signal as { readonly reason: unknown };
    if (error === reason || isAbort(error)) return;
    this.#options.report(error, "source", this.#key);
  }

  #checkFollowersIn(waitMs: number, abandonMs: number): void {
    this.#timer = setTimeout(() => void this.#checkFollowers(abandonMs), waitMs).unref();
  }

  async #checkFollowers(abandonMs: number): Promise<void> {
    try {
      const unfollowedMs = (await this.#writer?.unfollowedMs()) ?? 0;
      if (this.#isOver) return;
      if (unfollowedMs >= abandonMs) {
        return this.#interruptAndEnd({ outcome: "stopped" }, "abandoned");
      }
      this.#checkFollowersIn(Math.ceil(abandonMs - unfollowedMs), abandonMs);
    } catch (error) {
      if (this.#isOver) return;
      this.#options.report(error, "tapes", this.#key);
      this.#checkFollowersIn(Math.min(abandonMs, ASK_AGAIN_MS), abandonMs);
    }
  }
}

/** Whether an error says that a source was aborted, or that a Node stream was destroyed while it was read. */
function isAbort(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    error.name === "AbortError" || ("code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE")
  );
}

function checkSource(source: unknown): unknown {
  const isSource =
    typeof source === "object" &&
    source !== null &&
    ("getReader" in source || Symbol.asyncIterator in source || Symbol.iterator in source);
  if (isSource) return source;
  throw new SseError(
    "ERR_SSE_INVALID_DATA",
    `Expected the source of a run to be an iterable, an async iterable or a readable stream, got ${describeValue(source)}`,
  );
}

/** Calls `map`. Throws if it returns a promise, whose later rejection must not end the process. */
function mapped<Item>(map: MapRunItem<Item>, value: unknown): unknown {
  const message: unknown = (map as (item: unknown) => unknown)(value);
  if (!(message instanceof Promise)) return message;
  message.catch(() => {});
  throw new SseError(
    "ERR_SSE_INVALID_DATA",
    "Expected `map` to return a message, got a promise: await it in the source instead",
  );
}
