import { createServer } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import { connectRedis } from "../redis-stream.js";
import type { RedisSubject } from "../redis-subject.js";
import { subject as xread } from "./redis-xread.js";

// Shows the cost of querying Redis every ten milliseconds, as Tidewire does under load.

const PACE_MS = 10;

export const subject: RedisSubject = {
  async startNode({ url, key }) {
    const channels = new BareChannels();
    const server = createServer((request, response) => channels.open(request, response));
    const send = await connectRedis(url);
    const read = async (): Promise<void> => {
      for (let last = "0-0"; ; await wait(PACE_MS)) {
        const reply = await send(["XRANGE", key, `(${last}`, "+", "COUNT", "500"]);
        const entries = reply as [string, string[]][];
        if (entries.length === 0) {
          await send(["XREAD", "COUNT", "1", "BLOCK", "5000", "STREAMS", key, last]);
        }
        for (const [id, [, channel = "", , data = ""]] of entries) {
          last = id;
          const responses = channels.of(channel);
          if (responses.size === 0) continue;
          const block = Buffer.from(`id: ${id}\ndata: ${data}\n\n`);
          for (const response of responses) response.write(block);
        }
      }
    };
    void read();
    return { port: await listen(server) };
  },

  startPublisher: (place) => xread.startPublisher(place),
};
