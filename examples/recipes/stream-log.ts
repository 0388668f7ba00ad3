// Writes one log line for each stream, at its end, with pino.
import diagnosticsChannel from "node:diagnostics_channel";
import type { DiagnosticMessages } from "@tidewire/core";
import { sse, sseHandler } from "@tidewire/express";
import express from "express";
import type { Request } from "express";
import { pino } from "pino";

const log = pino();
const app = express();
const streams = sse({
  // Stands in for a login.
  identify: (req) => /\buser=(\w+)/.exec(req.headers.cookie ?? "")?.[1],
  onError: (err, { stage }) => log.error({ err, stage }, "event streams"),
});
app.use(streams, express.json());

diagnosticsChannel.subscribe("tidewire.session.close", (message) => {
  const { session, reason, lifetimeMs, events, bytes } =
    message as DiagnosticMessages["tidewire.session.close"];
  const { path } = session.request as Request;
  const line = { user: session.identity, path, reason, lifetimeMs, events, bytes };
  // A client that leaves is not an error. These three have a cause on the server, or in the client's network.
  if (reason === "error" || reason === "slow" || reason === "refused")
    log.warn(line, "stream ended");
  else log.info(line, "stream ended");
});

app.get("/news", sseHandler("news", { latest: 1 }));
app.post("/news", async (req, res) => {
  res.json(await streams.hub.publish("news", { event: "headline", data: req.body }));
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  log.info(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await streams.hub.close();
    // Browsers open connections in advance. close() alone would wait for them.
    server.close().closeAllConnections();
  });
}
