/** `sseHandler()`: a whole route in one line. */

import type { Http2ServerRequest } from "node:http2";
import type { ChannelsOf, RegisteredChannels, SubscribeOptions } from "@tidewire/core";
import { checkName, createRoute } from "@tidewire/core/adapter";
import type { RouteChannels, RouteOptions, RouteSession } from "@tidewire/core/adapter";
import type { FastifyRequest } from "fastify";
import type { AnyRequest, Http2Request } from "./hub.js";
import type { DecoratorOptions } from "./sse-plugin.js";

/** Requests of Node that an instance of Fastify may have: of HTTP/1, or of HTTP/2. */
type RawRequest = AnyRequest["raw"];

/** The request of a route: of HTTP/2 where Fastify was made with `http2: true`. */
type RequestOf<Raw extends RawRequest> = Raw extends Http2ServerRequest
  ? Http2Request
  : FastifyRequest;

/**
 * A route that subscribes its requests.
 *
 * @typeParam Incoming - Type of the request that its functions take.
 * @typeParam Raw - Request of Node that its instance has; found by the compiler.
 */
export type SseHandler<Incoming = FastifyRequest, Raw = RawRequest> = (
  request: Incoming,
  // The compiler finds `Raw` here. In the first parameter it could not: the type of that depends on the route's schema.
  reply: { readonly request: { readonly raw: Raw } },
) => Promise<void>;

/**
 * Makes a route that subscribes each request to channels: `fastify.get("/news", sseHandler("news"))`.
 *
 * It uses the request's own session, that of the innermost hub, so that it needs no hub and may be registered before the
 * plugin. What a function throws or rejects with goes to the error handler of Fastify; so does a request outside the scope
 * of the plugin. `options` is asked after `channels`.
 *
 * @typeParam Channels - As for `createHub`, for a hub with channels of its own: `sseHandler<AdminChannels>("audit")`.
 * @typeParam Name - Names of the channels; found by the compiler.
 * @typeParam Raw - Request of Node; found by the compiler.
 * @typeParam Incoming - Type of the request; found by the compiler, that of HTTP/2 on an instance with `http2: true`.
 * @param channels - One or several, or a function of the request that gives them, at once or later.
 * @param options - What `subscribe` takes beside the channels, or a function of the request that gives it.
 * @param target - Where the session is, if `ssePlugin` was given a `decorator`.
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

/** Read as a route would: the plugin may be that of another copy of this package. */
function sessionOf(reply: object, name: string): RouteSession | undefined {
  const session: unknown = Reflect.get(reply, name);
  const isSession = typeof session === "object" && session !== null && "subscribe" in session;
  return isSession ? (session as RouteSession) : undefined;
}
