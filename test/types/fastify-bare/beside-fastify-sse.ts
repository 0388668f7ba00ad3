import { fastifySSE } from "@fastify/sse";
import { createHub, sseHandler, ssePlugin } from "@tidewire/fastify/bare";
import type { InstanceWithSse, ReplyWithSse } from "@tidewire/fastify/bare";
import Fastify from "fastify";
import type { FastifyReply } from "fastify";

interface Channels {
  news: { headline: { title: string } };
}

declare module "fastify" {
  interface FastifyReply extends ReplyWithSse<"live", Channels>, ReplyWithSse<"audit"> {}
  interface FastifyInstance extends InstanceWithSse<"live", Channels>, InstanceWithSse<"audit"> {}
}

/** Code that must compile beside another plugin that has `reply.sse`, with two hubs. */
export async function start(): Promise<void> {
  const fastify = Fastify({ return503OnClosing: false });
  await fastify.register(fastifySSE);
  await fastify.register(ssePlugin, { hub: createHub<Channels>(), decorator: "live" });
  await fastify.register(ssePlugin, { heartbeatMs: 5_000, decorator: "audit" });

  fastify.get("/theirs", { sse: true }, async (_request, reply) => {
    const id: string | null = reply.sse.lastEventId;
    await reply.sse.send({ data: id });
  });
  fastify.get("/live", (_request, reply) => {
    void reply.live.subscribe("news");
    return reply;
  });
  fastify.get("/news", sseHandler<Channels>("news", {}, { decorator: "live" }));
  // @ts-expect-error no such channel
  fastify.get("/sport", sseHandler<Channels>("sport", {}, { decorator: "live" }));
  fastify.get<{ Params: { user: string } }>(
    "/:user",
    sseHandler((request) => `user:${request.params.user}`, { latest: 20 }),
  );
  await fastify.live.publish("news", { event: "headline", data: { title: "a" } });
  await fastify.audit.publish("anything", "goes");

  // @ts-expect-error no such event on this channel
  await fastify.live.publish("news", { event: "headlines", data: { title: "a" } });
  // @ts-expect-error nothing was declared under this name
  await fastify.sse.close();
}

/** The reply has the declared property, and under the default name only that of the other plugin. */
export function read(reply: FastifyReply): string {
  // @ts-expect-error theirs has no such method
  void reply.sse.subscribe;
  return reply.live.state;
}
