import { createServer } from "node:http";
import express from "express";
import ExpressSse from "express-sse";
import { BareChannels } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";

// `sse.init` as the route, and `sse.send()`, which emits an event that each client's listener encodes separately.
// Encoding once is not possible. It sends no heartbeats.

export const subject: Subject = {
  async start() {
    const ids = new BareChannels();
    const events = new ExpressSse();
    const app = express();
    app.get("/events", events.init);

    return {
      port: await listen(createServer(app)),
      publish(_channel, text) {
        events.send(text, undefined, ids.nextId());
        return undefined;
      },
    };
  },
};
