/** The identities that are present on each channel, on all nodes: the presence entries of the log, added up. */

/** The nodes of one identity on one channel. Nearly always one, which needs no list. */
type Nodes = string | readonly string[];

/** Identities by channel, each with the nodes where it is present. */
export class Roster {
  readonly #channels: Map<string, Map<string, Nodes>> = new Map();

  /** Whether an identity is present on a channel through a node. */
  has(node: string, channel: string, identity: string): boolean {
    const nodes = this.#channels.get(channel)?.get(identity);
    return nodes !== undefined && listOf(nodes).includes(node);
  }

  /** @returns The identities that are present on a channel, in the order in which they joined. */
  of(channel: string): string[] {
    return [...(this.#channels.get(channel)?.keys() ?? [])];
  }

  /**
   * Adds identities of a node.
   *
   * @returns Those that were not present through any node.
   */
  add(node: string, channel: string, identities: readonly string[]): string[] {
    let present = this.#channels.get(channel);
    if (present === undefined) this.#channels.set(channel, (present = new Map()));
    const joined: string[] = [];
    for (const identity of identities) {
      const nodes = present.get(identity);
      if (nodes === undefined) {
        present.set(identity, node);
        joined.push(identity);
      } else if (!listOf(nodes).includes(node)) {
        present.set(identity, [...listOf(nodes), node]);
      }
    }
    if (present.size === 0) this.#channels.delete(channel);
    return joined;
  }

  /**
   * Removes identities of a node.
   *
   * @returns Those that are now present through no node.
   */
  remove(node: string, channel: string, identities: readonly string[]): string[] {
    const present = this.#channels.get(channel);
    if (present === undefined) return [];
    const gone: string[] = [];
    for (const identity of identities) {
      const nodes = listOf(present.get(identity) ?? []);
      const [first, ...others] = nodes.filter((other) => other !== node);
      if (first !== undefined)
        present.set(identity, others.length === 0 ? first : [first, ...others]);
      else if (present.delete(identity)) gone.push(identity);
    }
    if (present.size === 0) this.#channels.delete(channel);
    return gone;
  }

  /** @returns Channels and identities of a node. Visits everything. */
  *ofNode(node: string): Iterable<readonly [channel: string, identities: string[]]> {
    for (const [channel, present] of this.#channels) {
      const identities: string[] = [];
      for (const [identity, nodes] of present) {
        if (listOf(nodes).includes(node)) identities.push(identity);
      }
      if (identities.length > 0) yield [channel, identities];
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#channels.clear();
  }
}

function listOf(nodes: Nodes): readonly string[] {
  return typeof nodes === "string" ? [nodes] : nodes;
}
