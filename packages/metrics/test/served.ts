/** A hub behind `node:http`, for tests of its metrics. */

import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { createHub } from "@tidewire/core";
import type { Hub, HubOptions, Session } from "@tidewire/core";
import { request } from "../../../test/client.js";
import type { StreamClient } from "../../../test/client.js";

/** A served hub. */
export interface Served {
  readonly hub: Hub;
  /** Opens a stream. */
  open(headers?: Record<string, string>): Promise<StreamClient>;
  close(): Promise<void>;
}

/** Serves a hub whose requests all run one handler. */
export async function serve(
  handler: (session: Session) => unknown = (session) => session.subscribe("news"),
  options: HubOptions = {},
): Promise<Served> {
  const hub = createHub(options);
  const server = http.createServer((incoming, response) => {
    handler(hub.createSession({ request: incoming, response }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const target = { port: (server.address() as AddressInfo).port, protocol: "http1" } as const;
  return {
    hub,
    open: (headers) =>
      request(target, "/", { headers: { accept: "text/event-stream", ...headers } }),
    async close() {
      await hub.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
