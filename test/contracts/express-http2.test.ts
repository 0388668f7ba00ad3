/**
 * `res.sse` on HTTP/2 requests in Express. A separate file, because one of the bridges changes Express for the whole
 * process.
 */

import { once } from "node:events";
import fs from "node:fs";
import http2 from "node:http2";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { sse } from "@tidewire/express";
import express5 from "express";
import type { Express } from "express";
import express4 from "express4";
import { expect, it } from "vitest";
import { makeCertificate } from "../certificate.js";
import { within } from "../client.js";

type Bridge = (module: typeof express5) => Express;

// Their types, if any, contradict those of Express.
const require = createRequire(import.meta.url);
const bridge = require("http2-express-bridge") as Bridge;
const http2Express = require("http2-express") as Bridge;

it.each([
  ["http2-express-bridge with Express 4", () => bridge(express4)],
  ["http2-express with Express 5", () => http2Express(express5)],
])("%s: an HTTP/2 client gets the stream", async (_name, create) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-http2-"));
  const { key, cert } = makeCertificate(dir);
  const app = create();
  const events = sse();
  app.use(events);
  app.get("/s", (_request, response) => void response.sse.subscribe("news"));
  const options = { key: fs.readFileSync(key), cert: fs.readFileSync(cert), allowHTTP1: true };
  const server = http2.createSecureServer(options, app as never).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = http2.connect(`https://127.0.0.1:${port}`, { ca: options.cert });
  try {
    const stream = client.request({ ":path": "/s", accept: "text/event-stream" });
    const [head] = (await within("a head", once(stream, "response"))) as [Record<string, unknown>];
    expect(head[":status"]).toBe(200);
    stream.setEncoding("utf8");
    await events.hub.publish("news", "one");
    let text = "";
    for await (const part of stream) {
      text += String(part);
      if (text.includes("data: one\n")) break;
    }
    expect(events.hub.stats().delivered).toBe(1);
  } finally {
    client.destroy();
    await events.hub.close();
    await new Promise((resolve) => {
      server.close(resolve);
    });
    fs.rmSync(dir, { recursive: true });
  }
});
