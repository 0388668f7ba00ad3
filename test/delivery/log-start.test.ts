/** Streams that arrive, and readers that begin, before their log has a position. */

import { createHub, memoryLog } from "@tidewire/core";
import type { Log } from "@tidewire/core";
import type { LogFollower } from "@tidewire/core/log";
import { expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "./event-client.js";
import { serve, turns } from "./served.js";

/** A log that has no position until `begin`, or never after `fail`. */
function lateLog(): { readonly log: Log; begin(): void; fail(error: Error): void } {
  const inner = memoryLog();
  let begin = (): void => {};
  let fail = (_error: Error): void => {};
  const log: Log = {
    start: (follower: LogFollower) =>
      new Promise<string>((resolve, reject) => {
        begin = () => resolve(inner.start(follower));
        fail = reject;
      }),
    append: (...args) => inner.append(...args),
    compare: (a, b) => inner.compare(a, b),
    health: () => inner.health(),
    close: () => inner.close(),
  };
  return { log, begin: () => begin(), fail: (error) => fail(error) };
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

it("a reader whose log starts later begins there, whenever `next` was called", async () => {
  const { log, begin } = lateLog();
  const hub = createHub({ log });
  const asked = hub.read("news");
  const first = asked.next();
  const unasked = hub.read("news");
  await turns(20);
  expect([asked.position, unasked.position]).toEqual([undefined, undefined]);
  begin();
  const position = await hub.position();
  expect([asked.position, unasked.position]).toEqual([position, position]);
  await hub.publish("news", "first");
  for (const { value } of [await first, await unasked.next()]) {
    expect(value).toMatchObject({ data: "first" });
  }
  await hub.close();
});

it("a reader that continues after a position waits for its log, and gets one reset if the position is void", async () => {
  const { log, begin } = lateLog();
  const hub = createHub({ log });
  const reading = hub.read(["news", "weather"], { after: "gone.7" });
  expect(reading.position).toBe("gone.7");
  const next = reading.next();
  await turns(20);
  begin();
  expect((await next).value).toMatchObject({
    type: "reset",
    reason: "unknown",
    channels: ["news", "weather"],
  });
  expect(reading.position).toBe(await hub.position());
  await hub.close();
});

it("`position` waits for a log that starts within a second", async () => {
  const { log, begin } = lateLog();
  const hub = createHub({ log });
  const position = hub.position();
  setTimeout(begin, 100);
  const reading = hub.read("news", { after: await position });
  await hub.publish("news", "first");
  expect((await reading.next()).value).toMatchObject({ type: "event", data: "first" });
  await hub.close();
});

it("`position` gives a log that takes longer no more than a second, and then whoever continues from it one reset", async () => {
  const { log, begin } = lateLog();
  const { hub, port } = await serve(({ sse }) => void sse.subscribe("news"), { log });
  const start = performance.now();
  const position = await hub.position();
  expect(performance.now() - start).toBeLessThan(1_500);
  begin();
  const reading = hub.read("news", { after: position });
  const client = new EventClient(port, `/?lastEventId=${position}`);
  client.connect();
  expect((await reading.next()).value).toMatchObject({ type: "reset", reason: "unknown" });
  await eventually("the reset", () => client.resets.length === 1);
  await hub.publish("news", "first");
  expect((await reading.next()).value).toMatchObject({ data: "first" });
  await eventually("the first event", () => client.events.length === 1);
});

it("a reader whose log cannot start rejects once and is over, and `position` leads to a reset", async () => {
  const { log, fail } = lateLog();
  const errors: unknown[] = [];
  const hub = createHub({ log, onError: (error) => errors.push(error) });
  const reading = hub.read("news");
  const calls = [reading.next(), reading.next()] as const;
  const position = hub.position();
  fail(new Error("no place"));
  await expect(calls[0]).rejects.toMatchObject({ code: "ERR_SSE_CLOSED", statusCode: 503 });
  expect(await calls[1]).toEqual({ done: true, value: undefined });
  expect(await reading.next()).toEqual({ done: true, value: undefined });
  expect(await position).toBe("~unknown");
  expect(errors).toEqual([new Error("no place")]);
  await hub.close();
});

it("a reader ends if its hub closes while the log starts, or if the caller leaves", async () => {
  const { log } = lateLog();
  const hub = createHub({ log });
  const left = hub.read("news");
  const ends = hub.read("news");
  const calls = [left.next(), ends.next()];
  await turns(5);
  await left.return?.();
  expect(await calls[0]).toEqual({ done: true, value: undefined });
  await hub.close();
  expect(await calls[1]).toEqual({ done: true, value: undefined });
});
