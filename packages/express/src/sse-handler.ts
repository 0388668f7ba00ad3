/** `sseHandler()`: a whole route in one line. */

import type { ChannelsOf, RegisteredChannels } from "@tidewire/core";
import { checkName, createRoute } from "@tidewire/core/adapter";
import type { RouteChannels, RouteOptions, RouteSession } from "@tidewire/core/adapter";
import type { Request } from "express";
import type { NextFunction } from "./express-exchange.js";
import { propertyOf } from "./session-property.js";
import type { SessionProperty } from "./session-property.js";
import type { ExpressResponse, PropertyOptions } from "./sse.js";

/**
 * A route that subscribes its requests.
 *
 * @typeParam Incoming - Request type that its functions accept.
 */
export type SseHandler<Incoming = Request> = (
  request: Incoming,
  response: ExpressResponse,
  next: NextFunction,
) => void;

/**
 * Creates a route that subscribes each request to channels: `app.get("/news", sseHandler("news"))`.
 *
 * It uses the request's session from the innermost `sse()`, so it needs no hub and may be created before there is one.
 * An error of a function goes to Express's error handler, in Express 4 too; so does the error for a request that has
 * not passed an `sse()`. `options` is called after `channels`.
 *
 * @typeParam Channels - As for `createHub`, for a hub with its own channel types: `sseHandler<AdminChannels>("audit")`.
 * @typeParam Name - Names of the channels; inferred.
 * @typeParam Incoming - Type of the request; inferred.
 * @param channels - One or several, or a function that returns them for a request, synchronously or not.
 * @param options - Options of `subscribe`, or a function that returns them for a request.
 * @param target - Name of the session's property, if `sse()` was given a `property`.
 * @returns A handler for `app.get` and `router.get`, after any handlers that have to come first.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a channel or an option is invalid.
 */
export function sseHandler<
  Name extends Extract<keyof RegisteredChannels, string>,
  Incoming extends Request = Request,
>(
  channels: RouteChannels<Incoming, Name>,
  // oxlint-disable-next-line typescript/no-unnecessary-type-arguments -- Not the default where channels are registered.
  options?: RouteOptions<Incoming, RegisteredChannels[Name]>,
  target?: PropertyOptions,
): SseHandler<Incoming>;
export function sseHandler<
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
  Name extends keyof Channels & string = keyof Channels & string,
  Incoming extends Request = Request,
>(
  channels: RouteChannels<Incoming, Name>,
  options?: RouteOptions<Incoming, Channels[Name]>,
  target?: PropertyOptions,
): SseHandler<Incoming>;
export function sseHandler(
  channels: RouteChannels<Request>,
  options?: RouteOptions<Request>,
  target: PropertyOptions = {},
): SseHandler {
  const { name } = targetOf(target);
  const route = createRoute(
    channels,
    options,
    `\`res.${name}\` to be there: put \`app.use(sse(${name === "sse" ? "" : `{ property: "${name}" }`}))\` before the route`,
  );
  return (request, response, next) => {
    route(request, sessionOf(response, name)).catch((error: unknown) => {
      // Without an error Express would continue with the next route.
      next(error ?? new Error("A function given to sseHandler() was rejected"));
    });
  };
}

function targetOf(target: PropertyOptions): SessionProperty {
  for (const name of Object.keys(target)) checkName(name, ["property"]);
  return propertyOf(target.property);
}

/** Reads it as a route would, because the `sse()` may come from another copy of this package. */
function sessionOf(response: ExpressResponse, name: string): RouteSession | undefined {
  const session: unknown = Reflect.get(response, name);
  const isSession = typeof session === "object" && session !== null && "subscribe" in session;
  return isSession ? (session as RouteSession) : undefined;
}
