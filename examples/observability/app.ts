/** The application: two channels, and the metrics of its hub at `/metrics`. */
import { sse, sseHandler } from "@tidewire/express";
import { collectPrometheus } from "@tidewire/metrics";
import { createRuns } from "@tidewire/runs";
import express from "express";
import type { Express } from "express";
import { Registry } from "prom-client";

/** A running application. */
export interface App {
  readonly app: Express;
  /** Stops everything that publishes, and ends the streams. */
  close(): Promise<void>;
}

/** Creates the application, which publishes at a pace that changes. */
export function createApp(): App {
  const app = express();
  // Clients that are away for long, and clients that do not read, lose their place soon enough to be seen on the page.
  const events = sse({
    retention: { maxEvents: 300 },
    maxBufferedBytes: 65_536,
    heartbeatMs: 5_000,
  });
  app.use(events);

  const runs = createRuns({ onError: () => {} });
  const registry = new Registry();
  collectPrometheus(events.hub, { registry, runs });
  app.get("/metrics", async (_req, res) => {
    res.type(registry.contentType).send(await registry.metrics());
  });

  app.get("/tides", sseHandler("tides"));
  // A plain stream: it has no channel.
  app.get("/clock", async (_req, res) => {
    const tick = setInterval(() => void res.sse.send(new Date().toISOString()), 250);
    res.sse.onClose(() => clearInterval(tick));
    await res.sse.send(new Date().toISOString());
  });
  app.get("/runs/:id", async (req, res) => {
    await runs.start(req.params.id, ({ signal }) => words(signal));
    await runs.follow(req.params.id, res.sse);
  });

  let height = 0;
  const publish = setInterval(() => {
    height += 0.05;
    // Two waves a minute, with more events at high water.
    const count = 1 + Math.round(4 * (1 + Math.sin(height)));
    for (let n = 0; n < count; n++) {
      void events.hub.publish("tides", { event: "tide", data: { height: Math.sin(height), n } });
    }
  }, 250);

  return {
    app,
    async close() {
      clearInterval(publish);
      await runs.close();
      await events.hub.close();
    },
  };
}

/** Produces for a few seconds; one in five fails. */
async function* words(signal: AbortSignal): AsyncGenerator<string> {
  const fails = Math.random() < 0.2;
  for (let n = 0; n < 20 && !signal.aborted; n++) {
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    if (fails && n === 10) throw new Error("The model is not available");
    yield `word ${n} `;
  }
}
