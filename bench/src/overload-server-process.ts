import http from "node:http";
import type { AddressInfo } from "node:net";
import { createHub } from "@tidewire/core";
import type { Hub } from "@tidewire/core";
import { KINDS } from "./overload-protocol.js";
import type { Kind, OverloadServer } from "./overload-protocol.js";
import { serve } from "./remote.js";

// A server with less room than clients. It publishes once a second.

let hub: Hub;
let requests = noRequests();

function noRequests(): Record<Kind, number> {
  return Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;
}

serve<OverloadServer>({
  async start(options) {
    hub = createHub(options);
    const server = http.createServer((request, response) => {
      requests[request.url?.slice(1) as Kind] += 1;
      void hub.createSession({ request, response }).subscribe("news");
    });
    setInterval(() => void hub.publish("news", new Date().toISOString()), 1_000);
    await new Promise<void>((resolve) => {
      server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, resolve);
    });
    return (server.address() as AddressInfo).port;
  },
  sample() {
    const seen = requests;
    requests = noRequests();
    const { sessions, held } = hub.stats();
    const { heapUsed, rss } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    return {
      requests: seen,
      open: sessions.open,
      held,
      heapUsed,
      rss,
      cpuMs: (user + system) / 1e3,
    };
  },
});
