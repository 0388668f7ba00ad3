/** Order tracking, as in docs/guide/channels.md: each order is a channel, which its owner may see. */
import { sse, sseHandler } from "@tidewire/express";
import type { Hub, HubOptions } from "@tidewire/express";
import express from "express";
import type { Express } from "express";

type Channels = { [order: `order:${string}`]: { shipped: { carrier: string } } };

export function createOrders(options: Pick<HubOptions<Channels>, "heartbeatMs" | "log"> = {}): {
  app: Express;
  hub: Hub<Channels>;
} {
  const app = express();
  const events = sse<Channels>({
    onError: () => {},
    ...options,
    authorize: (channel, { request }) => channel.startsWith(`order:${request.get("x-user")}-`),
  });
  app.use(express.json(), events);
  app.get(
    "/orders/:id",
    sseHandler((req) => [`order:${String(req.params["id"])}`]),
  );
  app.post("/orders/:id/ship", async (req, res) => {
    const { carrier } = req.body as { carrier: string };
    await events.hub.publish(`order:${req.params.id}`, { event: "shipped", data: { carrier } });
    res.sendStatus(202);
  });
  return { app, hub: events.hub };
}
