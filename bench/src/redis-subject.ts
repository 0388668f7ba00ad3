/** Redis address and key shared by the processes of a cluster. */
export interface RedisPlace {
  readonly url: string;
  /** Key of the stream, or prefix of the Redis channels. */
  readonly key: string;
}

/** A publishing process without streams. */
export interface RedisPublisher {
  /**
   * Publishes one event.
   *
   * @param dedupeKey - Only for the subject that supports it.
   * @returns Resolves when Redis has the event.
   */
  publish(channel: string, text: string, dedupeKey?: string): Promise<unknown>;
  /** @returns How many events were ever published; `undefined` if the subject does not count them. */
  count(): Promise<number | undefined>;
}

/**
 * One way to reach clients of several processes through Redis.
 *
 * Structured as the other subject files: imports, settings for comparability, the server with its route, publishing.
 */
export interface RedisSubject {
  /** Starts a node: a server on a free port whose clients get events published on any node. */
  startNode(place: RedisPlace): Promise<{ readonly port: number }>;
  startPublisher(place: RedisPlace): Promise<RedisPublisher>;
}
