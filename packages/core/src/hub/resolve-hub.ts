/** Finds an adapter's hub: the one it was given, or a new one. */

import { describeValue } from "../errors.js";
import { invalidOption } from "../options/check.js";
import { HUB, checkOptionNames } from "../options/hub.js";
import type { HubOptions } from "../options/hub.js";
import type { ExchangeOf, NodeRequest } from "../http/exchange.js";
import type { ChannelsOf, RegisteredChannels } from "../options/channels.js";
import { createHub } from "./hub.js";
import type { Hub } from "./hub.js";

/**
 * A hub with any channel types: what an adapter accepts, because it does not publish.
 *
 * @typeParam Request - Type of the adapter's requests, which the hub must accept.
 */
export interface AnyHub<Request = never> extends Pick<
  Hub,
  "close" | "closeServer" | "handlePreflight" | "sessionCount" | "stats"
> {
  /** As `createSession` of {@link Hub}. */
  createSession(exchange: ExchangeOf<Request>): object;
}

/**
 * Returns the hub passed to an adapter, or creates one from its options.
 *
 * @param options - Options of a new hub, or `{ hub }` alone.
 * @param others - The adapter's own option names, used for suggestions: the caller may have meant one of them.
 * @returns The hub.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid, or is given together with `hub`.
 */
export function resolveHub<
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
  Request = NodeRequest,
>(
  options:
    | (HubOptions<Channels, Request> & { readonly hub?: undefined })
    | { readonly hub: AnyHub<Request> },
  others: readonly string[] = [],
): Hub<Channels, Request> {
  if (isHub(options)) throw invalidOption("Expected options, got a hub: pass it as { hub }");
  if (options !== undefined) checkOptionNames(options, [...others, "hub"]);
  const { hub, ...rest } = (options ?? {}) as HubOptions<Channels, Request> & {
    readonly hub?: unknown;
  };
  if (hub === undefined) {
    const isNamed = typeof options === "object" && options !== null && "hub" in options;
    return createHub<Channels, Request>(isNamed ? rest : options);
  }
  if (!isHub(hub)) {
    throw invalidOption(`Expected \`hub\` to be a hub from createHub(), got ${describeValue(hub)}`);
  }
  if (Object.keys(rest).length > 0) {
    throw invalidOption("Expected no option beside `hub`: pass the options to createHub()");
  }
  return hub as object as Hub<Channels, Request>;
}

function isHub(value: unknown): value is AnyHub {
  return typeof value === "object" && value !== null && HUB in value;
}
