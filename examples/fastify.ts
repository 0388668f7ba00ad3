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

// A browser also opens connections ahead of need: without this close() would wait for those.
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
await fastify.listen({ port });
console.log(`http://localhost:${port}`);

process.once("SIGINT", () => fastify.close());
