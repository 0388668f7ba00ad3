/** The contract between the log and the client libraries it accepts: how to find the server of a stream. */

import { connect } from "./client.js";
import type { ConnectionOptions } from "./client.js";

/** Finds the server that holds the stream. Called before each connection, because the server may change. */
export interface Locator {
  /** Whether another server takes over when this one fails, which shortens the time limits. */
  readonly hasFailover: boolean;
  /**
   * @param signal - Aborts when the answer is no longer needed. The promise may then stay pending.
   * @returns Connection settings for the server.
   */
  find(signal: AbortSignal): Promise<ConnectionOptions>;
}

/**
 * Settings that the log reads from a given client. It does not use the client itself, unless the client cannot be
 * copied: it takes the settings and opens its own connections. This prevents a library from repeating a publish or
 * holding up the log by waiting forever.
 */
export interface Settings {
  /** Prefix that the library adds to each key; `""` for none. */
  readonly keyPrefix: string;
  /**
   * @param key - Key of the stream.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the key cannot be used on that server.
   */
  createLocator(key: string): Locator;
}

/** Address of a server. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Maps the address by which a server is known to one that this process can reach. */
export type MapAddress = (address: Address) => Address;

/** Sends a command to a server and returns its reply. */
type Ask = <Reply>(...args: string[]) => Promise<Reply>;

/** Time after which the next server is asked too, in milliseconds. */
const NEXT_MS = 300;
/** Time limit for the TCP connection to a server that is asked for another one, in milliseconds. */
const CONNECT_TIMEOUT_MS = 2_000;

/** @returns A locator for a single fixed server. */
export function createFixedLocator(options: ConnectionOptions): Locator {
  return { hasFailover: false, find: () => Promise.resolve(options) };
}

/** @returns An address in the form that libraries use, as a map key. */
export function nameOf({ host, port }: Address): string {
  return `${host}:${port}`;
}

/** @returns Settings with another address. */
export function withAddress(
  options: ConnectionOptions,
  { host, port }: Address,
): ConnectionOptions {
  return { ...options, socket: { ...options.socket, host, port } };
}

/** @returns A function for a library's address map, which may be an object, a function or absent. */
export function mapWith(map: unknown): MapAddress {
  return (address) => {
    const name = nameOf(address);
    const mapped =
      typeof map === "function"
        ? (map as (name: string) => Address | undefined)(name)
        : (map as Record<string, Address> | null | undefined)?.[name];
    return mapped ?? address;
  };
}

/**
 * Asks servers in random order until one answers. A dead or hanging server costs at most 0.3 s.
 *
 * @param question - Sends the question to one of them.
 * @returns The first answer. Rejects with the last error if all fail.
 */
export function askAny<Answer>(
  servers: readonly ConnectionOptions[],
  signal: AbortSignal,
  question: (ask: Ask, server: ConnectionOptions) => Promise<Answer>,
): Promise<Answer> {
  const left = shuffle(servers);
  const answered = new AbortController();
  const stop = AbortSignal.any([signal, answered.signal]);
  let asked = 0;
  let timer: NodeJS.Timeout | undefined;
  return new Promise((resolve, reject) => {
    const next = (): void => {
      clearTimeout(timer);
      const server = left.pop();
      if (server === undefined) return;
      asked += 1;
      timer = setTimeout(next, NEXT_MS).unref();
      askOne(server, stop, question).then(
        (answer) => {
          clearTimeout(timer);
          answered.abort();
          resolve(answer);
        },
        (error: unknown) => {
          asked -= 1;
          if (stop.aborted) return;
          if (left.length > 0) return next();
          if (asked === 0) reject(error as Error);
        },
      );
    };
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
    next();
  });
}

async function askOne<Answer>(
  server: ConnectionOptions,
  signal: AbortSignal,
  question: (ask: Ask, server: ConnectionOptions) => Promise<Answer>,
): Promise<Answer> {
  const over = new AbortController();
  try {
    const client = await connect(
      server,
      AbortSignal.any([signal, over.signal]),
      // `connect` and `sendCommand` reject with the same error.
      { lost: () => {} },
      CONNECT_TIMEOUT_MS,
    );
    return await question(
      async <Reply>(...args: string[]) => (await client.sendCommand(args)) as Reply,
      server,
    );
  } finally {
    over.abort();
  }
}

function shuffle<Item>(items: readonly Item[]): Item[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
