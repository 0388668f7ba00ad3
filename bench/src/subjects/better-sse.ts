import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";

// Sessions registered with a channel, `channel.broadcast()`: the documented way to reach many. The serializer hands
// text on as it is, which spares the library one JSON.stringify for each session. Keep-alive off.

export const subject: Subject = {
  async start() {
    const ids = new BareChannels();
    const channel = createChannel();
    const server = createServer((request, response) => {
      void createSession(request, response, { keepAlive: null, serializer: String }).then(
        (session) => channel.register(session),
      );
    });

    return {
      port: await listen(server),
      publish(_channel, text) {
        channel.broadcast(text, "message", { eventId: ids.nextId() });
        return undefined;
      },
    };
  },
};
