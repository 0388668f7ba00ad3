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

/** Why every position in the log is lost: its history was replaced, or what comes next was trimmed. */
export type LogResetReason = "fork" | "trimmed";

/** What a log tells the hub that follows it. */
export interface LogFollower {
  /** Entries in the order of the log, right after those of the call before. */
  entries(entries: readonly LogEntry[]): void;
  /** Positions before this moment are void; delivery goes on after `tail`. */
  reset(reason: LogResetReason, tail: string): void;
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
   * Begins to deliver. Called once, before anything else.
   *
   * @returns The id of the tail: a position from which nothing is missed.
   */
  start(follower: LogFollower): string | Promise<string>;
  /** @returns The id of the new entry; rejects if the entry is not in the log, or may not be. */
  append(channel: string, message: LogMessage): Promise<string>;
  /**
   * Reads what came after an id, for positions older than what the hub holds in memory.
   *
   * @returns Entries in order, at most `limit`, none at the tail; `undefined` if it is not certain that the log
   *   still holds all of them.
   */
  read(after: string, limit: number): Promise<readonly LogEntry[] | undefined>;
  /**
   * Compares two ids by their place in the log.
   *
   * @returns Negative, zero or positive; `NaN` if `a` or `b` cannot be an id of this log.
   */
  compare(a: string, b: string): number;
  /** Stops delivering. Never rejects. */
  close(): Promise<void>;
}
