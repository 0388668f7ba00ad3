/** A client of a quiet channel misses nothing, however much is published on others. */

import { setTimeout as delay } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "./event-client.js";
import { serve } from "./served.js";

it.each([1, 3, 10])(
  "a window of %i events replays all of them to a client that has missed exactly these",
  async (count) => {
    const { hub, port } = await serve(({ sse }) => void sse.subscribe("t"), {
      heartbeatMs: false,
      retention: { maxEvents: count },
    });
    const client = new EventClient(port, "/");
    client.connect();
    await eventually("its position", () => client.cursors === 1);
    await hub.publish("t", "had");
    await eventually("the first event", () => client.events.length === 1);
    client.cut("fin");
    for (let i = 0; i < count; i++) await hub.publish("t", String(i));
    client.connect();
    await eventually(
      "all, or a reset",
      () => client.events.length === 1 + count || client.resets.length > 0,
    );
    expect(client.resets).toEqual([]);
  },
);

/** Whether a client has learned of possibly missed events, either way. */
function isTold({ events, resets }: EventClient): boolean {
  return events.length + resets.length > 0;
}

it("clients of a quiet channel come back without a reset when retention is two seconds and others are busy", async () => {
  const COUNT = 60;
  const { hub, port } = await serve(({ sse }) => void sse.subscribe("quiet"), {
    heartbeatMs: 60_000,
    retention: { maxAgeMs: 2_000 },
  });
  const clients = Array.from({ length: COUNT }, () => new EventClient(port, "/"));
  for (const client of clients) client.connect();
  const busy = setInterval(() => void hub.publish("busy", "x"), 10);
  onTestFinished(() => clearInterval(busy));
  await delay(2_100);
  for (const client of clients) {
    // Spread over more than one replacement of the window.
    await delay(2_200 / COUNT);
    client.cut("fin");
    client.connect();
  }
  await eventually("all to be back", () => hub.channel("quiet").subscriptionCount === COUNT);
  await hub.publish("quiet", "news");
  await eventually("the news, or a reset", () => clients.every(isTold));
  expect(clients.flatMap(({ resets }) => resets)).toEqual([]);
});

it("clients of a quiet channel come back without a reset after a burst that follows a silence", async () => {
  const COUNT = 50;
  const { hub, port } = await serve(({ sse }) => void sse.subscribe("quiet"), {
    heartbeatMs: 60_000,
    retention: { maxAgeMs: 2_000, maxEvents: 500 },
  });
  const clients = Array.from({ length: COUNT }, () => new EventClient(port, "/"));
  for (const client of clients) client.connect();
  await eventually("their positions", () => clients.every(({ cursors }) => cursors === 1));
  await hub.publish("busy", "before");
  await delay(2_100);
  for (let i = 0; i < 2_000; i++) void hub.publish("busy", String(i));
  for (const client of clients) client.cut("fin");
  await hub.publish("quiet", "news");
  for (const client of clients) client.connect();
  await eventually("the news, or a reset", () => clients.every(isTold));
  expect(clients.flatMap(({ resets }) => resets)).toEqual([]);
});
