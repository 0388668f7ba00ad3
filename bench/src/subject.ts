/** Interval of heartbeats that is longer than any suite keeps a stream silent. */
export const RARE_HEARTBEAT_MS = 1_800_000;

/** How a subject's server is started. */
export interface SubjectOptions {
  /** `false` or the interval of heartbeats, for subjects that can be told. */
  readonly heartbeatMs: number | false;
}

/** A server that clients can connect to and that publishes to them. */
export interface RunningSubject {
  /** Port on 127.0.0.1. */
  readonly port: number;
  /**
   * Publishes one event to all streams of a channel. Controls and Tidewire return the size of the event's block, so
   * that the load can be asked whether exactly these bytes have arrived.
   */
  publish(channel: string, text: string): Promise<Sent | undefined> | Sent | undefined;
}

/** What a subject knows of an event that it has published. */
export interface Sent {
  readonly id: string;
  /** Bytes of its block, without the framing of a chunk. */
  readonly blockBytes: number;
}

/**
 * One thing that is measured: a library in a server of its own.
 *
 * All files of subjects have the same five parts: imports, the settings that make it comparable, the server with its
 * route, publishing, and the subject.
 */
export interface Subject {
  /** Starts the server on a free port. */
  start(options: SubjectOptions): Promise<RunningSubject>;
}
