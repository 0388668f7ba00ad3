/** The cases that are compared, and the calls that the process of a library answers. */

/** The libraries, as the table names them. */
export const LIBRARIES = [
  "@tidewire/express",
  "better-sse",
  "sse-channel",
  "express-sse",
  "@fastify/sse",
  "fastify-sse-v2",
  "hono",
] as const;

/** One of the libraries. */
export type Library = (typeof LIBRARIES)[number];

/** An event as a route would publish it to everybody. */
export interface BehaviourEvent {
  /** Absent for a library that gives its own. */
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** The calls that the server of a library answers. */
export interface BehaviourServer {
  start(library: Library): Promise<{ readonly port: number }>;
  /** @returns The error if the library has refused the event. */
  publish(event: BehaviourEvent): Promise<string | undefined>;
  /** Publishes random texts, one a turn of the event loop, and waits for no client. */
  publishMany(order: {
    readonly first: number;
    readonly count: number;
    readonly bytes: number;
  }): Promise<void>;
  /** @returns Bytes on the heap and beside it, after garbage collection. */
  memory(nothing: null): Promise<number>;
  /** @returns Open connections of clients. */
  connections(nothing: null): Promise<number>;
}
