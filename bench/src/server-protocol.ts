import type { NodeSubjectName } from "./catalogue.js";

/** What is to be published. Texts are made where they are published: 4 KB of them through a pipe would cost. */
export interface PublishOrder {
  /** The channels in turn, `{index}` in it replaced by a number from 0. */
  readonly channel: string;
  /** Sequence number of the first event. */
  readonly first: number;
  readonly count: number;
  readonly bytes: number;
  /** Each event goes to the channel of its own number: all of them in one turn of the event loop, or each in its own. */
  readonly spread?: "turn" | "turns" | undefined;
}

/** What a server did in a measured section. */
export interface ServerReport {
  /** Microseconds of CPU, user and system, of the whole process. */
  readonly cpuUs: number;
  /** Bytes of all published events on the wire, each in a chunk of its own; `undefined` if the subject does not say. */
  readonly wireBytes: number | undefined;
  /** When each order was carried out, or each event of `publishEvery` was due, in milliseconds of the shared clock. */
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

/** What a server process can be asked to do. */
export interface ServerProtocol {
  start(options: {
    readonly subject: NodeSubjectName;
    readonly heartbeatMs: number | false;
  }): Promise<{ readonly port: number }>;
  publish(order: PublishOrder): void;
  /** Publishes the events of an order one every `everyMs`; resolves when the last was published. */
  publishEvery(order: PublishOrder & { readonly everyMs: number }): Promise<LoopDelay>;
  /** Publishes to nobody and gives the ids of all events. */
  publishIds(order: PublishOrder): Promise<readonly string[]>;
  begin(nothing: null): void;
  end(nothing: null): Promise<ServerReport>;
  memory(nothing: null): Promise<Memory>;
}
