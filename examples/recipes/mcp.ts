// An MCP server in several processes: a change in one reaches the subscriptions that clients have opened at all of them.
import { toNodeHandler } from "@modelcontextprotocol/node";
import { InMemoryServerEventBus, McpServer, createMcpHandler } from "@modelcontextprotocol/server";
import type { ServerEvent, ServerEventBus } from "@modelcontextprotocol/server";
import { createHub } from "@tidewire/core";
import { redisLog } from "@tidewire/redis";
import express from "express";
import { createClient } from "redis";

const NEWS = "news://headlines";
const url = process.env["REDIS_URL"] ?? "redis://localhost:6379";
const redis = createClient({ url }).on("error", console.error);
const hub = createHub<{ mcp: { change: ServerEvent } }>({ log: redisLog({ client: redis }) });

const local = new InMemoryServerEventBus(console.error);
const bus: ServerEventBus = {
  publish: (change) => void hub.publish("mcp", { event: "change", data: change }),
  subscribe: (listener) => local.subscribe(listener),
};

/** Hands changes on to the subscriptions of this process, with one reading for all of them. */
async function follow(): Promise<void> {
  for await (const item of hub.read("mcp")) {
    // After a reset changes may be missing: all that clients can subscribe to may have changed.
    local.publish(item.type === "event" ? item.data : { kind: "resource_updated", uri: NEWS });
  }
}

function createServer(): McpServer {
  const capabilities = { resources: { subscribe: true } };
  const server = new McpServer({ name: "news", version: "1.0.0" }, { capabilities });
  server.registerResource("headlines", NEWS, {}, async () => ({
    contents: [{ uri: NEWS, text: (await redis.lRange("mcp:titles", 0, -1)).join("\n") }],
  }));
  return server;
}

const handler = createMcpHandler(createServer, { bus });

const app = express();
app.all("/mcp", toNodeHandler(handler));
app.post("/news", express.json(), async (req, res) => {
  const { title } = req.body as { title: string };
  await redis.rPush("mcp:titles", title);
  handler.notify.resourceUpdated(NEWS);
  res.sendStatus(204);
});

await redis.connect();
const following = follow();
const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await handler.close();
    await hub.close();
    await following;
    await redis.close();
    server.close().closeAllConnections();
  });
}
