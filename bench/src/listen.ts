import type { Server } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";

/** Queue of connections, large enough for all clients of a round to connect at once. */
export const BACKLOG = 8_192;

/**
 * Makes a server listen on a free port of 127.0.0.1.
 *
 * @returns The port.
 */
export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: 0, host: "127.0.0.1", backlog: BACKLOG }, () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** @returns A free port of 127.0.0.1, for a program that cannot report the port it has taken. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/**
 * @param url - Path and query of a request.
 * @returns The channels that the query names, separated by commas; a string if there is only one.
 */
export function channelsOf(url: string | undefined): string | string[] {
  const channels = channelOf(url);
  return channels.includes(",") ? channels.split(",") : channels;
}

/**
 * @param url - Path and query of a request.
 * @returns The channel that the query names; a default if it names none.
 */
export function channelOf(url: string | undefined): string {
  const query = url?.indexOf("?channel=") ?? -1;
  return url === undefined || query === -1 ? "all" : url.slice(query + "?channel=".length);
}
