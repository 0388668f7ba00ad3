/** Finds the master that Sentinel watches. */

import type { ConnectionOptions } from "./client.js";
import { askAny, nameOf, withAddress } from "./locator.js";
import type { Address, Locator, MapAddress } from "./locator.js";

/** What has to be known to ask Sentinel. */
export interface SentinelSettings {
  /** Name of the master. */
  readonly name: string;
  /** Those that are known from the start; others are learnt from them. */
  readonly sentinels: readonly Address[];
  /** How to connect to any of them. */
  readonly sentinelOptions: ConnectionOptions;
  /** How to connect to the master. */
  readonly nodeOptions: ConnectionOptions;
  readonly mapAddress: MapAddress;
}

/**
 * @returns A locator that asks for the master each time, all sentinels that are known in random order. A sentinel that
 *   is behind may name the old one: then the connection fails, and the next time another one is asked.
 */
export function createSentinelLocator({
  name,
  sentinels,
  sentinelOptions,
  nodeOptions,
  mapAddress,
}: SentinelSettings): Locator {
  const fixed = sentinels.map((address) => [nameOf(address), address] as const);
  /** Those that were given, and those that the last one to answer knows. */
  let known = new Map(fixed);
  const find = async (signal: AbortSignal): Promise<ConnectionOptions> => {
    const servers = [...known.values()].map((address) => withAddress(sentinelOptions, address));
    const { master, others } = await askAny(servers, signal, async (ask) => {
      const [found, rest] = await Promise.all([
        ask<[string, string] | null>("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name),
        // Not every user may ask for the others.
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
