import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";

// Sessions registered with a channel, and `channel.broadcast()`: the documented way to reach many clients. The
// serializer passes text through, which spares the library one JSON.stringify per session. Keep-alive off.

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
