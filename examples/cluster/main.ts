import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createRedisPublisher } from "@tidewire/redis";
import type { Channels, NodeIdentity, NodeStatus } from "./channels.js";
import { Nodes } from "./nodes.js";
import { passOn } from "./proxy.js";
import { openRedis } from "./redis.js";
import { StartError } from "./start-error.js";
import { publishStatus, publishTicks } from "./ticks.js";

const NODES: readonly NodeIdentity[] = [
  { name: "Node 1", framework: "Express" },
  { name: "Node 2", framework: "Fastify" },
  { name: "Node 3", framework: "Express" },
];

const PROGRAM = new URL("node.js", import.meta.url);

/** A separate stream for each run, so that earlier runs leave nothing behind. */
const key = `tidewire:cluster-demo:${randomUUID()}`;

/** Cleanup functions of everything started so far, called in reverse order. */
const stops: (() => Promise<void>)[] = [];
let isStopping = false;
let nodes: Nodes | undefined;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => void stop(0));

try {
  await start();
} catch (error) {
  if (!isStopping) console.error(error instanceof StartError ? error.message : error);
  await stop(1);
}

async function start(): Promise<void> {
  const port = readPort();
  // Comes first, so that a taken port is detected before anything else starts.
  await listen(port);
  const redis = await openRedis(key, (end) => stops.push(end));
  const stream = { url: redis.url, key };
  console.log(`Redis   ${redis.description}`);

  // This process holds no session and reads nothing: it only publishes.
  const publisher = createRedisPublisher<Channels>({ ...stream, dedupeWindowMs: 30_000 });
  stops.push(() => publisher.close());
  const started = new Nodes(PROGRAM, NODES, stream, (node) => {
    tell(node);
    publishStatus(publisher, started.status()).catch(() => {
      // The status is published again every second.
    });
  });
  nodes = started;
  stops.push(() => started.stop());
  await started.start();
  if (isStopping) return;

  const ticking = new AbortController();
  const ticks = publishTicks(publisher, () => started.status(), ticking.signal);
  stops.push(() => {
    ticking.abort();
    return ticks;
  });
  console.log(`Page    http://localhost:${port}`);
  console.log("Stop with Ctrl-C.");
}

/** Answers requests for this process, and passes all others on to a node. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  // A page of an earlier run that reconnects too early. It will try again.
  if (nodes === undefined) return void response.destroy();
  const [path, query] = (request.url ?? "/").split("?");
  if (path !== "/kill") {
    // A request that cannot be passed on, such as one with an invalid path, must not end the process.
    passOn(request, response, nodes).catch(() => response.destroy());
    return;
  }
  if (request.method !== "POST") return void response.writeHead(405, { Allow: "POST" }).end();
  const isKilled = nodes.kill(Number(new URLSearchParams(query).get("pid")));
  response.writeHead(isKilled ? 204 : 404).end();
}

function tell({ name, framework, pid, state }: NodeStatus): void {
  if (state === "up") console.log(`${name}  ${framework}, process ${pid}`);
  if (state === "down") console.log(`${name}  process ${pid} has died, starts again in 5 s`);
}

function readPort(): number {
  const port = Number(process.env["PORT"] ?? 3000);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new StartError(
    `Expected PORT to be a whole number from 1 to 65535, got ${JSON.stringify(process.env["PORT"])}.`,
  );
}

async function listen(port: number): Promise<void> {
  const server = createServer(answer);
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new StartError(
      `Port ${port} is taken: stop what listens there, or set PORT to a port that is free.`,
    );
  }
  stops.push(async () => {
    server.close().closeAllConnections();
  });
}

async function stop(code: number): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  for (const end of stops.toReversed()) await end();
  process.exit(code);
}
