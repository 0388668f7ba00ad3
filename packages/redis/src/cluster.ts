/** Finds the master that holds the stream in a Redis Cluster. */

import { SseError } from "@tidewire/core";
import type { ConnectionOptions } from "./client.js";
import { siblingKey } from "./key.js";
import { askAny, nameOf, withAddress } from "./locator.js";
import type { Address, Locator, MapAddress } from "./locator.js";
import { slotOf } from "./slot.js";

/** Settings needed to ask a cluster. */
export interface ClusterSettings {
  /** Nodes known from the start, each with its connection settings. Further nodes are learnt from them. */
  readonly roots: readonly ConnectionOptions[];
  /** Connection settings for all other nodes. */
  readonly nodeOptions: ConnectionOptions;
  readonly mapAddress: MapAddress;
}

/** A node in the reply to `CLUSTER SLOTS`. The host is `null` or empty for the node that replies. */
type NodeReply = readonly [host: string | null, port: number, ...rest: unknown[]];
type SlotsReply = readonly (readonly [first: number, last: number, ...nodes: NodeReply[]])[];

/**
 * @param key - Key of the stream. Its other keys must lie in the same slot.
 * @returns A locator that looks the master up each time, asking all known nodes in random order.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the key contains braces that are not a hash tag.
 */
export function createClusterLocator(
  { roots, nodeOptions, mapAddress }: ClusterSettings,
  key: string,
): Locator {
  const slot = slotOf(key);
  if (slotOf(siblingKey(key, "mark")) !== slot) {
    throw new SseError(
      "ERR_SSE_INVALID_OPTION",
      `Expected \`key\` to have no braces, or a hash tag such as {news} for a cluster, got ${JSON.stringify(key)}`,
    );
  }
  const fixed = roots.map((root) => [nameOf(addressOf(root)), root] as const);
  /** Roots and the nodes of the last reply. */
  let known = new Map(fixed);
  const find = async (signal: AbortSignal): Promise<ConnectionOptions> => {
    const { slots, from } = await askAny([...known.values()], signal, async (ask, server) => ({
      slots: await ask<SlotsReply>("CLUSTER", "SLOTS"),
      from: addressOf(server),
    }));
    known = new Map(fixed);
    let master: ConnectionOptions | undefined;
    for (const [first, last, ...nodes] of slots) {
      for (const [index, [host, port]] of nodes.entries()) {
        // The node does not know its own name yet.
        if (host === "?") continue;
        const address = mapAddress({ host: host || from.host, port });
        const name = nameOf(address);
        const options = known.get(name) ?? withAddress(nodeOptions, address);
        known.set(name, options);
        if (index === 0 && first <= slot && slot <= last) master = options;
      }
    }
    if (master === undefined) throw new Error(`No node of the cluster serves the slot ${slot}`);
    return master;
  };
  return { hasFailover: true, find };
}

function addressOf({ socket }: ConnectionOptions): Address {
  const { host = "localhost", port = 6_379 } = socket ?? {};
  return { host, port };
}
