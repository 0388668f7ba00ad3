/** Presence on three nodes, whose log is a real Redis. */

import { afterEach, expect, it } from "vitest";
import { PresentCluster, openStream, reload } from "./presence-suite.js";
import type { ClusterNode } from "./node.js";
import { describeWithRedis, useRedis } from "./redis-server.js";

let cluster: PresentCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

describeWithRedis("Presence on three nodes", () => {
  const server = useRedis("test");

  it("shows no reload, wherever it goes, and is known to a node that starts later", async () => {
    const redis = await server();
    cluster = await PresentCluster.start(redis.url);
    const { events, streams } = await reload(cluster, { people: 6, reloads: 18 });
    expect(events).toEqual([]);
    const late = await cluster.startNode();
    expect((await late.presence("room")).toSorted()).toEqual([...streams.keys()].toSorted());
    for (const stream of streams.values()) stream.cut();
    await cluster.until([]);
  });

  it("moves from a node that shuts down, without an event for those who come back", async () => {
    const redis = await server();
    cluster = await PresentCluster.start(redis.url, 2);
    const [first, second] = cluster.nodes as [ClusterNode, ClusterNode];
    await openStream(first, "ada");
    await openStream(first, "bob");
    await cluster.until(["ada", "bob"]);
    await first.close();
    await openStream(second, "ada");
    cluster.nodes.splice(0, 1);
    cluster.watchers.splice(0, 1);
    await cluster.until(["ada"]);
    for (const { events } of cluster.watchers) {
      expect(events.filter((event) => event.endsWith("ada"))).toEqual(["presence-join ada"]);
      expect(events.at(-1)).toBe("presence-leave bob");
    }
  });
});
