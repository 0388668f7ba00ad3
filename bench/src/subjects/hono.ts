import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import type { SSEStreamingApi } from "hono/streaming";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";

// `streamSSE`, and `writeSSE` on each stream of a set: it has no channels and cannot encode once. No heartbeats.

export const subject: Subject = {
  async start() {
    const ids = new BareChannels();
    const streams = new Set<SSEStreamingApi>();
    const app = new Hono();
    app.get("/events", (context) =>
      streamSSE(context, async (stream) => {
        streams.add(stream);
        // The stream ends when this function returns.
        await new Promise<void>((resolve) => stream.onAbort(resolve));
        streams.delete(stream);
      }),
    );
    const listener = getRequestListener(app.fetch);
    const server = createServer((request, response) => void listener(request, response));

    return {
      port: await listen(server),
      async publish(_channel, data) {
        const id = ids.nextId();
        await Promise.all(Array.from(streams, (stream) => stream.writeSSE({ id, data })));
        return undefined;
      },
    };
  },
};
