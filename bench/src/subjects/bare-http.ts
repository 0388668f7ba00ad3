import { createServer } from "node:http";
import { OPENING, STREAM_HEAD } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";

// A `node:http` stream that is only opened and kept: the cost of an open stream by itself.

export const subject: Subject = {
  async start() {
    const open = new Set<unknown>();
    const server = createServer((_request, response) => {
      response.writeHead(200, STREAM_HEAD);
      response.write(OPENING);
      open.add(response);
      response.on("close", () => open.delete(response));
    });

    return { port: await listen(server), publish: () => undefined };
  },
};
