import { afterAll } from "vitest";
import type { Place } from "./clients.mjs";
import { RedisServer, freePort } from "./redis-server.js";

const PASSWORD = "secret";
const SLOTS = 16_384;
/** Time after which a node that does not answer counts as failed, in milliseconds. */
const NODE_TIMEOUT_MS = 2_000;

/** A cluster of three masters, and a replica of the one that holds the stream. */
export class RedisCluster {
  readonly #masters: readonly RedisServer[];
  readonly #replica: RedisServer;
  readonly #holder: RedisServer;

  private constructor(masters: readonly RedisServer[], replica: RedisServer, holder: RedisServer) {
    this.#masters = masters;
    this.#replica = replica;
    this.#holder = holder;
  }

  static async start(key: string): Promise<RedisCluster> {
    const nodes = await Promise.all(Array.from({ length: 4 }, () => startNode()));
    try {
      return await RedisCluster.#join(nodes, key);
    } catch (error) {
      await Promise.all(nodes.map((node) => node.stop()));
      throw error;
    }
  }

  static async #join(nodes: readonly RedisServer[], key: string): Promise<RedisCluster> {
    const [first, second, third, replica] = nodes as readonly [
      RedisServer,
      RedisServer,
      RedisServer,
      RedisServer,
    ];
    const masters = [first, second, third];
    const slot = Number(await first.command("CLUSTER", "KEYSLOT", key));
    let holder = first;
    for (const [index, node] of masters.entries()) {
      const from = Math.floor((index * SLOTS) / 3);
      const to = Math.floor(((index + 1) * SLOTS) / 3) - 1;
      await node.command("CLUSTER", "ADDSLOTSRANGE", String(from), String(to));
      await node.command("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1));
      if (from <= slot && slot <= to) holder = node;
    }
    for (const node of nodes.slice(1)) await meet(first, node);
    const cluster = new RedisCluster(masters, replica, holder);
    const id = String(await holder.command("CLUSTER", "MYID"));
    const knows = async (node: RedisServer): Promise<boolean> =>
      String(await node.command("CLUSTER", "NODES")).includes(id);
    await until("the replica to know its master", () => knows(replica));
    await replica.command("CLUSTER", "REPLICATE", id);
    await until("the replica to be in sync", async () =>
      String(await replica.command("INFO", "replication")).includes("master_link_status:up"),
    );
    for (const node of nodes) {
      await until("the cluster to be there", async () =>
        String(await node.command("CLUSTER", "INFO")).includes("cluster_state:ok"),
      );
      await until("all to know the replica", async () => {
        const slots = (await node.command("CLUSTER", "SLOTS")) as unknown[][];
        return slots.flatMap((range) => range.slice(2)).length === nodes.length;
      });
    }
    return cluster;
  }

  /** Address for clients. The replica is learnt from the other nodes. */
  get place(): Place {
    return { nodes: this.#masters.map(({ port }) => port), password: PASSWORD };
  }

  /** The master that initially holds the stream. */
  get holder(): RedisServer {
    return this.#holder;
  }

  /** The replica that takes its place. */
  get replica(): RedisServer {
    return this.#replica;
  }

  /** Makes the replica the master, without losses. Works once, because the nodes do not vote again soon after. */
  async swap(): Promise<void> {
    await this.#replica.command("CLUSTER", "FAILOVER");
    await until("the replica to be the master", async () =>
      String(await this.#replica.command("ROLE")).startsWith("master"),
    );
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#masters, this.#replica].map((node) => node.stop()));
  }
}

/** Provides a cluster to the suite, started on first use and stopped at the end of the suite. */
export function useRedisCluster(key: string): () => Promise<RedisCluster> {
  let cluster: Promise<RedisCluster> | undefined;
  afterAll(async () => (await cluster)?.stop());
  return () => (cluster ??= RedisCluster.start(key));
}

async function startNode(): Promise<RedisServer> {
  const options = {
    "cluster-enabled": "yes",
    "cluster-port": String(await freePort()),
    "cluster-node-timeout": String(NODE_TIMEOUT_MS),
    requirepass: PASSWORD,
    masterauth: PASSWORD,
    "repl-diskless-sync-delay": "0",
    // The other nodes announce a replica only once it has received data.
    "repl-ping-replica-period": "1",
  };
  return RedisServer.start(
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
  );
}

async function meet(node: RedisServer, other: RedisServer): Promise<void> {
  const [, busPort] = (await other.command("CONFIG", "GET", "cluster-port")) as [string, string];
  await node.command("CLUSTER", "MEET", "127.0.0.1", String(other.port), busPort);
}

/** Asks repeatedly until a condition holds. */
export async function until(
  what: string,
  isTrue: () => Promise<boolean>,
  ms = 20_000,
): Promise<void> {
  const end = performance.now() + ms;
  while (!(await isTrue())) {
    if (performance.now() > end) throw new Error(`Waited ${ms} ms for ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
}
