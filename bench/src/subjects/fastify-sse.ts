import { fastifySSE } from "@fastify/sse";
import type { FastifySseStream } from "@fastify/sse";
import Fastify from "fastify";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";

// `reply.sse.keepAlive()`, and `reply.sse.send()` for each stream of a set: it has no channels. The serializer passes
// text through. Heartbeats off.

export const subject: Subject = {
  async start() {
    const ids = new BareChannels();
    const streams = new Set<FastifySseStream>();
    const fastify = Fastify();
    await fastify.register(fastifySSE, { heartbeatInterval: 0, serializer: String });
    fastify.get("/events", { sse: "only" }, async (_request, reply) => {
      const stream = reply.sse as unknown as FastifySseStream;
      stream.keepAlive();
      stream.onClose(() => streams.delete(stream));
      // `sendHeaders` alone does not send the head until something is written.
      await stream.send({ id: "0", data: "open" });
      streams.add(stream);
    });

    await fastify.ready();
    return {
      port: await listen(fastify.server),
      async publish(_channel, data) {
        const id = ids.nextId();
        await Promise.all(Array.from(streams, (stream) => stream.send({ id, data })));
        return undefined;
      },
    };
  },
};
