/** The core's hub and session types, for Express requests. */

import { createHub as createCoreHub } from "@tidewire/core";
import type {
  ChannelsOf,
  Hub as CoreHub,
  HubOptions as CoreHubOptions,
  Session as CoreSession,
  RegisteredChannels,
} from "@tidewire/core";
import type { Request } from "express";

/** A hub whose sessions belong to Express requests. */
export type Hub<Channels extends ChannelsOf<Channels> = RegisteredChannels> = CoreHub<
  Channels,
  Request
>;

/** Options of a hub whose sessions belong to Express requests. */
export type HubOptions<Channels extends ChannelsOf<Channels> = RegisteredChannels> = CoreHubOptions<
  Channels,
  Request
>;

/** One event stream to one client: `res.sse`. */
export type Session<Channels extends ChannelsOf<Channels> = RegisteredChannels> = CoreSession<
  Channels,
  Request
>;

/**
 * Creates a hub for `sse({ hub })`: the one of `@tidewire/core`, with `session.request` typed as an Express `Request`.
 *
 * @typeParam Channels - As for `createHub` of `@tidewire/core`.
 * @param options - See {@link HubOptions}; each has a default.
 * @returns A hub without sessions.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function createHub<Channels extends ChannelsOf<Channels> = RegisteredChannels>(
  options?: HubOptions<NoInfer<Channels>>,
): Hub<Channels> {
  return createCoreHub<Channels, Request>(options);
}
