import type { IncomingMessage, ServerResponse } from "node:http";
import type { HubStats } from "@tidewire/core";
import type { AnyHub } from "@tidewire/core/adapter";

export const IS_READ: boolean;

export interface Follower {
  follow(
    request: IncomingMessage,
    response: ServerResponse,
    channels: string | readonly string[],
    options?: { readonly latest?: number },
  ): void;
  read(
    request: IncomingMessage,
    response: ServerResponse,
    channels: readonly string[],
    latest: number,
  ): Promise<void>;
  stats(): HubStats;
}

export function createFollower(hub: AnyHub, heartbeatMs?: number): Follower;
