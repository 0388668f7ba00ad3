// One node of the cluster as a separate process. Main starts it and passes its identity.
import { createHub } from "@tidewire/core";
import { redisLog } from "@tidewire/redis";
import type { Channels, NodeIdentity } from "./channels.js";
import { startExpressNode } from "./express-node.js";
import { startFastifyNode } from "./fastify-node.js";

const [name = "", framework, key] = process.argv.slice(2);
const self = { name, framework } as NodeIdentity;

const url = process.env["REDIS_URL"] ?? "redis://localhost:6379";
const hub = createHub<Channels>({
  log: redisLog({ url, key }),
  // A page has a random name for its tab, to count the tabs of all nodes.
  identify: (request) => /[?&]tab=([\w-]{1,40})/.exec(request.url ?? "")?.[1],
  // A short lease: nodes are killed here, and a tab that was closed meanwhile counts until the lease is over.
  presence: { channels: (channel) => channel === "ticks", leaseMs: 6_000 },
});
const start = self.framework === "Fastify" ? startFastifyNode : startExpressNode;
const server = await start(hub, self);
process.send?.({ port: server.port });

process.once("SIGTERM", () => void server.stop().then(() => process.exit()));
// Main is gone: clients cannot reach this node any more, and it would never be stopped.
process.once("disconnect", () => process.exit());
