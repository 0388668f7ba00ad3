/** Disconnects on several nodes, whose log is a real Redis. */

import { createRedisPublisher } from "@tidewire/redis";
import { afterEach, expect, it } from "vitest";
import { request } from "../client.js";
import type { StreamClient } from "../client.js";
import { disconnectMany } from "./disconnect-suite.js";
import { ClusterNode } from "./node.js";
import { describeWithRedis, useRedis } from "./redis-server.js";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function startNode(...options: Parameters<typeof ClusterNode.start>): Promise<ClusterNode> {
  const node = await ClusterNode.start(...options);
  closers.push(() => node.close());
  return node;
}

async function open(
  node: ClusterNode,
  user: string,
  lastEventId?: string,
  channel = "news",
): Promise<StreamClient> {
  const headers = {
    accept: "text/event-stream",
    ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
  };
  const path = `/?channel=${channel}&user=${user}`;
  const client = await request({ port: node.port, protocol: "http1" }, path, { headers });
  if (client.status === 200) await client.until("sse-");
  closers.push(async () => client.cut());
  return client;
}

describeWithRedis("A disconnect on three nodes", () => {
  const server = useRedis("test");

  it("reaches every node: no event arrives later than 100 ms after it has resolved", async () => {
    const redis = await server();
    const { events } = await disconnectMany(redis.url, { count: 30, perSecond: 100 });
    expect(events).toBeGreaterThan(0);
  });

  it("for good is remembered by every node, also by one that has started since", async () => {
    const redis = await server();
    const nodes = [await startNode({ url: redis.url }), await startNode({ url: redis.url })];
    const [first, second] = nodes as [ClusterNode, ClusterNode];
    const load = { channels: ["news"], from: 0, count: 1, perSecond: 1, prefix: "m" };
    const [before] = await first.publish(load);
    const client = await open(first, "ada");
    await second.disconnect({ identity: "ada", final: true });
    expect(await client.rest()).toMatch(/event: sse-complete\nid: ~end\ndata: \{\}\n\n$/);
    // More than a node reads when it starts.
    await first.publish({ ...load, count: 20_000, perSecond: 20_000 });
    const [after] = await first.publish(load);
    const third = await startNode({ url: redis.url });
    for (const node of [...nodes, third]) {
      expect((await open(node, "ada", before?.id)).status).toBe(204);
      expect((await open(node, "bob", before?.id)).status).toBe(200);
      expect((await open(node, "ada", after?.id)).status).toBe(200);
      expect((await open(node, "ada")).status).toBe(200);
    }
  });

  it("may come from a worker without sessions", async () => {
    const { url } = await server();
    const node = await startNode({ url });
    const client = await open(node, "ada");
    const publisher = createRedisPublisher({ url });
    closers.push(() => publisher.close());
    await publisher.disconnect({ identity: "ada" });
    await client.rest();
    expect((await node.stats()).closes.revoked).toBe(1);
  });

  it("that is invalid, from another program, ends nothing and is reported", async () => {
    const redis = await server();
    const node = await startNode({ url: redis.url });
    const client = await open(node, "ada");
    await redis.command("XADD", "tidewire", "*", "c", "~disconnect", "d", '{"identity":7}');
    await node.until("the report", ({ errors }) => errors.length === 1);
    expect((await node.stats()).errors[0]).toMatch(/^log: SseError: Expected an identity/);
    expect(client.isEnded).toBe(false);
  });

  it("that Redis cannot take ends the sessions of its node; the others fail their next check", async () => {
    const redis = await server();
    const log = { url: redis.url, publishTimeoutMs: 500 };
    const nodes = [
      await startNode(log, { revalidateMs: 1_000 }),
      await startNode(log, { revalidateMs: 1_000 }),
    ];
    const [first, second] = nodes as [ClusterNode, ClusterNode];
    const [here, there, other] = [
      await open(first, "ada"),
      await open(second, "ada"),
      await open(second, "bob"),
    ];
    // Its connection for publishing exists now.
    await first.publish({ channels: ["news"], from: 0, count: 1, perSecond: 1, prefix: "m" });
    redis.pause();
    for (const node of nodes) await node.block("ada");
    const start = performance.now();
    const settling = first.disconnect({ identity: "ada" });
    await here.rest();
    expect(performance.now() - start).toBeLessThan(450);
    await there.rest();
    // A check is due within a second. A sweep of the heartbeat comes before that.
    expect(performance.now() - start).toBeLessThan(1_500);
    expect((await settling).code).toBe("ERR_SSE_LOG_UNKNOWN");
    expect(other.isEnded).toBe(false);
    redis.resume();
  });
});
