import type { RedisClient } from "@tidewire/redis";

/** Location of Redis: one server, a master watched by Sentinel, or the nodes of a cluster. Ports of 127.0.0.1. */
export type Place =
  | { readonly url: string }
  | { readonly name: string; readonly sentinels: readonly number[]; readonly password: string }
  | { readonly nodes: readonly number[]; readonly password: string };

export const LIBRARIES: readonly string[];
export const LIBRARIES_WITH_SENTINEL: readonly string[];
export function makeClient(library: string, place: Place): RedisClient;
