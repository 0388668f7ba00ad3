/** The contract between a hub and its log, and the data that they exchange. */

/** A published event as the log stores it: without its id, with its data serialized. */
export interface LogMessage {
  /** Event type; `undefined` for `"message"`. */
  readonly event?: string | undefined;
  /** The event's data as text. */
  readonly data: string;
  /** Whether `data` is a string as it was published. Absent: it was serialized, from a string too with `verbatimStrings: false`. */
  readonly isString?: boolean | undefined;
  /** Reconnection time in milliseconds. */
  readonly retry?: number | undefined;
}

/** An event in the log. */
export interface LogEntry extends LogMessage {
  /** Its id in the log: `A-Z a-z 0-9 . _ ~ -`, at most 128 characters. */
  readonly id: string;
  /** The channel that it was published on. */
  readonly channel: string;
}

/** An event from the past. */
export interface PastEntry extends LogEntry {
  /** Time since it was published, in milliseconds on the log's own clock. */
  readonly ageMs: number;
}

/** One page of the log's past. */
export interface LogPage {
  /** In log order. */
  readonly entries: readonly PastEntry[];
  /** Whether `entries` begin directly after the position to read from, so that no page is left. */
  readonly isLast: boolean;
}

/** Controls how long a query of a log's past stays pending. */
export interface PastQuery {
  /** Polled while the log cannot be reached; the query is abandoned once it returns `false`. */
  readonly isWanted?: (() => boolean) | undefined;
}

/** Limits of a query of the past. */
export interface PastRoom extends PastQuery {
  /**
   * Most entries to return.
   *
   * @defaultValue the log's own limit
   */
  readonly maxEntries?: number | undefined;
  /**
   * Most bytes of data to return; a page still has at least one entry.
   *
   * @defaultValue the log's own limit
   */
  readonly maxBytes?: number | undefined;
  /**
   * Whether the caller already has the entry `upTo`, which is then left out.
   *
   * @defaultValue `false`
   */
  readonly hasUpTo?: boolean | undefined;
}

/**
 * Result of looking up an id.
 *
 * - an object: the entry exists. `missedMs` is the age of the first entry after it, in milliseconds on the log's own
 *   clock; 0 if there is none
 * - `"trimmed"`: older than everything the log holds
 * - `"unknown"`: not an id of this log, or from a history that was replaced
 */
export type FoundId = { readonly missedMs: number } | "trimmed" | "unknown";

/**
 * Access to entries older than those the log has delivered.
 *
 * Each query waits while the log cannot be reached. It rejects only if the log is closed or can never be read, and
 * resolves to `undefined` only if it was abandoned.
 */
export interface LogPast {
  /**
   * Looks up ids, without reading the entries after them.
   *
   * @param ids - As clients report them: any text.
   * @returns One result per id, in the same order.
   */
  find(ids: readonly string[], query?: PastQuery): Promise<readonly FoundId[] | undefined>;
  /**
   * Whether a history of this log is known to have been replaced. An id that is older than everything the log holds may
   * then be one of that history, and a client that reports it gets a reset. Absent: `false`.
   */
  readonly wasReplaced?: boolean;
  /**
   * Reads back from a position that the hub has in memory to an older one.
   *
   * @param after - Id of the older position, as a client reports it. `undefined`: as far back as the log goes.
   * @param upTo - Id of an entry or of the tail, as delivered by the log.
   * @param room - Limits.
   * @returns The newest page between the two, without `after`, and with the entry `upTo` unless the caller has it. Only
   *   the last page may have no other entry. `"trimmed"` if the log no longer holds all of them, `"unknown"` if `after`
   *   does not belong to this log.
   */
  read(
    after: string | undefined,
    upTo: string,
    room?: PastRoom,
  ): Promise<LogPage | "trimmed" | "unknown" | undefined>;
  /**
   * Waits until every entry in the log at the time of the call has been delivered, or a `reset` was made instead.
   *
   * After that, the position of a client that comes from a process ahead of this one is known.
   */
  sync(query?: PastQuery): Promise<void>;
}

/** Options of a publish. */
export interface PublishOptions {
  /**
   * Makes it safe to retry: of several publishes with the same key, within a period that the log defines, one event is
   * added, and all return its id. A string of 1 to 256 characters.
   */
  readonly dedupeKey?: string | undefined;
}

/** Health of a log: `hub.stats().log`, and `health` of a publisher. */
export interface LogHealth {
  /**
   * - `connecting`: not started yet; for a publisher: no event has been published yet
   * - `live`: events published anywhere arrive; for a publisher: it can publish
   * - `down`: events do not arrive, or cannot be published; the log keeps trying
   * - `closed`: closed
   */
  readonly state: "connecting" | "live" | "down" | "closed";
  /** Milliseconds for which this process may have been missing events of others; 0 while it has all of them. */
  readonly lagMs: number;
  /** How often the reading connection (for a publisher: the publishing one) was lost and restored. */
  readonly reconnects: number;
  /** The most recent error; `undefined` if there was none. */
  readonly lastError?: unknown;
}

/** Why every position in the log is lost: its history was replaced, or undelivered entries were trimmed. */
export type LogResetReason = "fork" | "trimmed";

/** Receives what a log delivers: implemented by the hub. */
export interface LogFollower {
  /**
   * Delivers entries in log order, directly after those of the previous call.
   *
   * @returns Whether any subscriber is waiting for them. If not, the log may take its time with the next ones.
   */
  entries(entries: readonly LogEntry[]): boolean;
  /** Voids all earlier positions; delivery continues after `tail`. */
  reset(reason: LogResetReason, tail: string): void;
  /** Reports an error in the background. The log continues. */
  failed(error: unknown): void;
}

/**
 * The totally ordered log that all events of a hub pass through.
 *
 * A log MUST
 * - deliver entries in one total order, the same for every follower;
 * - deliver a follower's own appends through the same path as those of others, never locally first;
 * - deliver everything appended after `start`, or call `reset`.
 *
 * A log MUST NOT
 * - deliver an id twice, or an id that does not come after the previous one;
 * - deliver an append that it has rejected;
 * - call the follower after `close` has resolved.
 */
export interface Log {
  /** `true` if only the hub that owns the log can publish to it. */
  readonly isLocal?: boolean;
  /**
   * Starts delivering. Called at most once.
   *
   * @returns The id of the tail: a position from which no later entry is missed. A log that has none yet keeps trying.
   */
  start(follower: LogFollower): string | Promise<string>;
  /**
   * Adds an event. A log that other processes read accepts it before `start`, and without it.
   *
   * @returns The id of the new entry. Rejects with `ERR_SSE_LOG_REJECTED` if the entry is not in the log and will not
   *   be, with `ERR_SSE_LOG_UNKNOWN` if it may or may not be, with `ERR_SSE_CLOSED` after `close`.
   */
  append(channel: string, message: LogMessage, options?: PublishOptions): Promise<string>;
  /** Access to entries older than those delivered. Absent if the log has delivered everything it holds. */
  readonly past?: LogPast | undefined;
  /**
   * Compares two ids by their order in the log.
   *
   * @returns Negative, zero or positive; `NaN` if `a` or `b` cannot be an id of this log.
   */
  compare(a: string, b: string): number;
  /** @returns Health of the log. */
  health(): LogHealth;
  /**
   * Stops delivering and rejects further appends; pending ones are settled. Never rejects.
   *
   * @param withinMs - Time for pending appends, in milliseconds, after which they reject. `undefined`: the log's usual
   *   limit for each.
   */
  close(withinMs?: number): Promise<void>;
}
