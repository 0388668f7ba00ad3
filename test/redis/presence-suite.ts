/** Presence on several nodes: people who reload, and nodes that die, stop or start later. */

import { setTimeout as delay } from "node:timers/promises";
import { request } from "../client.js";
import type { StreamClient } from "../client.js";
import { ClusterNode } from "./node.js";

/** Linger and lease of the nodes, in milliseconds. */
export const LINGER_MS = 1_000;
export const LEASE_MS = 3_000;
/** Time after the lease within which the identities of a dead node are gone: two looks at leases and the way to Redis. */
export const MARGIN_MS: number = LEASE_MS / 3 + 500;

export function openStream(
  node: ClusterNode,
  user: string,
  channel = "room",
): Promise<StreamClient> {
  const headers = { accept: "text/event-stream" };
  const target = { port: node.port, protocol: "http1" } as const;
  return request(target, `/?channel=${channel}&user=${user}`, { headers });
}

/** A client of the presence channel: what it knows, and every event. */
export class PresenceWatcher {
  readonly #client: StreamClient;

  private constructor(client: StreamClient) {
    this.#client = client;
  }

  static async open(node: ClusterNode, name: string): Promise<PresenceWatcher> {
    const client = await openStream(node, name, "~presence:room");
    await client.until("event: presence\n");
    return new PresenceWatcher(client);
  }

  /** Events so far, as `presence-join ada`. */
  get events(): string[] {
    return this.#read().flatMap(({ event, identities }) =>
      event === "presence" ? [] : identities.map((identity) => `${event} ${identity}`),
    );
  }

  get present(): string[] {
    const present: Set<string> = new Set();
    for (const { event, identities } of this.#read()) {
      if (event === "presence") present.clear();
      for (const identity of identities) {
        if (event === "presence-leave") present.delete(identity);
        else present.add(identity);
      }
    }
    return [...present].toSorted();
  }

  close(): void {
    this.#client.cut();
  }

  #read(): { event: string; identities: string[] }[] {
    const { text } = this.#client;
    return text.split("\n\n").flatMap((block) => {
      const event = /^event: (presence.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (event === undefined || data === undefined) return [];
      return [{ event, ...(JSON.parse(data) as { identities: string[] }) }];
    });
  }
}

/** Three nodes with a watcher on each. */
export class PresentCluster {
  readonly nodes: ClusterNode[] = [];
  readonly watchers: PresenceWatcher[] = [];
  readonly #url: string;
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(url: string) {
    this.#url = url;
  }

  static async start(url: string, count = 3): Promise<PresentCluster> {
    const cluster = new PresentCluster(url);
    for (let index = 0; index < count; index++) await cluster.startNode();
    for (const [index, node] of cluster.nodes.entries()) {
      cluster.watchers.push(await PresenceWatcher.open(node, `watcher-${index}`));
    }
    return cluster;
  }

  async startNode(): Promise<ClusterNode> {
    const presence = { lingerMs: LINGER_MS, leaseMs: LEASE_MS };
    const node = await ClusterNode.start({ url: this.#url }, { presence });
    this.#closers.push(() => node.kill());
    this.nodes.push(node);
    await node.until("the log to be live", ({ log }) => log.state === "live");
    return node;
  }

  /** Waits until the nodes and their watchers know exactly these. A node without a watcher may be the last to know. */
  async until(identities: readonly string[], ms = 10_000): Promise<void> {
    const expected = identities.toSorted().join();
    const end = performance.now() + ms;
    for (;;) {
      const known = await this.#known();
      if (known.every((each) => each === expected)) return;
      if (performance.now() > end) {
        throw new Error(`Waited ${ms} ms for ${expected} to be present: ${known.join("; ")}`);
      }
      await delay(5);
    }
  }

  /** The identities that each watcher and each node knows. */
  async #known(): Promise<string[]> {
    const ofNodes = await Promise.all(this.nodes.map((node) => node.presence("room")));
    const ofWatchers = this.watchers.map(({ present }) => present);
    return [...ofWatchers, ...ofNodes].map((present) => present.toSorted().join());
  }

  async close(): Promise<void> {
    for (const watcher of this.watchers) watcher.close();
    for (const close of this.#closers) await close();
  }
}

/** Lets people reload, each on any node, and returns the events that watchers have seen since everybody was there. */
export async function reload(
  cluster: PresentCluster,
  { people, reloads }: { people: number; reloads: number },
): Promise<{ events: string[]; streams: Map<string, StreamClient> }> {
  const { nodes } = cluster;
  const names = Array.from({ length: people }, (_, index) => `user-${index}`);
  const nodeOf = (index: number): ClusterNode => nodes[index % nodes.length] as ClusterNode;
  const streams: Map<string, StreamClient> = new Map();
  for (const [index, name] of names.entries()) {
    streams.set(name, await openStream(nodeOf(index), name));
  }
  await cluster.until(names);
  const before = cluster.watchers.map(({ events }) => events.length);
  for (let count = 0; count < reloads; count++) {
    const name = names[count % people] as string;
    streams.get(name)?.cut();
    streams.set(name, await openStream(nodeOf(count * 7 + Math.floor(count / people)), name));
  }
  await delay(2 * LINGER_MS);
  const events = cluster.watchers.flatMap((watcher, index) => watcher.events.slice(before[index]));
  await cluster.until(names);
  return { events, streams };
}
