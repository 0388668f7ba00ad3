/** The contract between the log and the libraries whose clients it takes: how the server of a stream is found. */

import { connect } from "./client.js";
import type { ConnectionOptions } from "./client.js";

/** Finds the server that holds the stream: before each connection, because it may be another one each time. */
export interface Locator {
  /** Whether another server takes over when this one fails: then it is not waited for as long. */
  readonly hasFailover: boolean;
  /**
   * @param signal - Aborts when no caller needs the answer any more. The promise may stay pending then.
   * @returns How to connect to the server.
   */
  find(signal: AbortSignal): Promise<ConnectionOptions>;
}

/**
 * What is known from a client that was given. The log does not use the client itself, except one that cannot be copied:
 * it reads the settings and makes connections of its own. Therefore a publish is never repeated by a library, and a
 * library that waits for ever holds up nothing.
 */
export interface Settings {
  /** What the library puts in front of each key; `""` for nothing. */
  readonly keyPrefix: string;
  /**
   * @param key - Key of the stream.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the key cannot be used there.
   */
  createLocator(key: string): Locator;
}

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Puts the address that a client can reach in place of the one that a server is known by. */
export type MapAddress = (address: Address) => Address;

/** Sends a command to a server and gives its reply. */
type Ask = <Reply>(...args: string[]) => Promise<Reply>;

/** A server that has not answered after this many milliseconds is not waited for: the next one is asked as well. */
const NEXT_MS = 300;
/** A TCP connection to a server that is asked for another one is given up after this many milliseconds. */
const CONNECT_TIMEOUT_MS = 2_000;

/** @returns A locator of the one server that there is. */
export function createFixedLocator(options: ConnectionOptions): Locator {
  return { hasFailover: false, find: () => Promise.resolve(options) };
}

/** @returns An address as a key of a map, and as libraries write it. */
export function nameOf({ host, port }: Address): string {
  return `${host}:${port}`;
}

/** @returns Settings that lead to an address. */
export function withAddress(
  options: ConnectionOptions,
  { host, port }: Address,
): ConnectionOptions {
  return { ...options, socket: { ...options.socket, host, port } };
}

/** @returns A function for what libraries take as a map of addresses: an object, a function, or neither. */
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
 * Asks servers in random order until one answers. A server that is dead or hangs costs 0.3 s at most.
 *
 * @param question - Asks one of them.
 * @returns The first answer. Rejects with the last error if no server has one.
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
      // What is wrong with it is what `connect` and `sendCommand` reject with.
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
