import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";
import type { Channel } from "better-sse";
import { BareChannels } from "../bare-channels.js";
import { channelOf, listen } from "../listen.js";
import { connectClient, connectRedis } from "../redis-stream.js";
import type { RedisSubject } from "../redis-subject.js";

// A channel of Redis for each channel of the library, subscribed to as its first client comes. A client
// or a node that is away loses the events of that time. The library is used as in `better-sse`.

export const subject: RedisSubject = {
  async startNode({ url, key }) {
    const ids = new BareChannels();
    const channels = new Map<string, Channel>();
    const subscriber = await connectClient(url);
    const channelFor = async (name: string): Promise<Channel> => {
      const known = channels.get(name);
      if (known !== undefined) return known;
      const channel = createChannel();
      channels.set(name, channel);
      await subscriber.subscribe(`${key}:${name}`, (text) => {
        channel.broadcast(text, "message", { eventId: ids.nextId() });
      });
      return channel;
    };
    const server = createServer((request, response) => {
      void Promise.all([
        channelFor(channelOf(request.url)),
        createSession(request, response, { keepAlive: null, serializer: String }),
      ]).then(([channel, session]) => channel.register(session));
    });
    return { port: await listen(server) };
  },

  async startPublisher({ url, key }) {
    const send = await connectRedis(url);
    return {
      publish: (channel, text) => send(["PUBLISH", `${key}:${channel}`, text]),
      count: async () => undefined,
    };
  },
};
