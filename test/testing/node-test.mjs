// Run by runners.test.ts: the kit under `node --test`.
import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import { memoryLog } from "@tidewire/core";
import { createHub, sse, sseHandler } from "@tidewire/express";
import { logConformance, openStream } from "@tidewire/testing";
import express from "express";

function serve(options) {
  const hub = createHub(options);
  const app = express();
  app.use(sse({ hub }));
  app.get("/news", sseHandler("news"));
  return { app, hub };
}

test("a stream resumes after a cut", async (t) => {
  const { app, hub } = serve();
  const stream = await openStream(app, "/news");
  t.after(() => stream.close());
  stream.cut();
  await hub.publish("news", "1");
  await stream.resume();
  assert.equal((await stream.next()).text, "1");
});

test("heartbeats come with the clock of fake timers, and deadlines with the real one", async (t) => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  t.after(() => mock.timers.reset());
  const { app } = serve({ heartbeatMs: 15_000 });
  const stream = await openStream(app, "/news");
  t.after(() => stream.close());
  await assert.rejects(stream.heartbeat({ withinMs: 50 }), /No heartbeat .* within 50 ms/);
});

describe("memoryLog()", () => {
  logConformance(memoryLog, { test });
});

// One that fails, so that its message can be looked at.
test("fails on purpose", { skip: process.env.FAIL !== "on purpose" }, async () => {
  const { app, hub } = serve();
  const stream = await openStream(app, "/news");
  await hub.publish("news", "High water");
  await stream.next("headline", { withinMs: 50 });
});
