/** Where the processes of a cluster meet. */
export interface RedisPlace {
  readonly url: string;
  /** Key of the stream, or what the names of Redis' channels begin with. */
  readonly key: string;
}

/** A process that publishes and holds no streams. */
export interface RedisPublisher {
  /**
   * Publishes one event.
   *
   * @param dedupeKey - For the subject that knows such a thing.
   * @returns When Redis has it.
   */
  publish(channel: string, text: string, dedupeKey?: string): Promise<unknown>;
  /** @returns How many events were ever published; `undefined` if the subject does not count them. */
  count(): Promise<number | undefined>;
}

/**
 * One way to reach the clients of many processes through Redis.
 *
 * As the files of other subjects: imports, the settings that make it comparable, the server with its route, publishing.
 */
export interface RedisSubject {
  /** Starts a node: a server on a free port whose clients get what is published anywhere. */
  startNode(place: RedisPlace): Promise<{ readonly port: number }>;
  startPublisher(place: RedisPlace): Promise<RedisPublisher>;
}
