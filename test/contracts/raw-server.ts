import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";

/** A listening server without a hub. */
export interface RawServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on a free port of this machine. */
export async function listen(server: Server & { closeAllConnections(): void }): Promise<RawServer> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
