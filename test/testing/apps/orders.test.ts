import { faultyLog, openStream, recordPublished } from "@tidewire/testing";
import request from "supertest";
import { afterEach, expect, test } from "vitest";
import { createOrders } from "./orders.js";

const log = faultyLog();
const { app, hub } = createOrders({ heartbeatMs: 1_000, log });
const ship = (id: string, carrier: string) =>
  request(app).post(`/orders/${id}/ship`).send({ carrier });
const track = (id: string) => openStream(app, `/orders/${id}`, { headers: { "x-user": "ada" } });

afterEach(() => log.restore());

test("shows when an order is shipped, to its owner only", async () => {
  await using stream = await track("ada-1");
  await ship("ben-7", "Ox cart").expect(202);
  await ship("ada-1", "Clipper").expect(202);
  expect((await stream.next("shipped")).data).toEqual({ carrier: "Clipper" });
  await stream.quiet(50);
  await expect(track("ben-7")).rejects.toMatchObject({ status: 403 });
});

test("brings what was missed to a client that comes back", async () => {
  await using stream = await track("ada-2");
  await ship("ada-2", "Clipper");
  await stream.next("shipped");
  stream.cut("rst");
  await ship("ada-2", "Ferry");
  await ship("ada-2", "Barge");
  await stream.resume();
  expect((await stream.next("shipped")).data).toEqual({ carrier: "Ferry" });
  expect((await stream.next("shipped")).data).toEqual({ carrier: "Barge" });
  await stream.quiet(50);
});

test("keeps the position of a quiet order up to date", async () => {
  await using stream = await track("ada-3");
  const before = stream.lastEventId;
  await ship("ada-4", "Clipper");
  await stream.heartbeat();
  expect(stream.lastEventId).not.toBe(before);
});

test("sends heartbeats", async () => {
  await using stream = await track("ada-5");
  expect(stream.heartbeatMs).toBe(1_000);
  await stream.heartbeat();
  await stream.heartbeat();
});

test("says so when events may be missing", async () => {
  await using stream = await track("ada-6");
  stream.cut();
  await log.trim();
  await stream.resume();
  expect(await stream.nextReset()).toMatchObject({ reason: "trimmed", channels: ["order:ada-6"] });
});

test("answers 503 while the log is away", async () => {
  using published = recordPublished(hub);
  log.reject();
  await ship("ada-7", "Clipper").expect(503);
  expect(published.events).toEqual([]);
});
