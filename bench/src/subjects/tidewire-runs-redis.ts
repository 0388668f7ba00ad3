import { createServer } from "node:http";
import { createHub } from "@tidewire/core";
import { redisLog, redisTapes } from "@tidewire/redis";
import { createRuns } from "@tidewire/runs";
import { HandFed } from "../hand-fed.js";
import { channelOf, listen } from "../listen.js";
import type { Subject } from "../subject.js";

// Channels named `run…` are runs, followed from their beginning; all others are channels of a hub on the same Redis.

export const subject: Subject = {
  async start({ heartbeatMs, redisUrl: url = "" }) {
    const hub = createHub({ log: redisLog({ url }), heartbeatMs, reconnectionTimeMs: false });
    const tapes = redisTapes({ url });
    const runs = createRuns({ tapes, maxRuns: 100_000, maxBytes: 64 * 1_048_576, keepMs: 0 });
    const sources = new HandFed((key) => void runs.start(key, () => sources.open(key)));
    const server = createServer((request, response) => {
      const session = hub.createSession({ request, response });
      const key = channelOf(request.url);
      if (key.startsWith("run")) void runs.follow(key, session);
      else void session.subscribe(key);
    });

    return {
      port: await listen(server),
      publish(channel, text) {
        if (channel.startsWith("run")) {
          sources.feed(channel, text);
          return undefined;
        }
        return hub.publish(channel, text).then(({ id }) => ({ id, blockBytes: NaN }));
      },
    };
  },
};
