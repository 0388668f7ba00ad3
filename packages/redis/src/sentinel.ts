/** Finds the master through Sentinel. */

import type { ConnectionOptions } from "./client.js";
import { askAny, nameOf, withAddress } from "./locator.js";
import type { Address, Locator, MapAddress } from "./locator.js";

/** Settings needed to ask Sentinel. */
export interface SentinelSettings {
  /** Name of the master. */
  readonly name: string;
  /** Sentinels known from the start. Further ones are learnt from them. */
  readonly sentinels: readonly Address[];
  /** Connection settings for the sentinels. */
  readonly sentinelOptions: ConnectionOptions;
  /** Connection settings for the master. */
  readonly nodeOptions: ConnectionOptions;
  readonly mapAddress: MapAddress;
}

/**
 * @returns A locator that looks the master up each time, asking all known sentinels in random order. An outdated
 *   sentinel may name the old master: then the connection fails, and the next attempt asks another one.
 */
export function createSentinelLocator({
  name,
  sentinels,
  sentinelOptions,
  nodeOptions,
  mapAddress,
}: SentinelSettings): Locator {
  const fixed = sentinels.map((address) => [nameOf(address), address] as const);
  /** The given sentinels, and those known to the last one that answered. */
  let known = new Map(fixed);
  const find = async (signal: AbortSignal): Promise<ConnectionOptions> => {
    const servers = [...known.values()].map((address) => withAddress(sentinelOptions, address));
    const { master, others } = await askAny(servers, signal, async (ask) => {
      const [found, rest] = await Promise.all([
        ask<[string, string] | null>("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name),
        // A user may lack the permission to list other sentinels.
        ask<string[][]>("SENTINEL", "SENTINELS", name).catch(() => []),
      ]);
      if (found === null) throw new Error(`Sentinel knows no master with the name ${name}`);
      return { master: { host: found[0], port: Number(found[1]) }, others: rest };
    });
    known = new Map(fixed);
    for (const fields of others) {
      const valueOf = (field: string): string | undefined => fields[fields.indexOf(field) + 1];
      const host = valueOf("ip");
      const port = Number(valueOf("port"));
      if (host === undefined || !(port > 0)) continue;
      const address = mapAddress({ host, port });
      known.set(nameOf(address), address);
    }
    return withAddress(nodeOptions, mapAddress(master));
  };
  return { hasFailover: true, find };
}
