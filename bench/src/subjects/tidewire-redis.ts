import { createServer } from "node:http";
import { createHub } from "@tidewire/core";
import { createRedisPublisher, redisLog } from "@tidewire/redis";
import { channelOf, listen } from "../listen.js";
import { connectRedis, countAdded } from "../redis-stream.js";
import type { RedisSubject } from "../redis-subject.js";
import { RARE_HEARTBEAT_MS } from "../subject.js";

// Default settings except for the heartbeats.

export const subject: RedisSubject = {
  async startNode({ url, key }) {
    const hub = createHub({ log: redisLog({ url, key }), heartbeatMs: RARE_HEARTBEAT_MS });
    const server = createServer((request, response) => {
      void hub.createSession({ request, response }).subscribe(channelOf(request.url));
    });
    return { port: await listen(server) };
  },

  async startPublisher({ url, key }) {
    const publisher = createRedisPublisher({ url, key });
    const send = await connectRedis(url);
    return {
      publish: (channel, text, dedupeKey) => publisher.publish(channel, text, { dedupeKey }),
      count: () => countAdded(send, key),
    };
  },
};
