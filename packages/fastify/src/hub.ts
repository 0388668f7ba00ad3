/** The core's hub and session types, for Fastify requests. */

import type { Http2Server } from "node:http2";
import { createHub as createCoreHub } from "@tidewire/core";
import type {
  ChannelsOf,
  Hub as CoreHub,
  HubOptions as CoreHubOptions,
  Session as CoreSession,
  RegisteredChannels,
} from "@tidewire/core";
import type { FastifyRequest, RouteGenericInterface } from "fastify";

/** A request of an instance that was made with `http2: true`, with TLS or without. */
export type Http2Request = FastifyRequest<RouteGenericInterface, Http2Server>;

/** A request of any instance. */
export type AnyRequest = FastifyRequest | Http2Request;

/**
 * A hub whose sessions belong to requests of Fastify.
 *
 * @typeParam Channels - As for `createHub` of `@tidewire/core`.
 * @typeParam Request - As for {@link createHub}.
 */
export type Hub<
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
  Request extends AnyRequest = FastifyRequest,
> = CoreHub<Channels, Request>;

/**
 * Options of a hub whose sessions belong to requests of Fastify.
 *
 * @typeParam Channels - As for `createHub` of `@tidewire/core`.
 * @typeParam Request - As for {@link createHub}.
 */
export type HubOptions<
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
  Request extends AnyRequest = FastifyRequest,
> = CoreHubOptions<Channels, Request>;

/** One event stream to one client: `reply.sse`. */
export type Session<Channels extends ChannelsOf<Channels> = RegisteredChannels> = CoreSession<
  Channels,
  FastifyRequest
>;

/**
 * Creates a hub for `register(ssePlugin, { hub })`: the one of `@tidewire/core`, with `session.request` typed as
 * `FastifyRequest`.
 *
 * @typeParam Channels - As for `createHub` of `@tidewire/core`.
 * @typeParam Request - Type of the requests in `authorize` and `authorizeAll`. On an instance with `http2: true`:
 *   `FastifyRequest<RouteGenericInterface, Http2Server>`.
 * @param options - See {@link HubOptions}; each has a default.
 * @returns A hub without sessions.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function createHub<
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
  Request extends AnyRequest = FastifyRequest,
>(options?: HubOptions<NoInfer<Channels>, Request>): Hub<Channels, Request> {
  return createCoreHub<Channels, Request>(options);
}
