import type { NodeSubjectName } from "./catalogue.js";

/** The events to publish. The server makes their texts: sending 4 KB of them through a pipe would cost time. */
export interface PublishOrder {
  /** Channels in turn: `{index}` is replaced by a number from 0. */
  readonly channel: string;
  /** Sequence number of the first event. */
  readonly first: number;
  readonly count: number;
  readonly bytes: number;
  /** Number of clients that get each event. */
  readonly receivers: number;
  /** Publishes each event on the channel with its own number: all in one turn of the event loop, or each in its own. */
  readonly spread?: "turn" | "turns" | undefined;
}

/** One event on the channel `all`, followed by one on each of the channels `user:0`, `user:1`, … */
export interface MixedOrder {
  /** Sequence number of the event on `all`. All other events have the next one: each client gets both in order. */
  readonly first: number;
  /** Clients, each on `all` and on its own channel. */
  readonly clients: number;
  readonly bytes: number;
  /** Turns of the event loop: all events in one, or `all` in one and the others in the next. */
  readonly turns: 1 | 2;
}

/** Events on many channels at a steady pace, the channels spread over the interval. */
export interface SteadyOrder extends PublishOrder {
  /** Number of channels: `{index}` goes from 0. `count` is that of the events of each. */
  readonly channels: number;
  /** Time between two events of a channel, in milliseconds. */
  readonly everyMs: number;
}

/** The costs of a measured section on the server. */
export interface ServerReport {
  /** Microseconds of CPU, user and system, of the whole process. */
  readonly cpuUs: number;
  /** Bytes due to all clients together, without chunk framing; `undefined` if the subject does not report them. */
  readonly bodyBytes: number | undefined;
  /** When each order was carried out, or each event of `publishEvery` was due, in milliseconds on the shared clock. */
  readonly publishedAt: readonly number[];
}

/** Delay of the event loop in milliseconds. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Memory in bytes after garbage collection. */
export interface Memory {
  readonly heapBytes: number;
  readonly rssBytes: number;
}

/** The calls that a server process answers. */
export interface ServerProtocol {
  start(options: {
    readonly subject: NodeSubjectName;
    readonly heartbeatMs: number | false;
    readonly redisUrl?: string;
  }): Promise<{ readonly port: number }>;
  publish(order: PublishOrder): void;
  publishMixed(order: MixedOrder): void;
  /** Publishes the events of an order, one every `everyMs`; resolves after the last publish. */
  publishEvery(order: PublishOrder & { readonly everyMs: number }): Promise<LoopDelay>;
  /**
   * Publishes the events of all channels; resolves after the last. `publishedAt` has for each event the time when that of
   * the last channel was due.
   */
  publishSteadily(order: SteadyOrder): Promise<LoopDelay>;
  /** Same as `publishEvery`, beside other orders: returns the times when the events were due. */
  publishTimed(
    order: PublishOrder & { readonly everyMs: number },
  ): Promise<{ readonly delay: LoopDelay; readonly dueAt: readonly number[] }>;
  /** Ends runs: `{index}` in the channel goes from 0. */
  endRuns(order: { readonly channel: string; readonly count: number }): Promise<void>;
  /** Publishes without clients and returns the ids of all events. */
  publishIds(order: Omit<PublishOrder, "receivers">): Promise<readonly string[]>;
  begin(nothing: null): void;
  end(nothing: null): Promise<ServerReport>;
  memory(nothing: null): Promise<Memory>;
}
