import http from "node:http";
import type { AnyHub } from "@tidewire/core/adapter";
import { listen as listenRaw } from "../contracts/raw-server.js";
import type { RawServer } from "../contracts/raw-server.js";

/** Listens on a free port of this machine with a `node:http` server that is shut down together with its hub. */
export async function listen(hub: AnyHub, listener: http.RequestListener): Promise<RawServer> {
  const server = await listenRaw(http.createServer(listener));
  return {
    port: server.port,
    async close() {
      await hub.close();
      await server.close();
    },
  };
}
