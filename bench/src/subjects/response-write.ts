import { createServer } from "node:http";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";
import { blockSize } from "../block-size.js";

// Code that a careful person writes without a library: encode once, `response.write` for each client.

export const subject: Subject = {
  async start() {
    const channels = new BareChannels();
    const server = createServer((request, response) => channels.open(request, response));

    return {
      port: await listen(server),
      publish(channel, text) {
        const id = channels.nextId();
        const block = Buffer.from(`id: ${id}\ndata: ${text}\n\n`, "latin1");
        for (const response of channels.of(channel)) response.write(block);
        return { id, blockBytes: blockSize(id, text) };
      },
    };
  },
};
