/** A log that fails on command, for tests of what an application does then. */

import { randomUUID } from "node:crypto";
import { SseError, memoryLog } from "@tidewire/core";
import type { PublishOptions } from "@tidewire/core";
import type {
  FoundId,
  Log,
  LogEntry,
  LogFollower,
  LogHealth,
  LogMessage,
  LogPage,
  LogPast,
  LogResetReason,
  PastQuery,
  PastRoom,
} from "@tidewire/core/log";

/** Channel of the entries that mark a fork or a trim. They reach no client. */
const MARKS = "~testing";

/** How `append` fails. */
type Refusal = "ERR_SSE_LOG_REJECTED" | "ERR_SSE_LOG_UNKNOWN";

/**
 * A log that fails on command: `createHub({ log: faultyLog() })`. Without a command it does what the log inside does.
 *
 * Pending appends and held entries come through once `restore` is called.
 */
export class FaultyLog implements Log {
  readonly past: LogPast | undefined;
  readonly #log: Log;
  #follower: LogFollower | undefined;
  #refusal: Refusal | undefined;
  /** `undefined` exactly while the log does not hang. */
  #hung: { readonly restored: Promise<void>; restore(): void } | undefined;
  /** Calls to the follower that a hanging log holds back. */
  #held: (() => void)[] = [];
  #isClosed = false;
  #lastError: SseError | undefined;
  /** The last fork or trim: every position before it is lost. */
  #lost: { readonly reason: LogResetReason; readonly id: string } | undefined;
  /** The marks that are on their way, by their data. */
  readonly #marks = new Map<string, LogResetReason>();

  /** @internal Made by {@link faultyLog}. */
  constructor(log: Log) {
    this.#log = log;
    const { past } = log;
    this.past = past === undefined ? undefined : this.#wrap(past);
  }

  /**
   * From now on `publish` rejects.
   *
   * @param code - `ERR_SSE_LOG_REJECTED`: the event is not in the log. `ERR_SSE_LOG_UNKNOWN`: the event is in the log and reaches
   *   clients, but the answer is lost.
   * @defaultValue `"ERR_SSE_LOG_REJECTED"`
   */
  reject(code: Refusal = "ERR_SSE_LOG_REJECTED"): void {
    this.#refusal = code;
  }

  /** From now on `publish` stays pending, events of others do not arrive, and the log is `down`. */
  hang(): void {
    if (this.#hung !== undefined || this.#isClosed) return;
    let restore = (): void => {};
    const restored = new Promise<void>((resolve) => {
      restore = resolve;
    });
    this.#hung = { restored, restore };
  }

  /** Ends `reject` and `hang`. Everything that was held comes through, in order. */
  restore(): void {
    this.#refusal = undefined;
    const hung = this.#hung;
    this.#hung = undefined;
    for (const call of this.#held.splice(0)) call();
    hung?.restore();
  }

  /**
   * Replaces the history, as a Redis does that has lost its data: every open stream with channels gets one `sse-reset`
   * with `fork`, and a client that comes back with an older position gets one with `unknown`.
   *
   * @returns Resolves once the hub knows.
   */
  fork(): Promise<void> {
    return this.#mark("fork");
  }

  /**
   * Drops the history: every open stream with channels gets one `sse-reset` with `trimmed`, and so does a client that comes
   * back with an older position.
   *
   * @returns Resolves once the hub knows.
   */
  trim(): Promise<void> {
    return this.#mark("trimmed");
  }

  start(follower: LogFollower): string | Promise<string> {
    this.#follower = follower;
    return this.#log.start({
      entries: (entries) => this.#deliver(entries),
      reset: (reason, tail) => this.#tell(() => follower.reset(reason, tail)),
      failed: (error) => this.#tell(() => follower.failed(error)),
    });
  }

