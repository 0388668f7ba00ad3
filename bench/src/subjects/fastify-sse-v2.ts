import Fastify from "fastify";
import { FastifySSEPlugin } from "fastify-sse-v2";
import type { FastifySseV2Reply } from "fastify-sse-v2";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";

// `reply.sse({ id, data })` for each reply of a set, as its documentation shows for single events: it has no channels
// and cannot encode once. No heartbeats.

export const subject: Subject = {
  async start() {
    const ids = new BareChannels();
    const replies = new Set<FastifySseV2Reply>();
    const fastify = Fastify();
    await fastify.register(FastifySSEPlugin);
    fastify.get("/events", (request, fastifyReply) => {
      const reply = fastifyReply as unknown as FastifySseV2Reply;
      reply.sse({ comment: "open" });
      replies.add(reply);
      request.socket.on("close", () => replies.delete(reply));
    });

    await fastify.ready();
    return {
      port: await listen(fastify.server),
      publish(_channel, data) {
        const id = ids.nextId();
        for (const reply of replies) reply.sse({ id, data });
        return undefined;
      },
    };
  },
};
