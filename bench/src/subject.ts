/** Heartbeat interval longer than any silence of a stream in the suites. */
export const RARE_HEARTBEAT_MS = 1_800_000;

/** Options with which a subject's server is started. */
export interface SubjectOptions {
  /** `false` or the interval of heartbeats, for subjects with such an option. */
  readonly heartbeatMs: number | false;
  /** Address of Redis, for subjects that need it. */
  readonly redisUrl?: string | undefined;
}

/** A server that accepts clients and publishes to them. */
export interface RunningSubject {
  /** Port on 127.0.0.1. */
  readonly port: number;
  /**
   * Publishes one event to all streams of a channel. Controls and Tidewire return the size of the event's block, so
   * that the load can check that exactly these bytes have arrived.
   */
  publish(channel: string, text: string): Promise<Sent | undefined> | Sent | undefined;
}

/** An event that a subject has published, as far as the subject knows it. */
export interface Sent {
  readonly id: string;
  /** Bytes of its block, without chunk framing. */
  readonly blockBytes: number;
}

/**
 * One thing that is measured: a library in its own server.
 *
 * All subject files have the same five parts: imports, settings for comparability, the server with its route,
 * publishing, and the subject.
 */
export interface Subject {
  /** Starts the server on a free port. */
  start(options: SubjectOptions): Promise<RunningSubject>;
}
