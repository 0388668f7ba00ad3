import { ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";
import { channelOf, listen } from "../listen.js";
import type { Subject } from "../subject.js";
import { wireSize } from "../wire-size.js";

export const subject: Subject = {
  async start({ heartbeatMs }) {
    const fastify = Fastify();
    await fastify.register(ssePlugin, { heartbeatMs });
    fastify.get("/open", (_request, reply) => {
      reply.sse.open();
      return reply;
    });
    fastify.get("/events", (request, reply) => {
      void reply.sse.subscribe(channelOf(request.url));
      return reply;
    });

    await fastify.ready();
    return {
      port: await listen(fastify.server),
      publish(channel, text) {
        return fastify.sse
          .publish(channel, text)
          .then(({ id }) => ({ id, wireBytes: wireSize(id, text) }));
      },
    };
  },
};
