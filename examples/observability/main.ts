/** Starts an application, visitors, and a Prometheus that scrapes the application; shows the graphs on a page. */
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import express from "express";
import { createApp } from "./app.js";
import { ALERT_RULES, readAlerts, readGraphs } from "./dashboard.js";
import { startPrometheus } from "./prometheus.js";
import { startVisitors } from "./visitors.js";

const port = Number(process.env["PORT"] ?? 3000);
const origin = `http://localhost:${port}`;

const { app, close } = createApp();
const server = app.listen(port, "127.0.0.1");
await once(server, "listening");
const prometheus = await startPrometheus(port, port + 1, ALERT_RULES);
const stopVisitors = startVisitors(`http://127.0.0.1:${port}`);

// This file runs from `examples/dist/observability`.
app.use(express.static(fileURLToPath(new URL("../../observability/page/", import.meta.url))));
app.get("/graphs", async (_req, res) => {
  if (prometheus === undefined) return void res.json({ isInstalled: false });
  try {
    const [rows, alerts] = await Promise.all([
      readGraphs(prometheus.origin),
      readAlerts(prometheus.origin),
    ]);
    res.json({ isInstalled: true, rows, alerts });
  } catch {
    // It is still starting.
    res.status(503).json({ isInstalled: true });
  }
});

console.log(`Graphs      ${origin}`);
console.log(`Metrics     ${origin}/metrics`);
if (prometheus === undefined) {
  console.log("Prometheus is not installed (Debian: apt install prometheus): there are no graphs.");
} else {
  console.log(`Prometheus  ${prometheus.origin}`);
}
console.log("Stop with Ctrl-C.");

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    stopVisitors();
    await close();
    await prometheus?.stop();
    // Browsers open connections in advance. close() alone would wait for them.
    server.close().closeAllConnections();
  });
}
