import { createServer } from "node:http";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";
import { blockSize } from "../block-size.js";

// The lower bound in Node: one buffer, chunk framing included, written straight to each socket.

export const subject: Subject = {
  async start() {
    const channels = new BareChannels();
    const server = createServer((request, response) => channels.open(request, response));

    return {
      port: await listen(server),
      publish(channel, text) {
        const id = channels.nextId();
        const block = `id: ${id}\ndata: ${text}\n\n`;
        const chunk = Buffer.from(`${block.length.toString(16)}\r\n${block}\r\n`, "latin1");
        for (const response of channels.of(channel)) response.socket?.write(chunk);
        return { id, blockBytes: blockSize(id, text) };
      },
    };
  },
};
