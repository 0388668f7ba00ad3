import { setTimeout } from "node:timers/promises";
import { createRedisPublisher, redisLog } from "@tidewire/redis";
import { expect, it } from "vitest";
import { eventually } from "../client.js";
import { useCluster } from "./cluster.js";
import type { Load } from "./node.js";
import { describeWithRedis, useRedis } from "./redis-server.js";
import { CHANNEL, verify } from "./witness.js";

/** Silence of Redis after which a reader abandons its connection, in milliseconds. */
const SILENT_MS = 7_000;
/** Size of an event that takes longer than that over the link, and the link's bytes per second. */
const EVENT_BYTES = 760_000;
const LINK_BYTES = 100_000;

const load = (count: number, prefix: string, perSecond: number): Load => ({
  channels: [CHANNEL],
  from: 0,
  count,
  perSecond,
  prefix,
});

/** Blocks this process, like a stop or a long computation. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describeWithRedis("A process that was stopped itself", () => {
  const redis = useRedis("test");
  const cluster = useCluster();

  it("does not treat that as silence of Redis: no connection is abandoned", async () => {
    const server = await redis();
    const [node, other] = await Promise.all([
      cluster.node({ url: server.url }),
      cluster.node({ url: server.url }),
    ]);
    const witness = await cluster.witness(node);
    const publishing = other.publish(load(500, "", 50));
    await eventually("some of it", () => witness.events.length > 20);
    node.pause();
    await setTimeout(SILENT_MS + 1_000);
    node.resume();
    const outcomes = await publishing;
    const stats = await node.until("all of it", () => witness.events.length === 500);
    expect(stats).toMatchObject({ log: { state: "live", reconnects: 0 }, errors: [] });
    await verify(server, [outcomes], [witness]);
  }, 30_000);

  it("does not treat a publish that was answered meanwhile as lost", async () => {
    const server = await redis();
    const publisher = createRedisPublisher({ url: server.url, publishTimeoutMs: 1_000 });
    await publisher.publish(CHANNEL, { data: "before" });
    const published = publisher.publish(CHANNEL, { data: "meanwhile" });
    // It is sent, and the answer arrives while this process cannot read it.
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    block(3_000);
    await expect(published).resolves.toHaveProperty("id");
    // The same before it is sent.
    const later = publisher.publish(CHANNEL, { data: "later" });
    block(3_000);
    await expect(later).resolves.toHaveProperty("id");
    await publisher.close();
  });
});

describeWithRedis("A slow link to Redis", () => {
  const redis = useRedis("test");
  const cluster = useCluster();

  it("carries an event that takes longer than Redis may be silent, live and from the past", async () => {
    const server = await redis();
    const proxy = await cluster.proxy(server);
    const publisher = createRedisPublisher({ url: server.url });
    const { id } = await publisher.publish(CHANNEL, { data: "before" });
    const node = await cluster.node({ url: proxy.url });
    const witness = await cluster.witness(node);
    proxy.bytesPerSecond = LINK_BYTES;
    const received = proxy.received;
    const start = performance.now();
    const data = "x".repeat(EVENT_BYTES);
    await publisher.publish(CHANNEL, { data });
    await eventually("the event", () => witness.events.length === 1, 40_000);
    const liveMs = performance.now() - start;
    // A starting node reads it back.
    const fresh = await cluster.node({ url: proxy.url });
    const back = cluster.newcomer(fresh);
    back.cut("rst");
    back.lastEventId = id;
    back.connect();
    await eventually("the past", () => back.events.length === 1, 40_000);
    console.log(
      `760 KB at 100 KB/s: live after ${Math.round(liveMs)} ms, from the past after ${Math.round(performance.now() - start - liveMs)} ms`,
    );
    expect(back.resets).toEqual([]);
    // Transferred once each time.
    expect(proxy.received - received).toBeLessThan(2.1 * EVENT_BYTES);
    for (const one of [node, fresh]) {
      expect(await one.stats()).toMatchObject({ log: { reconnects: 0 }, errors: [] });
    }
    await publisher.close();
  }, 90_000);

  it("makes progress with missed events, however large they are", async () => {
    const server = await redis();
    const proxy = await cluster.proxy(server);
    const publisher = createRedisPublisher({ url: server.url });
    const node = await cluster.node({ url: proxy.url });
    const witness = await cluster.witness(node);
    proxy.shut();
    for (let n = 0; n < 6; n++) await publisher.publish(CHANNEL, { data: "x".repeat(500_000) });
    proxy.bytesPerSecond = 1_000_000;
    proxy.open();
    await eventually("the first one", () => witness.events.length > 0);
    // Not all in one reply: later ones are still on their way.
    expect(witness.events.length).toBeLessThan(4);
    await eventually("all of them", () => witness.events.length === 6);
    expect(await node.stats()).toMatchObject({ log: { reconnects: 1 } });
    await publisher.close();
  }, 30_000);

  it("does not delay publishes by reading back", async () => {
    const server = await redis();
    const proxy = await cluster.proxy(server);
    const publisher = createRedisPublisher({ url: server.url });
    const { id } = await publisher.publish(CHANNEL, { data: "before" });
    for (let n = 0; n < 4; n++) await publisher.publish(CHANNEL, { data: "x".repeat(1_000_000) });
    await publisher.close();
    const log = redisLog({ url: proxy.url });
    const tail = await log.start({ entries: () => false, reset: () => {}, failed: () => {} });
    await log.append(CHANNEL, { data: "first" });
    proxy.bytesPerSecond = 500_000;
    const order: string[] = [];
    const page = log.past?.read(id, tail).finally(() => order.push("read"));
    await setTimeout(100);
    // Takes milliseconds, while the page takes a second.
    await log.append(CHANNEL, { data: "meanwhile" }).finally(() => order.push("published"));
    expect(await page).toMatchObject({ entries: expect.any(Array) });
    expect(order).toEqual(["published", "read"]);
    await log.close();
  }, 30_000);
});
