import { createServer } from "node:http";
import express from "express";
import { OPENING, STREAM_HEAD } from "../bare-channels.js";
import { listen } from "../listen.js";
import type { Subject } from "../subject.js";

// An Express stream that is only opened and kept.

export const subject: Subject = {
  async start() {
    const open = new Set<unknown>();
    const app = express();
    app.get("/events", (_request, response) => {
      response.writeHead(200, STREAM_HEAD);
      response.write(OPENING);
      open.add(response);
      response.on("close", () => open.delete(response));
    });

    return { port: await listen(createServer(app)), publish: () => undefined };
  },
};
