import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { createResumableStreamContext } from "resumable-stream/generic";
import type { Publisher, Subscriber } from "resumable-stream/generic";
import { HandFed } from "../hand-fed.js";
import { channelOf, listen } from "../listen.js";
import type { Subject } from "../subject.js";

// With a publisher and a subscriber in memory in place of Redis, so that its own work is compared.

export const subject: Subject = {
  async start() {
    const listeners = new Map<string, (message: string) => void>();
    const values = new Map<string, string>();
    const subscriber: Subscriber = {
      connect: async () => {},
      subscribe: async (channel, callback) => void listeners.set(channel, callback),
      unsubscribe: async (channel) => listeners.delete(channel),
    };
    const publisher: Publisher = {
      connect: async () => {},
      async publish(channel, message) {
        listeners.get(channel)?.(message);
        return 1;
      },
      async set(key, value) {
        values.set(key, value);
        return "OK";
      },
      get: async (key) => values.get(key) ?? null,
      async incr(key) {
        const next = Number(values.get(key) ?? 0) + 1;
        values.set(key, String(next));
        return next;
      },
    };
    const context = createResumableStreamContext({ waitUntil: null, subscriber, publisher });
    const follow = (key: string): Promise<ReadableStream<string> | null> =>
      context.resumableStream(key, () => sources.open(key));
    const sources: HandFed = new HandFed((key) => void follow(key));
    const answer = async (key: string, response: ServerResponse): Promise<void> => {
      const stream = await follow(key);
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.flushHeaders();
      if (stream === null) return void response.end();
      Readable.fromWeb(stream as NodeReadableStream<string>).pipe(response);
    };
    const server = createServer(
      (request, response) => void answer(channelOf(request.url), response),
    );

    return {
      port: await listen(server),
      publish(channel, text) {
        sources.feed(channel, text === "" ? "" : `data: ${text}\n\n`);
        return undefined;
      },
    };
  },
};
