import { createHub, sse, sseHandler } from "@tidewire/express";
import type { HubOptions } from "@tidewire/express";
import { openStream } from "@tidewire/testing";
import express from "express";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function serve(options: HubOptions): express.Express {
  const app = express();
  app.use(sse({ hub: createHub(options) }));
  app.get("/news", sseHandler("news"));
  return app;
}

test("a heartbeat comes after a quarter of a minute of fake time", async () => {
  await using stream = await openStream(serve({ heartbeatMs: 15_000 }), "/news");
  const heartbeat = stream.heartbeat();
  await vi.advanceTimersByTimeAsync(15_000);
  await heartbeat;
  expect(stream.comments).toEqual([""]);
});

test("a stream ends after an hour of fake time", async () => {
  await using stream = await openStream(serve({ maxStreamMs: 3_600_000 }), "/news");
  await vi.advanceTimersByTimeAsync(1.25 * 3_600_000);
  expect(await stream.ended()).toBe("end");
});

test("deadlines run on the real clock", async () => {
  await using stream = await openStream(serve({}), "/news");
  await expect(stream.next(undefined, { withinMs: 50 })).rejects.toThrow("No event within 50 ms");
});
