import type { RedisSubjectName } from "./catalogue.js";
import type { RedisPlace } from "./redis-subject.js";

/** How a process of a cluster is started. */
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

/** Events to publish as fast as it goes. */
export interface BusyOrder {
  readonly count: number;
  /** How many are on their way at a time. */
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
  /** @returns When each event was published, in milliseconds of the shared clock; once Redis has them all. */
  publishPaced(order: PacedOrder): Promise<readonly number[]>;
  /** Fails if not all are in the stream. */
  publishBusily(order: BusyOrder): Promise<BusyReport>;
}
