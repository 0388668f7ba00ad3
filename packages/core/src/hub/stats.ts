/** What `hub.stats()` returns, and the counters behind it. */

import type { ResetReason } from "../wire/frame.js";
import type { LogHealth } from "../log/log.js";
import type { CloseReason } from "../session/session.js";

/** What a hub has done and holds: `hub.stats()`. Counts are since the hub was made. */
export interface HubStats {
  /** Whether the hub is closed, or on the way to it. A readiness check fails then, so that new clients go elsewhere. */
  readonly closing: boolean;
  /** Sessions by `state`. `live` and `behind` are those of the open ones that are subscribed. */
  readonly sessions: {
    /** Wait for CORS, for the head to go out, or for earlier responses on their connection. */
    readonly connecting: number;
    readonly open: number;
    /** Have everything that was published. */
    readonly live: number;
    /** Have yet to be sent something: their socket is backed up, or they resume. */
    readonly behind: number;
  };
  /** Clients that were turned away and are held now, without a session, until their connection is cut. */
  readonly held: number;
  /** Clients that were turned away, held or not: beyond `maxSessions`, or by a hub that was closing. */
  readonly turnedAway: number;
  /** Channels with at least one subscription. */
  readonly channels: number;
  /** Events that this process has published. */
  readonly published: number;
  /** Events written to sessions: an event for a thousand sessions counts a thousand. */
  readonly delivered: number;
  /** Bytes of these events. */
  readonly deliveredBytes: number;
  /** Clients that came back and had missed something that could be replayed. */
  readonly replays: number;
  /** `sse-reset` events by reason. */
  readonly resets: Readonly<Record<ResetReason, number>>;
  /** Streams that have ended, by reason. */
  readonly closes: Readonly<Record<CloseReason, number>>;
  /** What is kept for replay. */
  readonly window: {
    readonly events: number;
    readonly bytes: number;
    /** Age of the oldest event in milliseconds; 0 if there is none. */
    readonly ageMs: number;
  };
  /** Health of the log: whether events of other processes arrive. */
  readonly log: LogHealth;
}

/** The counts of {@link HubStats} as they grow. */
export class Counters {
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
    error: 0,
  };
}
