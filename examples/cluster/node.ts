// One node of the cluster, as a process of its own: main starts it and says what it is.
import { createHub } from "@tidewire/core";
import { redisLog } from "@tidewire/redis";
import type { Channels, NodeIdentity } from "./channels.js";
import { startExpressNode } from "./express-node.js";
import { startFastifyNode } from "./fastify-node.js";

const [name = "", framework, key] = process.argv.slice(2);
const self = { name, framework } as NodeIdentity;

const url = process.env["REDIS_URL"] ?? "redis://localhost:6379";
const hub = createHub<Channels>({ log: redisLog({ url, key }) });
const start = self.framework === "Fastify" ? startFastifyNode : startExpressNode;
const server = await start(hub, self);
process.send?.({ port: server.port });

process.once("SIGTERM", () => void server.stop().then(() => process.exit()));
// Main is gone: without it nobody finds this node, and nobody would end it.
process.once("disconnect", () => process.exit());
