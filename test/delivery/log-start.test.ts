/** Streams that arrive before their log has a position. */

import { memoryLog } from "@tidewire/core";
import type { Log } from "@tidewire/core";
import type { LogFollower } from "@tidewire/core/log";
import { expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "./event-client.js";
import { serve, turns } from "./served.js";

/** A log that has no position until `begin`. */
function lateLog(): { readonly log: Log; begin(): void } {
  const inner = memoryLog();
  let begin = (): void => {};
  const log: Log = {
    start: (follower: LogFollower) =>
      new Promise<string>((resolve) => {
        begin = () => resolve(inner.start(follower));
      }),
    append: (...args) => inner.append(...args),
    compare: (a, b) => inner.compare(a, b),
    health: () => inner.health(),
    close: () => inner.close(),
  };
  return { log, begin: () => begin() };
}

it("a stream whose log starts within a second is held until then and misses nothing after its head", async () => {
  const { log, begin } = lateLog();
  const { hub, port } = await serve(({ sse }) => void sse.subscribe("news"), { log });
  const client = new EventClient(port, "/");
  client.connect();
  await turns(20);
  expect(client.isOpen).toBe(false);
  begin();
  await eventually("the head", () => client.isOpen);
  await hub.publish("news", "first");
  await eventually("the first event", () => client.events.length === 1);
  expect(client.resets).toEqual([]);
});

it("a stream that opened before its log had a position gets one reset that names its channels, then everything", async () => {
  const { log, begin } = lateLog();
  const joined: Promise<boolean>[] = [];
  const { hub, port } = await serve(
    ({ sse }) => {
      sse.open();
      joined.push(sse.subscribe("news"), sse.subscribe("weather", { latest: 2 }));
    },
    { log },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the head", () => client.isOpen);
  begin();
  expect(await Promise.all(joined)).toEqual([true, true]);
  for (const data of ["1", "2", "3"]) await hub.publish("news", data);
  await hub.publish("weather", "4");
  await eventually("the events", () => client.events.length === 4);
  expect(client.events.map(({ data }) => data)).toEqual(["1", "2", "3", "4"]);
  expect(client.resets).toEqual([{ reason: "unknown", channels: ["news", "weather"] }]);
});

it("a log without a position holds back the head for at most a second", async () => {
  const { log, begin } = lateLog();
  const { hub, port } = await serve(({ sse }) => void sse.subscribe("news"), { log });
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the head", () => client.isOpen, 2_000);
  begin();
  await eventually("the reset", () => client.resets.length === 1);
  await hub.publish("news", "first");
  await eventually("the first event", () => client.events.length === 1);
});

it("a client that comes back before its log has a position gets one reset if its own is void", async () => {
  const { log, begin } = lateLog();
  const { port } = await serve(
    ({ sse }) => {
      void sse.subscribe("news");
      void sse.subscribe("weather");
    },
    { log },
  );
  const client = new EventClient(port, "/");
  client.lastEventId = "gone.7";
  client.connect();
  await turns(20);
  begin();
  await eventually("the reset", () => client.resets.length === 1);
  expect(client.resets).toEqual([{ reason: "unknown", channels: ["news", "weather"] }]);
});

it("a client that leaves while its log starts leaves nothing behind", async () => {
  const { log, begin } = lateLog();
  const { hub, port } = await serve(({ sse }) => void sse.subscribe("news"), { log });
  const client = new EventClient(port, "/");
  client.connect();
  await turns(20);
  client.cut("rst");
  const other = new EventClient(port, "/");
  other.connect();
  await turns(20);
  begin();
  await eventually("the other one", () => other.isOpen);
  expect(hub.channel("news").subscriptionCount).toBe(1);
});
