// Clients of all libraries that `redisLog` takes, for one server, for Sentinel and for a cluster.
import { createRequire } from "node:module";

/** Loading six libraries takes a while, so each is loaded on use. */
const load = createRequire(import.meta.url);
const NODE_REDIS = { "node-redis 4": "redis4", "node-redis 5": "redis5", "node-redis 6": "redis" };
const IOREDIS = { "ioredis 5": "ioredis5", "ioredis 6": "ioredis", iovalkey: "iovalkey" };

export const LIBRARIES = [...Object.keys(NODE_REDIS), ...Object.keys(IOREDIS)];
/** node-redis has a Sentinel client since version 5. */
export const LIBRARIES_WITH_SENTINEL = LIBRARIES.filter((name) => name !== "node-redis 4");

const host = "127.0.0.1";

/** @returns A client that is not connected. */
export function makeClient(library, place) {
  const { password } = place;
  if (library in NODE_REDIS) {
    const nodeRedis = load(NODE_REDIS[library]);
    if (place.sentinels !== undefined) {
      return nodeRedis.createSentinel({
        name: place.name,
        sentinelRootNodes: place.sentinels.map((port) => ({ host, port })),
        nodeClientOptions: { password },
      });
    }
    if (place.nodes !== undefined) {
      return nodeRedis.createCluster({
        rootNodes: place.nodes.map((port) => ({ url: `redis://${host}:${port}` })),
        defaults: { password },
      });
    }
    return nodeRedis.createClient({ url: place.url });
  }
  const { Redis, Cluster } = load(IOREDIS[library]);
  const lazyConnect = true;
  if (place.sentinels !== undefined) {
    const sentinels = place.sentinels.map((port) => ({ host, port }));
    return new Redis({ lazyConnect, sentinels, name: place.name, password });
  }
  if (place.nodes !== undefined) {
    const nodes = place.nodes.map((port) => ({ host, port }));
    return new Cluster(nodes, { lazyConnect, redisOptions: { password } });
  }
  return new Redis(place.url, { lazyConnect });
}
