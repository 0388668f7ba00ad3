/** `sseHandler()`: a whole route in one line. */

import type { Http2ServerRequest } from "node:http2";
import type { ChannelsOf, RegisteredChannels, SubscribeOptions } from "@tidewire/core";
import { checkName, createRoute } from "@tidewire/core/adapter";
import type { RouteChannels, RouteOptions, RouteSession } from "@tidewire/core/adapter";
import type { FastifyRequest } from "fastify";
import type { AnyRequest, Http2Request } from "./hub.js";
import type { DecoratorOptions } from "./sse-plugin.js";

/** Node requests that a Fastify instance may have: HTTP/1 or HTTP/2. */
type RawRequest = AnyRequest["raw"];

/** The request of a route: HTTP/2 if Fastify was created with `http2: true`. */
type RequestOf<Raw extends RawRequest> = Raw extends Http2ServerRequest
  ? Http2Request
  : FastifyRequest;

/**
 * A route that subscribes its requests.
 *
 * @typeParam Incoming - Request type that its functions accept.
 * @typeParam Raw - Node request type of its instance; inferred.
 */
export type SseHandler<Incoming = FastifyRequest, Raw = RawRequest> = (
  request: Incoming,
  // The compiler infers `Raw` here. It cannot in the first parameter, whose type depends on the route's schema.
  reply: { readonly request: { readonly raw: Raw } },
) => Promise<void>;

/**
 * Creates a route that subscribes each request to channels: `fastify.get("/news", sseHandler("news"))`.
 *
 * It uses the request's session from the innermost hub, so it needs no hub and may be registered before the plugin. An
 * error of a function goes to Fastify's error handler; so does the error for a request outside the plugin's scope.
 * `options` is called after `channels`.
 *
 * @typeParam Channels - Same as for `createHub`, for a hub with its own channel types:
 *   `sseHandler<AdminChannels>("audit")`.
 * @typeParam Name - Names of the channels; inferred.
 * @typeParam Raw - Node request type; inferred.
 * @typeParam Incoming - Type of the request; inferred, HTTP/2 on an instance with `http2: true`.
 * @param channels - One or several, or a function that returns them for a request, synchronously or not.
 * @param options - Options of `subscribe`, or a function that returns them for a request.
 * @param target - Name of the session's decorator, if `ssePlugin` was given a `decorator`.
 * @returns A handler for `fastify.get` and `fastify.route`.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a channel or an option is invalid.
 */
export function sseHandler<
  Name extends Extract<keyof RegisteredChannels, string>,
  Raw extends RawRequest = FastifyRequest["raw"],
  Incoming = RequestOf<Raw>,
>(
  channels: RouteChannels<Incoming, Name>,
  // oxlint-disable-next-line typescript/no-unnecessary-type-arguments -- Not the default where channels are registered.
  options?: RouteOptions<Incoming, RegisteredChannels[Name]>,
  target?: DecoratorOptions,
): SseHandler<Incoming, Raw>;
export function sseHandler<
  Channels extends ChannelsOf<Channels>,
  Name extends keyof Channels & string = keyof Channels & string,
>(
  channels: Name | readonly Name[],
  options?: SubscribeOptions<Channels[Name]>,
  target?: DecoratorOptions,
): SseHandler<unknown, unknown>;
export function sseHandler<
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
  Name extends keyof Channels & string = keyof Channels & string,
  Raw extends RawRequest = FastifyRequest["raw"],
  Incoming = RequestOf<Raw>,
>(
  channels: RouteChannels<Incoming, Name>,
  options?: RouteOptions<Incoming, Channels[Name]>,
  target?: DecoratorOptions,
): SseHandler<Incoming, Raw>;
export function sseHandler(
  channels: RouteChannels<FastifyRequest>,
  options?: RouteOptions<FastifyRequest>,
  target: DecoratorOptions = {},
): SseHandler {
  const name = nameOf(target);
  const route = createRoute(
    channels,
    options,
    `\`reply.${name}\` to be there: register ssePlugin in the scope of the route, or in one around it`,
  );
  return async (request, reply) => {
    await route(request, sessionOf(reply, name));
  };
}

function nameOf(target: DecoratorOptions): string {
  for (const name of Object.keys(target)) checkName(name, ["decorator"]);
  return target.decorator ?? "sse";
}

/** Reads it as a route would, because the plugin may come from another copy of this package. */
function sessionOf(reply: object, name: string): RouteSession | undefined {
  const session: unknown = Reflect.get(reply, name);
  const isSession = typeof session === "object" && session !== null && "subscribe" in session;
  return isSession ? (session as RouteSession) : undefined;
}
