import { ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";
import { channelsOf, listen } from "../listen.js";
import type { Subject } from "../subject.js";
import { blockSize } from "../block-size.js";

export const subject: Subject = {
  async start({ heartbeatMs }) {
    const fastify = Fastify({ return503OnClosing: false });
    await fastify.register(ssePlugin, { heartbeatMs });
    fastify.get("/open", (_request, reply) => {
      reply.sse.open();
      return reply;
    });
    fastify.get("/events", (request, reply) => {
      void reply.sse.subscribe(channelsOf(request.url));
      return reply;
    });

    await fastify.ready();
    return {
      port: await listen(fastify.server),
      publish(channel, text) {
        return fastify.sse
          .publish(channel, text)
          .then(({ id }) => ({ id, blockBytes: blockSize(id, text) }));
      },
    };
  },
};
