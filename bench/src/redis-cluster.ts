import type { RedisSubjectName } from "./catalogue.js";
import { Load } from "./load.js";
import type { RedisNodeProtocol, RedisPublisherProtocol } from "./redis-protocol.js";
import type { RedisServer } from "./redis-server.js";
import { Remote } from "./remote.js";
import { profileFlags } from "./server.js";

const NODE_PROGRAM = new URL("redis-node-process.js", import.meta.url);
const PUBLISHER_PROGRAM = new URL("redis-publisher-process.js", import.meta.url);

/** Clients of a cluster that are counted together, all on one channel. */
export interface Audience {
  readonly channel: string;
  readonly clients: number;
  readonly load: Load;
}

/** Nodes of one subject with their Redis, a process that publishes, and clients, each in a separate process. */
export class RedisCluster {
  readonly subject: RedisSubjectName;
  readonly redis: RedisServer;
  readonly publisher: Remote<RedisPublisherProtocol>;
  readonly nodes: readonly Remote<RedisNodeProtocol>[];
  readonly #loads: Load[] = [];
  readonly #ports: number[] = [];
  /** Sequence number of the next event. */
  sequence = 0;

  private constructor(
    subject: RedisSubjectName,
    redis: RedisServer,
    nodes: number,
    cpuProfileDir: string | undefined,
  ) {
    this.subject = subject;
    this.redis = redis;
    this.publisher = new Remote(`The publisher of ${subject}`, PUBLISHER_PROGRAM);
    this.nodes = Array.from(
      { length: nodes },
      () => new Remote(`A node of ${subject}`, NODE_PROGRAM, profileFlags(subject, cpuProfileDir)),
    );
    for (const remote of [this.publisher, ...this.nodes]) {
      remote.onCrash = (error) => this.fail(error);
    }
  }

  /** Starts a cluster with this many nodes; with none to measure publishing alone. */
  static async start(
    subject: RedisSubjectName,
    redis: RedisServer,
    nodes: number,
    cpuProfileDir: string | undefined,
  ): Promise<RedisCluster> {
    const cluster = new RedisCluster(subject, redis, nodes, cpuProfileDir);
    const order = { subject, url: redis.url, key: `bench-${subject}-${nodes}` };
    try {
      await cluster.publisher.call("start", order);
      for (const node of cluster.nodes) {
        cluster.#ports.push((await node.call("start", order)).port);
      }
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** Connects this many clients to each node. */
  async gather(channel: string, clientsOnNode: number): Promise<Audience> {
    const load = new Load(this.subject);
    this.#loads.push(load);
    for (const port of this.#ports) {
      await load.connect(port, clientsOnNode, `/events?channel=${channel}`);
    }
    return { channel, clients: clientsOnNode * this.nodes.length, load };
  }

  async stop(): Promise<void> {
    await Promise.all([this.publisher, ...this.nodes, ...this.#loads].map((one) => one.stop()));
  }

  /** Makes current waits fail because a required process has ended. */
  fail(error: Error): void {
    for (const load of this.#loads) load.fail(error);
  }
}
