/** A dashboard, as in docs/guide/state.md: all values first, then each change. */
import { createHub, ssePlugin } from "@tidewire/fastify";
import type { HubOptions } from "@tidewire/fastify";
import Fastify from "fastify";

type Channels = { stock: { all: Record<string, number>; change: { item: string; count: number } } };

export async function createDashboard(
  options: Pick<HubOptions<Channels>, "heartbeatMs" | "log"> = {},
) {
  const hub = createHub<Channels>(options);
  const app = Fastify({ return503OnClosing: false });
  await app.register(ssePlugin, { hub });
  const stock: Record<string, number> = {};
  app.get("/stock", async (_request, reply) => {
    const snapshot = () => [{ event: "all", data: { ...stock } } as const];
    await reply.sse.subscribe("stock", { snapshot });
  });
  app.put("/stock/:item", async (request, reply) => {
    const { item } = request.params as { item: string };
    const { count } = request.body as { count: number };
    stock[item] = count;
    await hub.publish("stock", { event: "change", data: { item, count } });
    return reply.code(204).send();
  });
  return { app, hub };
}
