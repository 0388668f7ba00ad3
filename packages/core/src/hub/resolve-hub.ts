/** Finds the hub of an adapter: the one it was given, or a new one. */

import { describeValue } from "../errors.js";
import { invalidOption } from "../options/check.js";
import type { HubOptions } from "../options/hub.js";
import type { Exchange } from "../http/exchange.js";
import type { Session } from "../session/session.js";
import type { ChannelMap, ChannelsOf } from "./channel.js";
import { HUB, createHub } from "./hub.js";
import type { Hub } from "./hub.js";

/** A hub whatever its channels are: what an adapter takes, and what does not publish. */
export interface AnyHub extends Pick<Hub, "close" | "handlePreflight" | "sessionCount" | "stats"> {
  /** As {@link Hub.createSession}. */
  createSession(exchange: Exchange): Session;
}

/**
 * Gives the hub that an adapter was told to use, or makes one of its options.
 *
 * @param options - Options of a new hub, or `{ hub }` alone.
 * @returns The hub.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid, or stands beside `hub`.
 */
export function resolveHub<Channels extends ChannelsOf<Channels> = ChannelMap>(
  options: (HubOptions & { readonly hub?: undefined }) | { readonly hub: AnyHub },
): Hub<Channels> {
  if (isHub(options)) throw invalidOption("Expected options, got a hub: pass it as { hub }");
  const { hub, ...rest } = (options ?? {}) as HubOptions & { readonly hub?: unknown };
  if (hub === undefined) {
    const isNamed = typeof options === "object" && options !== null && "hub" in options;
    return createHub<Channels>(isNamed ? rest : options);
  }
  if (!isHub(hub)) {
    throw invalidOption(`Expected \`hub\` to be what createHub() gives, got ${describeValue(hub)}`);
  }
  if (Object.keys(rest).length > 0) {
    throw invalidOption("Expected no option beside `hub`: pass the options to createHub()");
  }
  return hub as AnyHub as Hub<Channels>;
}

function isHub(value: unknown): value is AnyHub {
  return typeof value === "object" && value !== null && HUB in value;
}
