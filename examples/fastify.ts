import { ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Time, from Fastify</title>
<p id="time">Waiting for the time</p>
<script>
  const time = document.querySelector("#time");
  new EventSource("/time").onmessage = ({ data }) => (time.textContent = data);
</script>
`;

// Browsers open connections in advance. Without this option close() would wait for them.
const fastify = Fastify({ return503OnClosing: false, forceCloseConnections: true });
await fastify.register(ssePlugin);

fastify.get("/", (_request, reply) => reply.type("text/html").send(PAGE));

fastify.get("/time", (_request, reply) => {
  const tell = (): void => void reply.sse.send(new Date().toISOString());
  tell();
  const timer = setInterval(tell, 1_000);
  reply.sse.onClose(() => clearInterval(timer));
  return reply;
});

const port = Number(process.env["PORT"] ?? 3000);
await fastify.listen({ port, host: "127.0.0.1" });
console.log(`http://localhost:${port}`);

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => fastify.close());
