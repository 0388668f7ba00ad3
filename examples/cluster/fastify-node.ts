import type { AddressInfo } from "node:net";
import type { Hub } from "@tidewire/core";
import { ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";
import type { Channels, NodeIdentity } from "./channels.js";
import { join } from "./node-server.js";
import type { NodeServer } from "./node-server.js";
import { PAGE_FILES } from "./page.js";

/** Starts a node on Fastify, on a free port. */
export async function startFastifyNode(
  hub: Hub<Channels>,
  self: NodeIdentity,
): Promise<NodeServer> {
  const fastify = Fastify({ return503OnClosing: false, forceCloseConnections: true });
  await fastify.register(ssePlugin, { hub });

  fastify.get("/events", (_request, reply) => {
    join(reply.sse, self);
    return reply;
  });

  for (const { url, type, read } of PAGE_FILES) {
    fastify.get(url, async (_request, reply) => reply.type(type).send(await read()));
  }

  await fastify.listen({ port: 0, host: "127.0.0.1" });
  return {
    port: (fastify.server.address() as AddressInfo).port,
    async stop() {
      // Ends the streams of this server, but leaves a hub that was passed in.
      await fastify.close();
      await hub.close();
    },
  };
}
