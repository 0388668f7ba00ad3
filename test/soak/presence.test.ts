// Five hundred reloads, a node that is killed, and one that is stopped for longer than its lease: who is present on three
// nodes.
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import {
  LEASE_MS,
  LINGER_MS,
  MARGIN_MS,
  PresentCluster,
  openStream,
  reload,
} from "../redis/presence-suite.js";
import type { ClusterNode } from "../redis/node.js";
import { describeWithRedis, useRedis } from "../redis/redis-server.js";

let cluster: PresentCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

describeWithRedis("Presence on three nodes", () => {
  const server = useRedis("test");

  it("shows none of 500 reloads", { timeout: 60_000 }, async () => {
    const redis = await server();
    cluster = await PresentCluster.start(redis.url);
    const start = performance.now();
    const { events } = await reload(cluster, { people: 50, reloads: 500 });
    console.info(`500 reloads in ${Math.round(performance.now() - start)} ms`);
    expect(events).toEqual([]);
  });

  it(
    "loses the people of a killed node within the lease, but not those who come back",
    {
      timeout: 60_000,
    },
    async () => {
      const redis = await server();
      cluster = await PresentCluster.start(redis.url);
      const [first, second, third] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode];
      const names = Array.from({ length: 10 }, (_, index) => `user-${index}`);
      for (const name of names) await openStream(first, name);
      await openStream(second, "other");
      await cluster.until([...names, "other"]);
      const { watchers } = cluster;
      const killedAt = performance.now();
      await first.kill();
      cluster.nodes.splice(0, 1);
      watchers.splice(0, 1);
      const stay = names.slice(0, 5);
      for (const [index, name] of stay.entries()) {
        await openStream(index % 2 === 0 ? second : third, name);
      }
      await delay(LINGER_MS);
      // The node may only be slow.
      for (const { present } of watchers) expect(present).toHaveLength(11);
      await cluster.until(
        [...stay, "other"],
        LEASE_MS + MARGIN_MS - (performance.now() - killedAt),
      );
      console.info(`gone ${Math.round(performance.now() - killedAt)} ms after the kill`);
      for (const { events } of watchers) {
        const leaves = events.filter((event) => event.startsWith("presence-leave"));
        expect(leaves.toSorted()).toEqual(names.slice(5).map((name) => `presence-leave ${name}`));
        expect(events.filter((event) => event.startsWith("presence-join"))).toHaveLength(11);
      }
    },
  );

  it(
    "has the people of a node back that was stopped for longer than its lease",
    {
      timeout: 60_000,
    },
    async () => {
      const redis = await server();
      cluster = await PresentCluster.start(redis.url);
      const [first, second] = cluster.nodes as [ClusterNode, ClusterNode];
      await openStream(first, "ada");
      await openStream(second, "bob");
      await cluster.until(["ada", "bob"]);
      first.pause();
      const nodes = cluster.nodes.splice(0, 1);
      const watchers = cluster.watchers.splice(0, 1);
      await cluster.until(["bob"], LEASE_MS + MARGIN_MS);
      first.resume();
      cluster.nodes.unshift(...nodes);
      cluster.watchers.unshift(...watchers);
      await cluster.until(["ada", "bob"], 3_000);
    },
  );
});
