import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Hub, HubOptions, Session } from "@tidewire/core";
import { eventually } from "../client.js";
import type { Binding, Served, TestExchange } from "./bindings.js";
import { RawClient } from "./raw-capture.js";
import { wrapWrites } from "./recorded-writes.js";

/** Whether shared frames go straight to the socket, according to the environment. */
export const IS_DIRECT = process.env["TIDEWIRE_DIRECT_WRITE"] !== "off";

/** No bytes other than those that a test causes, and identical ones for every stream. */
export const QUIET = { heartbeatMs: false, reconnectionTimeMs: 1_000 } satisfies HubOptions;

/** Streams on paths with this prefix have their `response.write` wrapped, so that no write bypasses it. */
export const ORDINARY = "/ordinary";

/** One stream, from the server's point of view. */
export interface TestStream {
  readonly session: Session;
  readonly response: ServerResponse;
  readonly socket: Socket;
  /** Calls of a wrapped `response.write`. */
  ordinaryWrites: number;
}

export interface StreamsOptions {
  readonly channels?: readonly string[];
  readonly hub?: HubOptions;
  /** Called before the session is created. */
  prepare?(exchange: TestExchange): void;
}

/** A server on which every path is a stream of the same channels. */
export class StreamServer {
  readonly served: Served;
  readonly #streams: Map<string, TestStream>;
  #count = 0;

  private constructor(served: Served, streams: Map<string, TestStream>) {
    this.served = served;
    this.#streams = streams;
  }

  static async start(binding: Binding, options: StreamsOptions = {}): Promise<StreamServer> {
    const streams = new Map<string, TestStream>();
    const serve = async (exchange: TestExchange): Promise<void> => {
      options.prepare?.(exchange);
      await openStream(streams, exchange, options.channels ?? ["news"]);
    };
    return new StreamServer(await binding.serve(serve, { ...QUIET, ...options.hub }), streams);
  }

  get hub(): Hub {
    return this.served.hub;
  }

  /** The stream on a path, which must have been requested. */
  stream(path: string): TestStream {
    const stream = this.#streams.get(path);
    if (stream === undefined) throw new Error(`No stream on ${path}`);
    return stream;
  }

  /** Whether the request for a path has arrived. */
  has(path: string): boolean {
    return this.#streams.has(path);
  }

  /** Publishes one event on the channel of all streams. */
  async publish(data: string): Promise<void> {
    await this.hub.publish("news", { data });
  }

  /** A path not used by any other stream. */
  path(prefix: string): string {
    return `${prefix}/${this.#count++}`;
  }

  /** Opens a stream and waits until it is subscribed. */
  async open(prefix = "/direct", headers = ""): Promise<Opened> {
    const path = this.path(prefix);
    const client = (await RawClient.open(this.served.port)).get([path], "1.1", headers);
    await client.untilBody("sse-cursor");
    return Object.assign(this.stream(path), { client });
  }

  /** Opens one stream of each kind. */
  async openPair(headers = ""): Promise<Pair> {
    return {
      direct: await this.open("/direct", headers),
      ordinary: await this.open(ORDINARY, headers),
    };
  }

  /** Waits until every stream has everything and the sockets have taken it. */
  async settle(streams: readonly Pick<TestStream, "session">[]): Promise<void> {
    const { hub } = this;
    const isSettled = (): boolean =>
      hub.stats().sessions.behind === 0 &&
      streams.every(({ session }) => session.bufferedBytes === 0);
    // Usually settled after a turn or two, without checking the clock.
    for (let turns = 0; turns < 5 || (turns < 1_000 && !isSettled()); turns++) await turn();
    await eventually("the streams to have everything", isSettled);
  }

  /** Waits until both clients have received the last data sent. */
  async untilBoth({ direct, ordinary }: Pair, last: string): Promise<void> {
    for (const { client } of [direct, ordinary]) await client.untilBody(last);
  }

  async close(): Promise<void> {
    await this.served.close();
  }
}

/** A stream with its client. */
export type Opened = TestStream & { readonly client: RawClient };

/** Two streams of the same events. */
export interface Pair {
  readonly direct: Opened;
  readonly ordinary: Opened;
}

/** Runs everything pending in the event loop, and whatever follows in the same turn. */
export async function turn(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Whether an event was written to the socket in one piece with its framing. */
export function isDirect(pieces: readonly Buffer[], data: string): boolean {
  return pieces.some((piece) => /^[0-9a-f]+\r\n/.test(piece.toString()) && piece.includes(data));
}

async function openStream(
  streams: Map<string, TestStream>,
  exchange: TestExchange,
  channels: readonly string[],
): Promise<void> {
  const request = exchange.request as IncomingMessage;
  const response = exchange.response as ServerResponse;
  const counted = { ordinaryWrites: 0 };
  if (request.url?.startsWith(ORDINARY) === true) wrapWrites(response, counted);
  const session = exchange.sse;
  streams.set(
    request.url ?? "",
    Object.assign(counted, { session, response, socket: request.socket }),
  );
  await session.subscribe(channels);
}
