// A server in a separate process, which can be stopped: publishes numbers, ten a second.
import { once } from "node:events";
import { sse } from "@tidewire/express";
import express from "express";

const events = sse({ heartbeatMs: Number(process.env.HEARTBEAT_MS), reconnectionTimeMs: 500 });
const sessions = new Set();
const app = express();
app.use(events);
app.get("/events", (_req, res) => {
  sessions.add(res.sse);
  res.sse.onClose(() => sessions.delete(res.sse));
  void res.sse.subscribe("news");
});
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");

let number = 0;
setInterval(() => {
  number += 1;
  void events.hub.publish("news", { event: "n", data: number });
}, 100);

// The only command: end all streams in order.
process.on("message", () => {
  for (const session of sessions) session.close();
});
process.on("disconnect", () => process.exit());
process.send(server.address().port);
