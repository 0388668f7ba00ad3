import { createServer } from "node:http";
import SseChannel from "sse-channel";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";

// `channel.send()`, which encodes once and writes the text to each response. It always keeps the last 500 events for
// replay and always sends pings, here every half hour.

export const subject: Subject = {
  async start() {
    const ids = new BareChannels();
    const channel = new SseChannel({ pingInterval: 1_800_000 });
    const server = createServer((request, response) => channel.addClient(request, response));

    return {
      port: await listen(server),
      publish(_channel, data) {
        channel.send({ id: ids.nextId(), data });
        return undefined;
      },
    };
  },
};
