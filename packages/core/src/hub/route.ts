/** A whole route in one line: subscribes a request to channels. The basis of each framework's `sseHandler`. */

import { SseError } from "../errors.js";
import type { Subscribed } from "../options/presence.js";
import { checkChannels, checkSubscribeOptions, checkSubscribed } from "../options/subscribe.js";
import type { SubscribeOptions } from "../options/subscribe.js";
import type { CloseReason } from "../session/session.js";

/** A value, or a function that returns it for a request, synchronously or not. */
export type OfRequest<Request, Value> = Value | ((request: Request) => Value | PromiseLike<Value>);

/** The channels of a route: one, several, or a function that returns them for a request. */
export type RouteChannels<Request, Name extends string = string> = OfRequest<
  Request,
  Subscribed<Name> | readonly Subscribed<Name>[]
>;

/** Options that a route passes to `subscribe`, or a function that returns them for a request. */
export type RouteOptions<Request, Events = Record<string, unknown>> = OfRequest<
  Request,
  SubscribeOptions<Events> | undefined
>;

/** The parts of a session that a route uses, whatever its channel types. */
export interface RouteSession {
  /** Why the session closed; `undefined` while it is open. */
  readonly closeReason: CloseReason | undefined;
  /** Subscribes, as every session does. */
  subscribe(channels: string | readonly string[], options?: SubscribeOptions): Promise<boolean>;
}

/**
 * Subscribes one request.
 *
 * @param request - The framework's request object.
 * @param session - The request's own session; `undefined` if the request has none.
 * @returns Same as `session.subscribe`. Rejects with errors that a function throws and with the errors of `subscribe`,
 *   for the framework's error handler. Never throws.
 */
export type Route<Request> = (
  request: Request,
  session: RouteSession | undefined,
) => Promise<boolean>;

/**
 * Creates a route that subscribes each request.
 *
 * Without functions, or with synchronous ones, `subscribe` is called in the turn of the request. `options` is called
 * after `channels`, which may have refused the request.
 *
 * @param channels - Checked now unless it is a function; a function's result is checked for each request.
 * @param options - Same as `channels`.
 * @param expected - Completes "Expected …" in the error for a request without a session: advice to the application.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if `channels` or `options` is invalid.
 */
export function createRoute<Request>(
  channels: RouteChannels<Request>,
  options: RouteOptions<Request>,
  expected: string,
): Route<Request> {
  // A copy: later changes to the caller's array do not change the route.
  const ofAll =
    typeof channels === "function" ? channels : checkChannels(channels, checkSubscribed);
  if (options !== undefined && typeof options !== "function") checkSubscribeOptions(options);

  return async (request, session) => {
    if (session === undefined) {
      throw new SseError("ERR_SSE_INVALID_OPTION", `Expected ${expected}`);
    }
    let hasWaited = false;
    try {
      let names = typeof ofAll === "function" ? ofAll(request) : ofAll;
      if (isPromise(names)) {
        hasWaited = true;
        names = await names;
      }
      let given = typeof options === "function" ? options(request) : options;
      if (isPromise(given)) {
        hasWaited = true;
        given = await given;
      }
      return await session.subscribe(names, given);
    } catch (error) {
      if (hasWaited && isLate(error, session)) return false;
      throw error;
    }
  };
}

/** Whether the request was answered elsewhere, or its client left, while a function was waiting. */
function isLate(error: unknown, { closeReason }: RouteSession): boolean {
  if (error instanceof SseError) return error.code === "ERR_SSE_HEADERS_SENT";
  return closeReason !== undefined && error instanceof Error && error.name === "AbortError";
}

function isPromise<Value>(value: Value | PromiseLike<Value>): value is PromiseLike<Value> {
  return typeof (value as Partial<PromiseLike<Value>> | null | undefined)?.then === "function";
}
