// A server that is restarted under its clients, in a separate process. It shuts down as the documentation says.
import { once } from "node:events";
import process from "node:process";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import { redisLog } from "@tidewire/redis";
import express from "express";
import Fastify from "fastify";

const { framework, port, url } = JSON.parse(process.argv[2]);

/** Records each event with its time of arrival. */
const PAGE = `<!doctype html><title>Restart</title><script>
  window.ticks = [];
  window.faults = [];
  const source = new EventSource("/events");
  source.onmessage = ({ data }) => window.ticks.push([Number(data), Date.now()]);
  source.addEventListener("sse-reset", ({ data }) => window.faults.push("reset " + data));
  source.onerror = () => { if (source.readyState === 2) window.faults.push("given up"); };
</script>`;

process.send?.("loaded");
await once(process, "message");
const log = redisLog({ url });

async function startExpress() {
  const app = express();
  const events = sse({ log });
  app.use(events);
  app.get("/", (_req, res) => void res.type("html").send(PAGE));
  app.get("/events", (_req, res) => void res.sse.subscribe("ticks"));
  const server = app.listen(port);
  await once(server, "listening");

  process.once("SIGTERM", async () => {
    await events.hub.close({ drainMs: 2_000 });
    server.close();
    setTimeout(() => server.closeAllConnections(), 1_000).unref();
  });
}

async function startFastify() {
  const fastify = Fastify({ return503OnClosing: false, forceCloseConnections: true });
  await fastify.register(ssePlugin, { log });
  fastify.get("/", (_request, reply) => reply.type("text/html").send(PAGE));
  fastify.get("/events", (_request, reply) => {
    void reply.sse.subscribe("ticks");
    return reply;
  });
  await fastify.listen({ port, host: "0.0.0.0" });

  process.once("SIGTERM", async () => {
    await fastify.sse.close({ drainMs: 2_000 });
    await fastify.close();
  });
}

await (framework === "Express" ? startExpress() : startFastify());
process.send?.("listening");
// The channel to the test would keep the process alive.
process.disconnect();
