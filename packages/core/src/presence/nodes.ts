/** The other nodes: their leases, and whose answers are missing. */

/** Another node. */
interface Node {
  /** When its identities count as absent, in milliseconds of a monotonic clock. */
  expiresAt: number;
}

/** All nodes but this one, as far as this process has heard of them. */
export class Nodes {
  readonly #nodes: Map<string, Node> = new Map();
  /** Nodes whose answer is awaited, and those that have answered. Both are empty a lease after the hello. */
  readonly #awaited: Set<string> = new Set();
  readonly #answered: Set<string> = new Set();
  /** When this node has said hello; `-Infinity` if it is not in its first lease after that. */
  #helloAt = -Infinity;

  /** When this node has said hello; `-Infinity` if it is not in its first lease after that. */
  get helloAt(): number {
    return this.#helloAt;
  }

  /** Whether an answer is awaited. */
  get isAwaiting(): boolean {
    return this.#awaited.size > 0;
  }

  /** @returns The names of all nodes, without one. */
  without(name: string): string[] {
    return [...this.#nodes.keys()].filter((other) => other !== name);
  }

  /** @returns For how many milliseconds more the identities of a node are present. */
  leftMs(name: string, now: number): number {
    const { expiresAt = now } = this.#nodes.get(name) ?? {};
    return Math.max(0, Math.round(expiresAt - now));
  }

  /** A node is alive. */
  heardOf(name: string, forMs: number): void {
    this.#nodes.set(name, { expiresAt: performance.now() + forMs });
    // It was there before this node said hello. Its answer may be lost.
    if (this.#helloAt !== -Infinity && !this.#answered.has(name)) this.#awaited.add(name);
  }

  /** Another node has told of a node. */
  toldOf(name: string, forMs: number): void {
    if (this.#nodes.has(name)) return;
    this.#nodes.set(name, { expiresAt: performance.now() + forMs });
  }

  /** Their answers are awaited, unless they have come. */
  await(names: Iterable<string>): void {
    for (const name of names) if (!this.#answered.has(name)) this.#awaited.add(name);
  }

  /** This process knows everything that a node has told. */
  hasAnswered(name: string): void {
    if (this.#helloAt === -Infinity) return;
    this.#answered.add(name);
    this.#awaited.delete(name);
  }

  /** Answers from before do not count. */
  startOver(): void {
    this.#awaited.clear();
    this.#answered.clear();
  }

  /** This node says hello. */
  saysHello(): void {
    this.#helloAt = performance.now();
  }

  /** Waits no longer for nodes that are gone. */
  forgetGone(now: number): void {
    for (const name of this.#awaited) {
      const node = this.#nodes.get(name);
      if (node === undefined || node.expiresAt < now) this.#awaited.delete(name);
    }
  }

  /** Every node with identities has been heard of. */
  isSettled(): void {
    this.#helloAt = -Infinity;
    this.#answered.clear();
  }

  /** This process may have heard nothing for a while: no node expires before a time. */
  spareUntil(time: number): void {
    for (const node of this.#nodes.values()) node.expiresAt = Math.max(node.expiresAt, time);
  }

  /**
   * @param self - Name of this node.
   * @param everyMs - Time between two nodes that may bury the same one.
   * @returns The nodes that this one has to bury.
   */
  *expired(self: string, now: number, everyMs: number): Iterable<string> {
    let rank = 0;
    for (const [name, { expiresAt }] of this.#nodes) {
      if (name < self && now <= expiresAt) rank += 1;
    }
    // One node after the other, in the order of their names, so that usually only one does it.
    for (const [name, { expiresAt }] of this.#nodes) {
      if (now > expiresAt + rank * everyMs) yield name;
    }
  }

  /** The identities of a node have been buried: looks at it again later. */
  buried(name: string, againAt: number): void {
    const node = this.#nodes.get(name);
    if (node !== undefined) node.expiresAt = againAt;
  }

  /** A node is gone, and nothing of it is left. */
  delete(name: string): void {
    this.#nodes.delete(name);
  }

  /** Forgets all nodes. */
  clear(): void {
    this.#nodes.clear();
  }
}
