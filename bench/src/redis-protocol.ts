import type { RedisSubjectName } from "./catalogue.js";
import type { RedisPlace } from "./redis-subject.js";

/** Settings with which a process of a cluster starts. */
export interface RedisStartOrder extends RedisPlace {
  readonly subject: RedisSubjectName;
}

/** The calls that a node answers. */
export interface RedisNodeProtocol {
  start(order: RedisStartOrder): Promise<{ readonly port: number }>;
  begin(nothing: null): void;
  /** @returns Microseconds of CPU since `begin`, user and system, of the whole process. */
  end(nothing: null): number;
}

/** Events to publish at a steady pace. */
export interface PacedOrder {
  readonly channel: string;
  /** Sequence number of the first event. */
  readonly first: number;
  readonly count: number;
  readonly perSecond: number;
  readonly bytes: number;
}

/** Events to publish as fast as possible. */
export interface BusyOrder {
  readonly count: number;
  /** Number of simultaneous publishes. */
  readonly inFlight: number;
  readonly bytes: number;
  /** Whether each event has its own `dedupeKey`. */
  readonly isDeduped: boolean;
}

export interface BusyReport {
  readonly elapsedMs: number;
  readonly cpuUs: number;
}

/** The calls that a publisher answers. */
export interface RedisPublisherProtocol {
  start(order: RedisStartOrder): Promise<void>;
  /**
   * @returns When each event was published, in milliseconds on the shared clock. Resolves once Redis has all of them.
   */
  publishPaced(order: PacedOrder): Promise<readonly number[]>;
  /** Fails unless all are in the stream. */
  publishBusily(order: BusyOrder): Promise<BusyReport>;
}
