/** Retained events are dropped when they are too old, even if nothing is published. */

import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { createHub } from "@tidewire/core";
import { eventually, request } from "../client.js";
import { serve, turns } from "./served.js";

it("events that are too old leave the memory of an idle hub", async () => {
  const hub = createHub({ retention: { maxAgeMs: 2_000 } });
  for (let count = 0; count < 5_000; count++) void hub.publish("t", "x".repeat(100));
  expect(hub.stats().window.events).toBe(5_000);
  await eventually("the window to be empty", () => hub.stats().window.events === 0);
  expect(hub.stats().window).toEqual({ events: 0, bytes: 0, ageMs: 0 });
  void hub.publish("t", "again");
  await eventually("the window to be empty again", () => hub.stats().window.events === 0);
  await hub.close();
});

it("events that are young enough stay, and a client that has lost nothing keeps its position", async () => {
  const { hub, port } = await serve(({ sse }) => void sse.subscribe("t"), {
    retention: { maxAgeMs: 1_500 },
  });
  const { id } = await hub.publish("t", "old");
  await delay(700);
  await hub.publish("other", "young");
  await eventually("the old one to go", () => hub.stats().window.events === 1);
  await eventually("both to go", () => hub.stats().window.events === 0);
  const client = await request({ port, protocol: "http1" }, "/", {
    headers: { "last-event-id": id },
  });
  await turns();
  await hub.publish("t", "next");
  expect(await client.until("next")).not.toContain("sse-reset");
});

it("the timer does not keep the process alive, and is gone once the hub is closed", async () => {
  const timers = new Set<NodeJS.Timeout>();
  const original = globalThis.setTimeout;
  const note = (...args: Parameters<typeof setTimeout>): NodeJS.Timeout => {
    const timer = original(...args);
    timers.add(timer);
    return timer;
  };
  globalThis.setTimeout = note as typeof setTimeout;
  const hub = createHub();
  try {
    await hub.publish("t", "x");
  } finally {
    globalThis.setTimeout = original;
  }
  expect([...timers].map((timer) => timer.hasRef())).toEqual([false]);
  await hub.close();
  // A cleared timer is not run.
  expect([...timers].map((timer) => (timer as { _destroyed?: boolean })._destroyed)).toEqual([
    true,
  ]);
});
