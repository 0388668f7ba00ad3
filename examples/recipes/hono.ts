// Hono on Node: the hub takes Node's own request and response.
import { serve } from "@hono/node-server";
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { createHub } from "@tidewire/core";
import { Hono } from "hono";

type Channels = { news: { headline: { title: string } } };

const hub = createHub<Channels>();
const app = new Hono<{ Bindings: HttpBindings }>();

app.get("/news", (c) => {
  const session = hub.createSession({ request: c.env.incoming, response: c.env.outgoing });
  void session.subscribe("news", { latest: 20 });
  return RESPONSE_ALREADY_SENT;
});

app.post("/news", async (c) => {
  const { title } = await c.req.json<{ title: string }>();
  return c.json(await hub.publish("news", { event: "headline", data: { title } }), 202);
});

const port = Number(process.env["PORT"] ?? 3000);
const server = serve({ fetch: app.fetch, port, hostname: "127.0.0.1" }, () => {
  console.log(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await hub.close();
    server.close();
    // Browsers open connections in advance. close() alone would wait for them.
    if ("closeAllConnections" in server) server.closeAllConnections();
  });
}
