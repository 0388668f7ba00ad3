/** The result of `hub.stats()` and its counters. */

import type { ResetReason } from "../wire/frame.js";
import type { LogHealth } from "../log/log.js";
import type { CloseReason } from "../session/session.js";

/** Counters and current state of a hub, from `hub.stats()`. Counters start when the hub is created. */
export interface HubStats {
  /** Whether the hub is closed or closing. Use it to fail a readiness check, so that new clients go elsewhere. */
  readonly closing: boolean;
  /** Sessions by `state`. `live` and `behind` are those of the open ones that are subscribed. */
  readonly sessions: {
    /** Sessions that wait for CORS or for their head to be sent; not those queued behind other responses on a connection. */
    readonly connecting: number;
    readonly open: number;
    /** Sessions that have received everything published. */
    readonly live: number;
    /** Sessions with events still to be sent: their socket is backed up, or they are resuming. */
    readonly behind: number;
  };
  /** Turned-away clients that are held at present, without a session, until their connection is cut. */
  readonly held: number;
  /** Streams that have started. Without those in `closes`, they are open. */
  readonly opened: number;
  /**
   * Clients turned away because of `maxSessions` or `maxSessionsPerIdentity`, or because the hub was closing, whether held
   * or not.
   */
  readonly turnedAway: number;
  /** Loops over `hub.read` that are running. */
  readonly readers: number;
  /** Channels with at least one subscription or reader. */
  readonly channels: number;
  /** Events published by this process. */
  readonly published: number;
  /** Events written to sessions: one event to a thousand sessions counts as a thousand. */
  readonly delivered: number;
  /** Bytes of `delivered`. */
  readonly deliveredBytes: number;
  /** Messages with data that routes sent to single sessions, with `send` or `stream`. */
  readonly sent: number;
  /** Bytes of `sent`. */
  readonly sentBytes: number;
  /** Clients that reconnected and got a replay of missed events. */
  readonly replays: number;
  /** `sse-reset` events by reason. */
  readonly resets: Readonly<Record<ResetReason, number>>;
  /** Ended streams, by reason. */
  readonly closes: Readonly<Record<CloseReason, number>>;
  /** Events kept for replay. */
  readonly window: {
    readonly events: number;
    readonly bytes: number;
    /** Age of the oldest event in milliseconds; 0 if there is none. */
    readonly ageMs: number;
  };
  /** Health of the log: whether events of other processes arrive. */
  readonly log: LogHealth;
}

/** The running counters of {@link HubStats}. */
export class Counters {
  opened = 0;
  turnedAway = 0;
  published = 0;
  delivered = 0;
  deliveredBytes = 0;
  replays = 0;
  readonly resets: Record<ResetReason, number> = { trimmed: 0, unknown: 0, overflow: 0, fork: 0 };
  readonly closes: Record<CloseReason, number> = {
    client: 0,
    ended: 0,
    completed: 0,
    slow: 0,
    expired: 0,
    shutdown: 0,
    refused: 0,
    revoked: 0,
    replaced: 0,
    error: 0,
  };
}
