import { Readable } from "node:stream";
import Fastify from "fastify";
import { OPENING, STREAM_HEAD } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";

// A Fastify stream that is only kept open, through the reply lifecycle: `reply.send()` of a Readable that does not end.

export const subject: Subject = {
  async start() {
    const open = new Set<unknown>();
    const fastify = Fastify();
    fastify.get("/events", (_request, reply) => {
      const body = new Readable({ read() {} });
      body.push(OPENING);
      open.add(body);
      body.on("close", () => open.delete(body));
      return reply.headers(STREAM_HEAD).send(body);
    });

    await fastify.ready();
    return { port: await listen(fastify.server), publish: () => undefined };
  },
};
