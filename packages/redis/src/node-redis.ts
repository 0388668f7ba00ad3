/** Reads the settings of node-redis 4 to 6 clients: `createClient`, `createCluster` and `createSentinel`. */

import type { ConnectionOptions, SocketOptions } from "./client.js";
import { parseUrl } from "./client.js";
import { createClusterLocator } from "./cluster.js";
import { createFixedLocator, mapWith } from "./locator.js";
import type { Address, Locator, Settings } from "./locator.js";
import { createSentinelLocator } from "./sentinel.js";

/** Settings of a single client, or of the nodes of a cluster or Sentinel client. */
interface NodeOptions extends ConnectionOptions {
  readonly url?: string | undefined;
  readonly keyPrefix?: string | undefined;
}

interface ClusterOptions {
  readonly rootNodes: readonly NodeOptions[];
  readonly defaults?: NodeOptions | undefined;
  readonly nodeAddressMap?: unknown;
  readonly keyPrefix?: string | undefined;
}

interface SentinelOptions {
  readonly name: string;
  readonly sentinelRootNodes: readonly Address[];
  readonly nodeClientOptions?: NodeOptions | undefined;
  readonly sentinelClientOptions?: NodeOptions | undefined;
  readonly nodeAddressMap?: unknown;
  readonly keyPrefix?: string | undefined;
}

/** Members common to all three. */
interface NodeRedis {
  readonly isOpen: boolean;
  readonly options?: NodeOptions | undefined;
  connect(): Promise<unknown>;
  duplicate?(): unknown;
  sendCommand(...args: unknown[]): unknown;
  on(event: string, listener: () => void): unknown;
  listeners(event: string): readonly unknown[];
}

/** The part of a Sentinel client that returns a client for its master. */
interface SentinelClient extends NodeRedis {
  destroy(): Promise<void>;
  _execute<Result>(
    isReadonly: boolean,
    use: (master: { readonly options: NodeOptions }) => Result,
  ): Promise<Result>;
}

const ignoreError = (): void => {};

/**
 * @param given - An object with the methods `connect`, `on` and `sendCommand`.
 * @returns Its settings; `undefined` if it is not a node-redis client.
 */
export function readNodeRedis(given: object): Settings | undefined {
  if (!("isOpen" in given) || typeof given.isOpen !== "boolean") return undefined;
  const client = given as NodeRedis;
  const settings = readClient(client);
  // If the application uses the client without a listener, an error would end the process.
  if (settings !== undefined && !client.listeners("error").includes(ignoreError)) {
    client.on("error", ignoreError);
  }
  return settings;
}

function readClient(client: NodeRedis): Settings | undefined {
  if ("nodeClient" in client && "slots" in client) return readCluster(client);
  if ("use" in client && "acquire" in client) {
    return readSentinel(client as unknown as SentinelClient);
  }
  if (!("unref" in client)) return undefined;
  const options = pick(client.options);
  return {
    keyPrefix: client.options?.keyPrefix ?? "",
    createLocator: () => createFixedLocator(options),
  };
}

function readCluster(client: NodeRedis): Settings | undefined {
  const options = optionsOf(client) as ClusterOptions | undefined;
  if (options === undefined) return undefined;
  const { rootNodes, defaults, nodeAddressMap, keyPrefix = "" } = options;
  const nodeOptions = { ...pick(defaults), database: undefined };
  const settings = {
    roots: rootNodes.map((root) => merge(nodeOptions, root)),
    nodeOptions,
    mapAddress: mapWith(nodeAddressMap),
  };
  return { keyPrefix, createLocator: (key) => createClusterLocator(settings, key) };
}

function readSentinel(client: SentinelClient): Settings | undefined {
  // It can be copied from version 6 on.
  if (client.duplicate === undefined) {
    return { keyPrefix: "", createLocator: () => createSharedLocator(client) };
  }
  const options = optionsOf(client) as SentinelOptions | undefined;
  if (options === undefined) return undefined;
  const locator = createSentinelLocator({
    name: options.name,
    sentinels: options.sentinelRootNodes,
    sentinelOptions: pick(options.sentinelClientOptions),
    nodeOptions: pick(options.nodeClientOptions),
    mapAddress: mapWith(options.nodeAddressMap),
  });
  return { keyPrefix: options.keyPrefix ?? "", createLocator: () => locator };
}

/**
 * A Sentinel client of version 5 does not reveal its settings. It is asked for its master over its existing
 * connections, and follows a failover by itself.
 */
function createSharedLocator(client: SentinelClient): Locator {
  /** Only one query at a time: it repeats until there is a master. */
  let asked: Promise<ConnectionOptions> | undefined;
  const over = (): void => void (asked = undefined);
  return { hasFailover: true, find: () => (asked ??= askShared(client).finally(over)) };
}

async function askShared(client: SentinelClient): Promise<ConnectionOptions> {
  if (!client.isOpen) {
    try {
      await client.connect();
    } catch (error) {
      // Otherwise it counts as open and never tries again.
      await client.destroy();
      throw error;
    }
  }
  return client._execute(false, ({ options }) => pick(options));
}

/**
 * A cluster or Sentinel client does not reveal its settings, but passes them to the class of the copy when it is
 * copied. During that call it sees another class, which records them.
 */
function optionsOf(client: NodeRedis): unknown {
  let options: unknown;
  const Copy = function (given: unknown): void {
    options = given;
  };
  const prototype = Object.getPrototypeOf(client) as object;
  Object.setPrototypeOf(
    client,
    Object.create(prototype, { constructor: { value: Copy } }) as object,
  );
  try {
    client.duplicate?.();
  } finally {
    Object.setPrototypeOf(client, prototype);
  }
  return options;
}

/** @returns The address and credentials. */
function pick(options: NodeOptions | undefined): ConnectionOptions {
  const { username, password, credentialsProvider, database, name, socket } = options ?? {};
  return { username, password, credentialsProvider, database, name, socket: pickSocket(socket) };
}

/** Version 4 has the delay of keep-alive where later versions have only a boolean. */
function pickSocket(socket: SocketOptions | undefined): SocketOptions | undefined {
  const keepAlive = socket?.["keepAlive"];
  if (typeof keepAlive !== "number") return socket;
  return { ...socket, keepAlive: true, keepAliveInitialDelay: keepAlive };
}

/** A root node of a cluster may be given by URL. */
function merge(defaults: ConnectionOptions, { url, ...root }: NodeOptions): ConnectionOptions {
  const parsed = url === undefined ? {} : parseUrl(url);
  const own = Object.fromEntries(
    Object.entries({ ...pick(root), ...parsed }).filter(([, value]) => value !== undefined),
  );
  return {
    ...defaults,
    ...own,
    socket: { ...defaults.socket, ...root.socket, ...parsed.socket },
  };
}
