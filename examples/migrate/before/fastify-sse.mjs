// News with @fastify/sse. docs/migrate shows it beside its port to Tidewire.
import fastifySse from "@fastify/sse";
import Fastify from "fastify";

const fastify = Fastify();
await fastify.register(fastifySse);

const clients = new Set();

fastify.get("/news", { sse: "only" }, async (request, reply) => {
  reply.sse.keepAlive();
  clients.add(reply.sse);
  reply.sse.onClose(() => clients.delete(reply.sse));
  await reply.sse.send({ event: "welcome", data: { unread: 3 } });
});

fastify.post("/news", async (request, reply) => {
  const { title } = request.body;
  for (const client of clients) {
    await client.send({ event: "headline", data: { title } }).catch(() => clients.delete(client));
  }
  return reply.code(202).send();
});

fastify.get("/rows", { sse: "only" }, async (request, reply) => {
  await reply.sse.send(readRows());
});

/** Stands in for a query. */
async function* readRows() {
  for (let id = 1; id <= 3; id++) yield { event: "row", data: { id } };
}

const port = Number(process.env.PORT ?? 3000);
await fastify.listen({ port, host: "127.0.0.1" });
console.log(`http://127.0.0.1:${port}`);
