import { createHub } from "@tidewire/core";
import { collectPrometheus } from "@tidewire/metrics";
import { Registry } from "prom-client";
import { serveHub } from "../serve-hub.js";
import type { Subject } from "../subject.js";

// `tidewire-http` with metrics that are scraped, more often than Prometheus does by default.

const SCRAPE_MS = 5_000;

export const subject: Subject = {
  start({ heartbeatMs }) {
    const hub = createHub({ heartbeatMs });
    const registry = new Registry();
    collectPrometheus(hub, { registry });
    setInterval(() => void registry.metrics(), SCRAPE_MS).unref();
    return serveHub(hub, ({ url }, response) => {
      if (url !== "/metrics") return false;
      void registry.metrics().then((text) => response.end(text));
      return true;
    });
  },
};
