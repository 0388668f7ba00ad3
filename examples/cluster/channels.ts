/** The channels of the cluster demo: what main publishes, and every node delivers. */
export type Channels = {
  ticks: { tick: Tick };
  nodes: { nodes: readonly NodeStatus[] };
};

/** One of the numbered events: by its number a page can tell whether it has missed one or has one twice. */
export interface Tick {
  /** 1, 2, 3 and so on. */
  readonly number: number;
  /** Time in ISO 8601, UTC. */
  readonly at: string;
}

/** What a node is called, and what it is made with. */
export interface NodeIdentity {
  readonly name: string;
  readonly framework: "Express" | "Fastify";
}

/** A node as main sees it. */
export interface NodeStatus extends NodeIdentity {
  /** Process id of the node, or of the one that it was. */
  readonly pid: number | undefined;
  readonly state: "starting" | "up" | "down";
}
