/** The log's own clients: node-redis, reduced to one connection that is used until it fails. */

import { ErrorReply, createClient } from "redis";

/** Where a connection leads, and as whom: the settings of a node-redis client that say so. */
export interface ConnectionOptions {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** What node-redis takes for one. */
  readonly credentialsProvider?: unknown;
  readonly database?: number | undefined;
  readonly name?: string | undefined;
  readonly socket?: SocketOptions | undefined;
}

/** Options of `net.connect`, or with `tls` of `tls.connect`. */
export interface SocketOptions {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly tls?: boolean | undefined;
  readonly [option: string]: unknown;
}

/** One connection, as far as the log uses it. */
export interface Client {
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

/** What `connect` tells of a connection. */
export interface ClientObserver {
  /** Something was received, perhaps only a part of a reply. */
  heard?(): void;
  /** The connection is lost, or could not be made. */
  lost(error: unknown): void;
}

/** A TCP connection that is not there after this many milliseconds is given up. */
const CONNECT_TIMEOUT_MS = 5_000;

/** Replies of a server that is not the one to ask, at least not now. Nothing was carried out. */
const ELSEWHERE =
  /^(?:MOVED|ASK|READONLY|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|UNBLOCKED|LOADING)(?: |$)/;

/** A command that Redis has refused: it was not carried out. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ErrorReply;
}

/**
 * Whether a command was refused because the server is not, or not any more, the one that holds the stream: another one
 * has taken its place, or will.
 */
export function isElsewhere(error: unknown): boolean {
  return error instanceof ErrorReply && ELSEWHERE.test(error.message);
}

/** A client of node-redis, as far as others are made from it. */
interface Template {
  readonly options: ConnectionOptions;
  duplicate(overrides: object): Template & Client;
}

/** Never connected. Clients are copies of it, because node-redis takes a while to build the class of one. */
let template: Template | undefined;

function copyTemplate(overrides: object): Template & Client {
  template ??= createClient() as unknown as Template;
  return template.duplicate(overrides);
}

/** @returns The settings that a URL stands for. Throws if it is none of Redis. */
export function parseUrl(url: string): ConnectionOptions {
  const { username, password, database, socket } = copyTemplate({ url }).options;
  return { username, password, database, socket: { ...socket } };
}

/**
 * Makes a client of the log's own.
 *
 * It does not connect again by itself, does not keep commands for later and does not send one twice: all that is
 * the log's to decide, because only it knows what an event that was sent without a reply means.
 */
function makeClient(options: ConnectionOptions, connectTimeoutMs: number): Client {
  return copyTemplate({
    ...options,
    RESP: 2,
    disableOfflineQueue: true,
    // Saves a round trip before the first command.
    disableClientInfo: true,
    commandOptions: { timeout: undefined },
    maintNotifications: "disabled",
    pingInterval: undefined,
    commandsQueueMaxLength: undefined,
    socket: {
      ...options.socket,
      connectTimeout: connectTimeoutMs,
      socketTimeout: undefined,
      reconnectStrategy: false,
    },
  });
}

/**
 * Has a function called with every piece of data that a client receives, also in the middle of a reply.
 *
 * node-redis gives no access to its socket. If its inside changes, nothing is reported: then only whole replies count
 * as progress.
 */
function hear(client: Client, heard: () => void): void {
  const decoder = (client as WithDecoder)._getQueue?.().decoder;
  const write = decoder?.write;
  if (decoder === undefined || typeof write !== "function") return;
  decoder.write = (chunk) => {
    heard();
    write.call(decoder, chunk);
  };
}

/**
 * Makes one connection.
 *
 * @param signal - Cuts the connection, also while it is being made. The promise may stay pending then.
 * @param observer - May hear of one loss several times, also of one that the signal has caused.
 * @param connectTimeoutMs - How long its TCP connection may take, in milliseconds.
 */
export async function connect(
  options: ConnectionOptions,
  signal: AbortSignal,
  { heard, lost }: ClientObserver,
  connectTimeoutMs: number = CONNECT_TIMEOUT_MS,
): Promise<Client> {
  signal.throwIfAborted();
  const client = makeClient(options, connectTimeoutMs);
  // Without a listener an error would end the process.
  client.on("error", lost);
  client.on("end", () => lost(new Error("The connection has ended")));
  // A client that is destroyed while its socket is being opened ignores that: its connection would stay open.
  client.on("connect", () => {
    if (signal.aborted) client.destroy();
  });
  signal.addEventListener("abort", () => client.destroy(), { once: true });
  client.unref();
  if (heard !== undefined) hear(client, heard);
  await client.connect();
  return client;
}
