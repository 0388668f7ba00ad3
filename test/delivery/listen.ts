import http from "node:http";
import type { AddressInfo } from "node:net";
import type { AnyHub } from "@tidewire/core";

/** A server of `node:http` on a free port, and how it is shut down together with its hub. */
export interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on a free port of this machine. */
export async function listen(hub: AnyHub, listener: http.RequestListener): Promise<Listening> {
  const server = http.createServer(listener);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      await hub.close();
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
