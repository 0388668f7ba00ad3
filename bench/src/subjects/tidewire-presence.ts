import { createServer } from "node:http";
import { createHub } from "@tidewire/core";
import { channelsOf, listen } from "../listen.js";
import type { Subject } from "../subject.js";
import { blockSize } from "../block-size.js";

// `tidewire-http` that keeps track of which identities are present.

let clients = 0;

export const subject: Subject = {
  async start({ heartbeatMs }) {
    const hub = createHub({
      heartbeatMs,
      identify: () => `user-${(clients += 1)}`,
      presence: true,
    });
    const server = createServer((request, response) => {
      const session = hub.createSession({ request, response });
      if (request.url === "/open") session.open();
      else void session.subscribe(channelsOf(request.url));
    });

    return {
      port: await listen(server),
      publish(channel, text) {
        return hub
          .publish(channel, text)
          .then(({ id }) => ({ id, blockBytes: blockSize(id, text) }));
      },
    };
  },
};
