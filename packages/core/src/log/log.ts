/**
 * A published event as the log keeps it: everything but its id, its data serialized.
 */
export interface LogMessage {
  /** Event type; `undefined` for `"message"`. */
  readonly event?: string | undefined;
  /** The event's data as text. */
  readonly data: string;
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
  /** In the order of the log. The last one is that up to which was read, unless no event stands there. */
  readonly entries: readonly PastEntry[];
  /** Whether `entries` begin right after the place from which was to be read, so that there is no further page. */
  readonly isLast: boolean;
}

/** What may be said of a publish beside its message. */
export interface PublishOptions {
  /**
   * Names this publish, so that it can be tried again: of several with the same key, within a time that the log
   * knows, one event is in the log, and all give its id. A string of 1 to 256 characters.
   */
  readonly dedupeKey?: string | undefined;
}

/** How a log is: `hub.stats().log`. */
export interface LogHealth {
  /**
   * - `connecting`: not started yet
   * - `live`: what is published anywhere arrives
   * - `down`: it does not; the log keeps trying
   * - `closed`: it was closed
   */
  readonly state: "connecting" | "live" | "down" | "closed";
  /** For how many milliseconds this process may have been without what others have published; 0 while it has all. */
  readonly lagMs: number;
  /** How often the connection that reads was lost and is back. */
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
  /**
   * Reads back from a place that the hub holds in memory to an older one. Absent where the log keeps nothing but
   * what it has delivered.
   *
   * @param after - Id of the older place: anything that a client reports. `undefined`: as far back as the log goes.
   * @param upTo - Id of an entry or of the tail, as the log has delivered it.
   * @returns The newest page of what lies between, with the entry `upTo` itself and without `after`. Only one that is
   *   the last may have nothing but `upTo`. `"trimmed"` if the log does not hold all of it any more, `"unknown"` if `after` is no id of this log. Waits while the log
   *   cannot be reached; rejects only if it was closed or refuses to be read.
   */
  read?(after: string | undefined, upTo: string): Promise<LogPage | "trimmed" | "unknown">;
  /**
   * Waits until everything that is in the log at the time of the call was delivered. Absent where that is always so.
   *
   * A client may come from a follower that was ahead: its position is known then.
   *
   * @returns Settles also when a `reset` has come instead. Waits while the log cannot be reached; rejects only if it
   *   was closed or refuses to be read.
   */
  sync?(): Promise<void>;
  /**
   * Compares two ids by their place in the log.
   *
   * @returns Negative, zero or positive; `NaN` if `a` or `b` cannot be an id of this log.
   */
  compare(a: string, b: string): number;
  /** @returns How the log is now. */
  health(): LogHealth;
  /** Stops delivering. Never rejects. */
  close(): Promise<void>;
}
