import { createServer } from "node:http";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import { connectRedis, countAdded } from "../redis-stream.js";
import type { RedisSubject } from "../redis-subject.js";

// Code that a careful person writes without a library: a loop of `XREAD BLOCK`, and `response.write` of one buffer for those
// who are on the channel. It asks for so much, and keeps so much, as Tidewire does. It does not look for holes.

type StreamReply = [[key: string, entries: [id: string, fields: string[]][]]] | null;

export const subject: RedisSubject = {
  async startNode({ url, key }) {
    const channels = new BareChannels();
    const server = createServer((request, response) => channels.open(request, response));
    const send = await connectRedis(url);
    const read = async (): Promise<void> => {
      for (let last = "$"; ;) {
        const command = ["XREAD", "COUNT", "500", "BLOCK", "5000", "STREAMS", key, last];
        const reply = (await send(command)) as StreamReply;
        for (const [id, [, channel = "", , data = ""]] of reply?.[0][1] ?? []) {
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

  async startPublisher({ url, key }) {
    const send = await connectRedis(url);
    return {
      publish: (channel, text) =>
        send(["XADD", key, "MAXLEN", "~", "100000", "*", "c", channel, "d", text]),
      count: () => countAdded(send, key),
    };
  },
};
