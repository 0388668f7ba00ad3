import { createServer } from "node:http";
import { createHub } from "@tidewire/core";
import { collectPrometheus } from "@tidewire/metrics";
import { Registry } from "prom-client";
import { channelsOf, listen } from "../listen.js";
import type { Subject } from "../subject.js";
import { blockSize } from "../block-size.js";

// `tidewire-http` with metrics that are scraped, more often than Prometheus does by default.

const SCRAPE_MS = 5_000;

export const subject: Subject = {
  async start({ heartbeatMs }) {
    const hub = createHub({ heartbeatMs });
    const registry = new Registry();
    collectPrometheus(hub, { registry });
    setInterval(() => void registry.metrics(), SCRAPE_MS).unref();
    const server = createServer((request, response) => {
      if (request.url === "/metrics") {
        void registry.metrics().then((text) => response.end(text));
        return;
      }
      const session = hub.createSession({ request, response });
      if (request.url === "/open") session.open();
      else void session.subscribe(channelsOf(request.url));
    });

    return {
      port: await listen(server),
      publish(channel, text) {
        return hub
          .publish(channel, text)
          .then(({ id }) => ({ id, blockBytes: blockSize(id, text) }));
      },
    };
  },
};