  async append(channel: string, message: LogMessage, options?: PublishOptions): Promise<string> {
    const refusal = this.#refusal;
    if (refusal !== undefined && !this.#isClosed) {
      if (refusal === "ERR_SSE_LOG_UNKNOWN") await this.#log.append(channel, message, options);
      this.#lastError = new SseError(refusal, "The log fails on command", { statusCode: 503 });
      throw this.#lastError;
    }
    // Appends that hang keep their order, and a close settles them.
    while (this.#hung !== undefined && !this.#isClosed) await this.#hung.restored;
    return this.#log.append(channel, message, options);
  }

  compare(a: string, b: string): number {
    const order = this.#log.compare(a, b);
    const lost = this.#lost;
    if (lost?.reason !== "fork") return order;
    const isLost = (id: string): boolean => this.#log.compare(id, lost.id) < 0;
    return isLost(a) || isLost(b) ? NaN : order;
  }

  health(): LogHealth {
    const health = this.#log.health();
    const lastError = this.#lastError ?? health.lastError;
    const noted = lastError === undefined ? health : { ...health, lastError };
    return this.#hung === undefined || health.state === "closed"
      ? noted
      : { ...noted, state: "down" };
  }

  async close(withinMs?: number): Promise<void> {
    this.#isClosed = true;
    this.#held = [];
    await this.#log.close(withinMs);
    this.#hung?.restore();
    this.#hung = undefined;
  }

  async #mark(reason: LogResetReason): Promise<void> {
    const data = `${reason} ${randomUUID()}`;
    this.#marks.set(data, reason);
    await this.#log.append(MARKS, { data });
    // A log over a network delivers the mark later than it answers.
    await this.#log.past?.sync();
  }

  #deliver(entries: readonly LogEntry[]): boolean {
    if (this.#hung !== undefined) {
      this.#held.push(() => this.#deliver(entries));
      return true;
    }
    const at = entries.findIndex(({ channel, data }) => channel === MARKS && this.#marks.has(data));
    const mark = entries[at];
    if (mark === undefined) return this.#follower?.entries(entries) ?? false;
    const before = entries.slice(0, at);
    if (before.length > 0) this.#follower?.entries(before);
    const reason = this.#marks.get(mark.data) ?? "fork";
    this.#marks.delete(mark.data);
    this.#lost = { reason, id: mark.id };
    this.#follower?.reset(reason, mark.id);
    const behind = entries.slice(at + 1);
    return behind.length > 0 ? this.#deliver(behind) : true;
  }

  #tell(call: () => void): void {
    if (this.#hung === undefined) call();
    else this.#held.push(call);
  }

  #wrap(past: LogPast): LogPast {
    const lossOf = (id: string): "trimmed" | "unknown" | undefined => {
      const lost = this.#lost;
      if (lost === undefined || !(this.#log.compare(id, lost.id) < 0)) return undefined;
      return lost.reason === "fork" ? "unknown" : "trimmed";
    };
    const restored = async (): Promise<void> => {
      while (this.#hung !== undefined) await this.#hung.restored;
    };
    return {
      find: async (ids: readonly string[], query?: PastQuery) => {
        await restored();
        const found = await past.find(ids, query);
        return found?.map((one, index): FoundId => lossOf(ids[index] ?? "") ?? one);
      },
      get wasReplaced() {
        return past.wasReplaced === true;
      },
      read: async (
        after: string | undefined,
        upTo: string,
        room?: PastRoom,
      ): Promise<LogPage | "trimmed" | "unknown" | undefined> => {
        await restored();
        const loss = after === undefined ? undefined : lossOf(after);
        if (loss !== undefined) return loss;
        // As far back as the log goes: to the loss.
        return past.read(after ?? this.#lost?.id, upTo, room);
      },
      sync: async (query?: PastQuery) => {
        await restored();
        return past.sync(query);
      },
    };
  }
}

/**
 * Creates a log that fails on command.
 *
 * @param log - The log inside; the faulty log closes it.
 * @defaultValue `memoryLog()`
 * @returns A log for one hub.
 */
export function faultyLog(log: Log = memoryLog()): FaultyLog {
  return new FaultyLog(log);
}
