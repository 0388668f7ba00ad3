/** The log's own clients: node-redis, reduced to one connection that is used until it fails. */

import { ErrorReply, createClient } from "redis";

/** Address and credentials of a connection: the relevant settings of a node-redis client. */
export interface ConnectionOptions {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** As accepted by node-redis. */
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

/** The parts of a connection that the log uses. */
export interface Client {
  /** Connects. */
  connect(): Promise<unknown>;
  /** Cuts the connection. */
  destroy(): void;
  /** Sends a command and returns the raw reply. */
  sendCommand(args: readonly string[]): Promise<unknown>;
  /** Listens to an event. */
  on(event: string, listener: (error: unknown) => void): unknown;
  /** Lets the process exit while the connection is open. */
  unref(): void;
}

/** A node-redis internal that receives every piece of a reply as it arrives. */
interface WithDecoder {
  _getQueue?(): { readonly decoder?: { write?: (chunk: unknown) => void } };
}

/** Receives the events of a connection. */
export interface ClientObserver {
  /** Data has arrived, possibly only part of a reply. */
  heard?(): void;
  /** The connection was lost or could not be opened. */
  lost(error: unknown): void;
}

/** Time limit for a TCP connection, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

/** Refusals by a server that is not responsible, at least at present. The command was not executed. */
const ELSEWHERE =
  /^(?:MOVED|ASK|READONLY|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|UNBLOCKED|LOADING)(?: |$)/;

/** Whether Redis has refused a command, which was therefore not executed. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ErrorReply;
}

/**
 * Whether a command was refused because the server does not hold the stream, or no longer does: another server has
 * taken its place, or will.
 */
export function isElsewhere(error: unknown): boolean {
  return error instanceof ErrorReply && ELSEWHERE.test(error.message);
}

/** The parts of a node-redis client that are needed to make others from it. */
interface Template {
  readonly options: ConnectionOptions;
  duplicate(overrides: object): Template & Client;
}

/** Never connected. Clients are copies of it, because node-redis takes a while to build a client class. */
let template: Template | undefined;

function copyTemplate(overrides: object): Template & Client {
  template ??= createClient() as unknown as Template;
  return template.duplicate(overrides);
}

/** @returns The settings in a URL. Throws if it is not a Redis URL. */
export function parseUrl(url: string): ConnectionOptions {
  const { username, password, database, socket } = copyTemplate({ url }).options;
  return { username, password, database, socket: { ...socket } };
}

/**
 * Creates one of the log's own clients.
 *
 * It does not reconnect, queue commands or send one twice. The log decides all that, because only the log knows the
 * consequences of an event that was sent without a reply.
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
 * Calls a function for every piece of data that a client receives, even in the middle of a reply.
 *
 * node-redis gives no access to its socket. If its internals change, pieces are not reported, and only whole replies
 * count as progress.
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
 * Opens one connection.
 *
 * @param signal - Cuts the connection, even while it is being opened. The promise may then stay pending.
 * @param observer - May be notified several times of one loss, including one caused by the signal.
 * @param connectTimeoutMs - Time limit for its TCP connection, in milliseconds.
 */
export async function connect(
  options: ConnectionOptions,
  signal: AbortSignal,
  { heard, lost }: ClientObserver,
  connectTimeoutMs: number = CONNECT_TIMEOUT_MS,
): Promise<Client> {
  signal.throwIfAborted();
  const client = makeClient(options, connectTimeoutMs);
  // An error without a listener would end the process.
  client.on("error", lost);
  client.on("end", () => lost(new Error("The connection has ended")));
  // node-redis ignores `destroy` while the socket is being opened, which would leave the connection open.
  client.on("connect", () => {
    if (signal.aborted) client.destroy();
  });
  signal.addEventListener("abort", () => client.destroy(), { once: true });
  client.unref();
  if (heard !== undefined) hear(client, heard);
  await client.connect();
  return client;
}
