/** A whole route in one line: subscribes a request to channels. What the `sseHandler` of each framework is made of. */

import { SseError } from "../errors.js";
import { checkChannels, checkSubscribeOptions } from "../options/subscribe.js";
import type { SubscribeOptions } from "../options/subscribe.js";
import type { CloseReason } from "../session/session.js";

/** A value, or a function that gives it for a request, at once or later. */
export type OfRequest<Request, Value> = Value | ((request: Request) => Value | PromiseLike<Value>);

/** The channels of a route: one, several, or a function that gives them for a request. */
export type RouteChannels<Request, Name extends string = string> = OfRequest<
  Request,
  Name | readonly Name[]
>;

/** What a route passes to `subscribe` beside the channels, or a function that gives it for a request. */
export type RouteOptions<Request, Events = Record<string, unknown>> = OfRequest<
  Request,
  SubscribeOptions<Events> | undefined
>;

/** A session as far as a route needs it, whatever its channels are. */
export interface RouteSession {
  /** Why the session closed; `undefined` while it has not. */
  readonly closeReason: CloseReason | undefined;
  /** As that of every session. */
  subscribe(channels: string | readonly string[], options?: SubscribeOptions): Promise<boolean>;
}

/**
 * Subscribes one request.
 *
 * @param request - The request as the framework has it.
 * @param session - The request's own session; `undefined` if the framework has none for it.
 * @returns As `session.subscribe`. Rejects with what a function has thrown and with the errors of `subscribe`: they
 *   belong to the framework's error handler. Never throws.
 */
export type Route<Request> = (
  request: Request,
  session: RouteSession | undefined,
) => Promise<boolean>;

/**
 * Makes a route that subscribes each request.
 *
 * Without functions, and with functions that answer at once, `subscribe` is called in the turn of the request. `options`
 * is asked after `channels`, which may have refused the request.
 *
 * @param channels - Checked now if it is no function, otherwise for each request.
 * @param options - As `channels`.
 * @param expected - Completes "Expected …" in the error for a request without a session: what the application has to do.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if `channels` or `options` is invalid.
 */
export function createRoute<Request>(
  channels: RouteChannels<Request>,
  options: RouteOptions<Request>,
  expected: string,
): Route<Request> {
  // A copy: what the caller does with the array later does not change the route.
  const ofAll = typeof channels === "function" ? channels : checkChannels(channels);
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

/** While a function was waiting the request was answered by somebody else, or its client has left. */
function isLate(error: unknown, { closeReason }: RouteSession): boolean {
  if (error instanceof SseError) return error.code === "ERR_SSE_HEADERS_SENT";
  return closeReason !== undefined && error instanceof Error && error.name === "AbortError";
}

function isPromise<Value>(value: Value | PromiseLike<Value>): value is PromiseLike<Value> {
  return typeof (value as Partial<PromiseLike<Value>> | null | undefined)?.then === "function";
}
