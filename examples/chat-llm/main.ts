import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { NodeIdentity, NodeStatus } from "../cluster/channels.js";
import { Nodes } from "../cluster/nodes.js";
import { passOn } from "../cluster/proxy.js";
import { answers } from "../cluster/redis.js";
import { StartError } from "../cluster/start-error.js";
import { startChatServer } from "./chat-server.js";
import { readHost, readPort, readTokenMs } from "./settings.js";
import { openStore } from "./store.js";

const NODES: readonly NodeIdentity[] = [
  { name: "Node 1", framework: "Express" },
  { name: "Node 2", framework: "Express" },
];
const PROGRAM = new URL("node.js", import.meta.url);

/** The same in every run of the demo: chats on Redis outlive all of its processes. */
const KEY = "tidewire:chat-llm";

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
  const [port, host, tokenMs] = [readPort(), readHost(), readTokenMs()];
  const url = process.env["REDIS_URL"];
  try {
    if (url === undefined || url === "") {
      const server = await startChatServer({ ...openStore(), host, port, tokenMs });
      stops.push(() => server.stop());
      console.log("One node, with chats in memory. Set REDIS_URL for two nodes.");
    } else {
      await startNodes(port, host, url);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new StartError(
      `Port ${port} is taken: stop what listens there, or set PORT to a port that is free.`,
    );
  }
  if (isStopping) return;
  console.log(`Page    http://localhost:${port}`);
  console.log("Stop with Ctrl-C.");
}

/** Starts two nodes that share a Redis, and a server that passes the requests on to them in turn. */
async function startNodes(port: number, host: string, url: string): Promise<void> {
  // Comes first, so that a taken port is detected before anything else starts.
  const server = createServer(answer);
  await once(server.listen(port, host), "listening");
  stops.push(async () => {
    server.close().closeAllConnections();
  });
  if (!(await answers(url))) {
    throw new StartError(
      "Redis does not answer at the address in REDIS_URL: correct it, or leave it out to keep the chats in memory.",
    );
  }
  nodes = new Nodes(PROGRAM, NODES, { url, key: KEY }, tell);
  stops.push(async () => nodes?.stop());
  await nodes.start();
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

function tell({ name, pid, state }: NodeStatus): void {
  if (state === "up") console.log(`${name}  process ${pid}`);
  if (state === "down") console.log(`${name}  process ${pid} has died, starts again in 5 s`);
}

async function stop(code: number): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  for (const end of stops.toReversed()) await end();
  process.exit(code);
}
