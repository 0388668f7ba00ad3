import type { RedisLogOptions } from "@tidewire/redis";
import { afterEach } from "vitest";
import { eventually } from "../client.js";
import { ClusterNode } from "./node.js";
import { RedisProxy } from "./proxy.js";
import type { RedisServer } from "./redis-server.js";
import { Witness } from "./witness.js";

/** Starts the parts of a cluster, which are stopped after each test. */
export interface Cluster {
  /** A node whose streams have a heartbeat each second. */
  node(log: Pick<RedisLogOptions, "url" | "publishTimeoutMs">): Promise<ClusterNode>;
  /** A client that subscribes to `CHANNEL`, without waiting for that. */
  newcomer(node: ClusterNode): Witness;
  /** A client that is subscribed to `CHANNEL` and has a position. */
  witness(node: ClusterNode): Promise<Witness>;
  /** A proxy in front of a server. */
  proxy(server: RedisServer): Promise<RedisProxy>;
}

/** Provides the parts of a cluster to a suite. */
export function useCluster(): Cluster {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });
  const newcomer = (node: ClusterNode): Witness => {
    const witness = new Witness(node);
    closers.push(() => witness.cut("fin"));
    witness.connect();
    return witness;
  };
  return {
    newcomer,
    async node(log) {
      const node = await ClusterNode.start(log, { heartbeatMs: 1_000 });
      closers.push(() => node.kill());
      return node;
    },
    async witness(node) {
      const witness = newcomer(node);
      await eventually("the witness to be subscribed", () => witness.cursors > 0);
      return witness;
    },
    async proxy(server) {
      const proxy = await RedisProxy.start(server.port);
      closers.push(() => proxy.close());
      return proxy;
    },
  };
}
