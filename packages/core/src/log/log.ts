/** The contract between a hub and the log that its events go through, and the data that both exchange. */

/** A published event as the log keeps it: everything but its id, its data serialized. */
export interface LogMessage {
  /** Event type; `undefined` for `"message"`. */
  readonly event?: string | undefined;
  /** The event's data as text. */
  readonly data: string;
  /** Whether the data was published as a string. Absent: it was something else, of which `data` is made. */
  readonly isString?: boolean | undefined;
  /** Reconnection time in milliseconds. */
  readonly retry?: number | undefined;
}

/** An event in the log. */
export interface LogEntry extends LogMessage {
  /** Its id in the log: `A-Z a-z 0-9 . _ ~ -`, at most 128 of them. */
  readonly id: string;
  /** The channel it was published on. */
  readonly channel: string;
}

/** An event from the past. */
export interface PastEntry extends LogEntry {
  /** How long ago it was published, in milliseconds by the log's own clock. */
  readonly ageMs: number;
}

/** A piece of the log's past. */
export interface LogPage {
  /** In the order of the log. */
  readonly entries: readonly PastEntry[];
  /** Whether `entries` begin right after the place from which was to be read, so that there is no further page. */
  readonly isLast: boolean;
}

/** How long a question to a log's past stands. */
export interface PastQuery {
  /** Asked now and then while the log cannot be reached; the question is given up once it returns `false`. */
  readonly isWanted?: (() => boolean) | undefined;
}

/** How much of the past is of use to the caller. */
export interface PastRoom extends PastQuery {
  /**
   * Most entries.
   *
   * @defaultValue the log's own limit
   */
  readonly maxEntries?: number | undefined;
  /**
   * Most bytes of data; a page has at least one entry all the same.
   *
   * @defaultValue the log's own limit
   */
  readonly maxBytes?: number | undefined;
  /**
   * Whether the caller has the entry `upTo`: then it is left out.
   *
   * @defaultValue `false`
   */
  readonly hasUpTo?: boolean | undefined;
}

/**
 * What a log knows of an id.
 *
 * - an object: its entry is there. `missedMs` says how long ago the first entry behind it was published, in milliseconds
 *   by the log's own clock: 0 if there is none
 * - `"trimmed"`: older than all that the log holds
 * - `"unknown"`: no id of this log, or one from a history that was replaced
 */
export type FoundId = { readonly missedMs: number } | "trimmed" | "unknown";

/**
 * The part of a log that is older than what it has delivered.
 *
 * Each question waits while the log cannot be reached. It rejects only if the log was closed or refuses to be read, and
 * resolves to `undefined` only if it was given up.
 */
export interface LogPast {
  /**
   * Looks ids up, without reading what lies behind them.
   *
   * @param ids - What clients report: anything.
   * @returns What the log knows of each, in their order.
   */
  find(ids: readonly string[], query?: PastQuery): Promise<readonly FoundId[] | undefined>;
  /**
   * Reads back from a place that the hub holds in memory to an older one.
   *
   * @param after - Id of the older place: anything that a client reports. `undefined`: as far back as the log goes.
   * @param upTo - Id of an entry or of the tail, as the log has delivered it.
   * @param room - What the caller can use.
   * @returns The newest page of what lies between, without `after`, and with the entry `upTo` unless the caller has it.
   *   Only the last page may have nothing else. `"trimmed"` if the log does not hold all of it any more, `"unknown"`
   *   if `after` is no id of this log.
   */
  read(
    after: string | undefined,
    upTo: string,
    room?: PastRoom,
  ): Promise<LogPage | "trimmed" | "unknown" | undefined>;
  /**
   * Waits until everything that is in the log at the time of the call was delivered, or a `reset` has come instead.
   *
   * A client may come from a follower that was ahead: its position is known then.
   */
  sync(query?: PastQuery): Promise<void>;
}

/** What may be said of a publish beside its message. */
export interface PublishOptions {
  /**
   * Names this publish, so that it can be tried again: of several with the same key, within a time that the log
   * knows, one event is in the log, and all give its id. A string of 1 to 256 characters.
   */
  readonly dedupeKey?: string | undefined;
}

/** How a log is: `hub.stats().log`, and `health` of a publisher. */
export interface LogHealth {
  /**
   * - `connecting`: not started yet; of a publisher: nothing was published yet
   * - `live`: what is published anywhere arrives; of a publisher: it can publish
   * - `down`: it does not, or cannot; the log keeps trying
   * - `closed`: it was closed
   */
  readonly state: "connecting" | "live" | "down" | "closed";
  /** For how many milliseconds this process may have been without what others have published; 0 while it has all. */
  readonly lagMs: number;
  /** How often the connection that reads, or of a publisher the one that publishes, was lost and is back. */
  readonly reconnects: number;
  /** What went wrong last; `undefined` if nothing did. */
  readonly lastError?: unknown;
}

/** Why every position in the log is lost: its history was replaced, or what comes next was trimmed. */
export type LogResetReason = "fork" | "trimmed";

/** What a log tells the hub that follows it. */
export interface LogFollower {
  /**
   * Entries in the order of the log, right after those of the call before.
   *
   * @returns Whether anybody is waiting for any of them. If not, the log need not hurry with the next.
   */
  entries(entries: readonly LogEntry[]): boolean;
  /** Positions before this moment are void; delivery goes on after `tail`. */
  reset(reason: LogResetReason, tail: string): void;
  /** Something failed in the background. The log goes on. */
  failed(error: unknown): void;
}

/**
 * The totally ordered log that all events of a hub go through.
 *
 * A log MUST
 * - deliver entries in one total order, the same for every follower;
 * - deliver a follower's own appends through the same path as everybody else's, never first locally;
 * - deliver, of what is appended after `start`, everything or call `reset`.
 *
 * A log MUST NOT
 * - deliver an id twice, or one that is not past the one before;
 * - deliver an append that it has rejected;
 * - call the follower after `close` has resolved.
 */
export interface Log {
  /** `true` if only the hub that has the log can publish to it. */
  readonly isLocal?: boolean;
  /**
   * Begins to deliver. Called at most once.
   *
   * @returns The id of the tail: a position from which nothing is missed. A log that cannot tell yet keeps trying.
   */
  start(follower: LogFollower): string | Promise<string>;
  /**
   * Adds an event. To a log that other processes read also before `start`, and where that is never called.
   *
   * @returns The id of the new entry. Rejects with `ERR_SSE_LOG_REJECTED` if the entry is not in the log and will
   *   not be, with `ERR_SSE_LOG_UNKNOWN` if that cannot be told, with `ERR_SSE_CLOSED` after `close`.
   */
  append(channel: string, message: LogMessage, options?: PublishOptions): Promise<string>;
  /** What is older than the log has delivered. Absent where it keeps nothing else, and has always delivered all. */
  readonly past?: LogPast | undefined;
  /**
   * Compares two ids by their place in the log.
   *
   * @returns Negative, zero or positive; `NaN` if `a` or `b` cannot be an id of this log.
   */
  compare(a: string, b: string): number;
  /** @returns Health of the log. */
  health(): LogHealth;
  /**
   * Stops delivering and takes no more appends; those under way are settled. Never rejects.
   *
   * @param withinMs - For so long they may take, in milliseconds; then they reject. `undefined`: as long as the log
   *   gives each of them anyway.
   */
  close(withinMs?: number): Promise<void>;
}
