/** A link between a client and a server that a test can break in every way. */

import { once } from "node:events";
import net from "node:net";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface LinkProxy {
  readonly url: string;
  /** Connections so far. */
  readonly count: number;
  /** From now on nothing passes on the present connections, and neither side learns of it. New ones work. */
  swallow(): void;
  /** Breaks all present connections with RST. */
  reset(): void;
  /** Breaks each connection with RST after so many more bytes for the client. */
  resetAfter(bytes: number): void;
}

/** Forwards to a port until the test has ended. */
export async function startLinkProxy(port: number): Promise<LinkProxy> {
  const links = new Set<{
    client: net.Socket;
    server: net.Socket;
    isDead: boolean;
    left: number;
  }>();
  let count = 0;
  let left = Infinity;
  const proxy = net.createServer((client) => {
    count += 1;
    const server = net.connect(port, "127.0.0.1");
    const link = { client, server, isDead: false, left };
    links.add(link);
    const leave = (): void => {
      if (link.isDead) return;
      links.delete(link);
      client.destroy();
      server.destroy();
    };
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on("error", leave).on("close", leave);
      from.on("data", (bytes) => {
        if (link.isDead) return;
        if (from === client) return void to.write(bytes);
        link.left -= bytes.length;
        if (link.left >= 0) return void to.write(bytes);
        // Some of them arrive before the reset.
        to.write(bytes.subarray(0, bytes.length + link.left), () => client.resetAndDestroy());
      });
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const breakAll = (): void => {
    for (const { client } of links) client.resetAndDestroy();
  };
  onTestFinished(() => {
    proxy.close();
    for (const { client, server } of links) {
      client.destroy();
      server.destroy();
    }
  });
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/`,
    get count() {
      return count;
    },
    swallow() {
      for (const link of links) link.isDead = true;
    },
    reset: breakAll,
    resetAfter(bytes) {
      left = bytes;
      for (const link of links) link.left = bytes;
    },
  };
}
