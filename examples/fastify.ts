import { ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Time, from Fastify</title>
<p id="time">Waiting for the time</p>
<script>
  new EventSource("/time").onmessage = (event) => {
    document.querySelector("#time").textContent = event.data;
  };
</script>
`;

const fastify = Fastify();
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
