// News with fastify-sse-v2. docs/migrate shows it beside its port to Tidewire.
import Fastify from "fastify";
import { FastifySSEPlugin } from "fastify-sse-v2";

const fastify = Fastify();
await fastify.register(FastifySSEPlugin);

const replies = new Set();

fastify.get("/news", (request, reply) => {
  replies.add(reply);
  request.raw.once("close", () => replies.delete(reply));
  reply.sse({ event: "welcome", data: JSON.stringify({ unread: 3 }) });
});

fastify.post("/news", async (request, reply) => {
  const { title } = request.body;
  for (const other of replies) other.sse({ event: "headline", data: JSON.stringify({ title }) });
  return reply.code(202).send();
});

fastify.get("/rows", (request, reply) => {
  reply.sse(readRows());
});

/** Stands in for a query. */
async function* readRows() {
  for (let id = 1; id <= 3; id++) yield { event: "row", data: JSON.stringify({ id }) };
}

const port = Number(process.env.PORT ?? 3000);
await fastify.listen({ port, host: "127.0.0.1" });
console.log(`http://127.0.0.1:${port}`);
