// News with Tidewire: the program of before/ ported from fastify-sse-v2.
import { ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";

const fastify = Fastify({ return503OnClosing: false, forceCloseConnections: true });
await fastify.register(ssePlugin);

fastify.get("/news", async (_request, reply) => {
  if (!(await reply.sse.subscribe("news"))) return reply;
  void reply.sse.send({ event: "welcome", data: { unread: 3 } });
  return reply;
});

fastify.post<{ Body: { title: string } }>("/news", async (request, reply) => {
  const { title } = request.body;
  await fastify.sse.publish("news", { event: "headline", data: { title } });
  return reply.code(202).send();
});

fastify.get("/rows", async (_request, reply) => {
  await reply.sse.stream(readRows());
  await reply.sse.complete();
  return reply;
});

/** Stands in for a query. */
async function* readRows(): AsyncGenerator<{ event: string; data: { id: number } }> {
  for (let id = 1; id <= 3; id++) yield { event: "row", data: { id } };
}

const port = Number(process.env["PORT"] ?? 3000);
await fastify.listen({ port, host: "127.0.0.1" });
console.log(`http://127.0.0.1:${port}`);

process.once("SIGTERM", () => fastify.close());
