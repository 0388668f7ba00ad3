/** What the log uses of node-redis, and how its clients are made. */

import { ErrorReply, createClient } from "redis";

/** What the log uses of a client of node-redis. */
export interface RedisClient {
  /** Options it was made with. */
  readonly options?:
    | { readonly socket?: object | undefined; readonly url?: string | undefined }
    | undefined;
  /** Makes another client with the same options but these. */
  duplicate(overrides?: object): RedisClient;
  /** Connects. */
  connect(): Promise<unknown>;
  /** Cuts the connection. */
  destroy(): void;
  /** Sends a command and gives the reply as it came. */
  sendCommand(args: readonly string[]): Promise<unknown>;
  /** Listens to an event. */
  on(event: string, listener: (error: unknown) => void): unknown;
  /** Lets the process exit while the connection is open. */
  unref(): void;
}

/** The part of node-redis that is given every piece of a reply as it arrives; internal to node-redis. */
interface WithDecoder {
  _getQueue?(): { readonly decoder?: { write?: (chunk: unknown) => void } };
}

/** A client whose settings are used, or a function that gives one, for each attempt to connect. */
export type RedisClientSource = RedisClient | (() => RedisClient | Promise<RedisClient>);

/** A TCP connection that is not there after this many milliseconds is given up. */
const CONNECT_TIMEOUT_MS = 5_000;

/** A command that node-redis has accepted and Redis has refused: it was not carried out. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ErrorReply;
}

/**
 * Has a function called with every piece of data that a client receives, also in the middle of a reply.
 *
 * node-redis gives no access to its socket. A client without the decoder that is used here, such as one that wraps
 * another, reports nothing: then only whole replies count as progress.
 */
export function hear(client: RedisClient, heard: () => void): void {
  const decoder = (client as WithDecoder)._getQueue?.().decoder;
  const write = decoder?.write;
  if (decoder === undefined || typeof write !== "function") return;
  decoder.write = (chunk) => {
    heard();
    write.call(decoder, chunk);
  };
}

/** @returns What the clients of a log are made from. */
export function clientOf(url: string): RedisClient {
  return createClient({ url });
}

/**
 * Makes a client of the log's own.
 *
 * It does not connect again by itself, does not keep commands for later and does not send one twice: all that is
 * the log's to decide, because only it knows what an event that was sent without a reply means.
 */
export async function makeClient(source: RedisClientSource): Promise<RedisClient> {
  const given = typeof source === "function" ? await source() : source;
  const client = given.duplicate({
    RESP: 2,
    disableOfflineQueue: true,
    // Saves a round trip before the first command.
    disableClientInfo: true,
    commandOptions: { timeout: undefined },
    maintNotifications: "disabled",
    pingInterval: undefined,
    commandsQueueMaxLength: undefined,
    socket: {
      ...given.options?.socket,
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: undefined,
      reconnectStrategy: false,
    },
  });
  // Without a listener an error would end the process. Whoever waits for the client deals with it.
  client.on("error", () => {});
  return client;
}
