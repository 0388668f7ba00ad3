import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Hub } from "@tidewire/core";
import { sse } from "@tidewire/express";
import express from "express";
import type { Channels, NodeIdentity } from "./channels.js";
import { join } from "./node-server.js";
import type { NodeServer } from "./node-server.js";
import { PAGE_FILES } from "./page.js";

/** Starts a node on Express, on a free port. */
export async function startExpressNode(
  hub: Hub<Channels>,
  self: NodeIdentity,
): Promise<NodeServer> {
  const app = express();
  app.disable("x-powered-by");
  app.use(sse({ hub }));

  app.get("/events", (_req, res) => join(res.sse, self));

  for (const { url, type, read } of PAGE_FILES) {
    app.get(url, async (_req, res) => void res.type(type).send(await read()));
  }

  const server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      await hub.close();
      server.close().closeAllConnections();
    },
  };
}
