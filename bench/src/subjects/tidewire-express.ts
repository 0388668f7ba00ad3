import { createServer } from "node:http";
import { sse } from "@tidewire/express";
import express from "express";
import { channelsOf, listen } from "../listen.js";
import type { Subject } from "../subject.js";
import { blockSize } from "../block-size.js";

export const subject: Subject = {
  async start({ heartbeatMs }) {
    const app = express();
    const events = sse({ heartbeatMs });
    app.use(events);
    app.get("/open", (_request, response) => {
      response.sse.open();
    });
    app.get("/events", (request, response) => {
      void response.sse.subscribe(channelsOf(request.url));
    });

    return {
      port: await listen(createServer(app)),
      publish(channel, text) {
        return events.hub
          .publish(channel, text)
          .then(({ id }) => ({ id, blockBytes: blockSize(id, text) }));
      },
    };
  },
};
