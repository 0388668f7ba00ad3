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

/** A client whose settings are used, or a function that gives one, for each attempt to connect. */
export type RedisClientSource = RedisClient | (() => RedisClient | Promise<RedisClient>);

/** A TCP connection that is not there after this many milliseconds is given up. */
const CONNECT_TIMEOUT_MS = 5_000;

/** A command that node-redis has accepted and Redis has refused: it was not carried out. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ErrorReply;
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
  // Without a listener an error would take the process down. What it means is found out by who waits for it.
  client.on("error", () => {});
  return client;
}
