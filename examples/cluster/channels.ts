/** The channels of the cluster demo: main publishes on them, and every node delivers them. */
export type Channels = {
  ticks: { tick: Tick };
  nodes: { nodes: readonly NodeStatus[] };
};

/** A numbered event. The number shows a page whether it has missed one or got one twice. */
export interface Tick {
  /** 1, 2, 3 and so on. */
  readonly number: number;
  /** Time in ISO 8601, UTC. */
  readonly at: string;
}

/** Name and framework of a node. */
export interface NodeIdentity {
  readonly name: string;
  readonly framework: "Express" | "Fastify";
}

/** State of a node as main sees it. */
export interface NodeStatus extends NodeIdentity {
  /** Process id of the node, also after it has died. */
  readonly pid: number | undefined;
  readonly state: "starting" | "up" | "down";
}
