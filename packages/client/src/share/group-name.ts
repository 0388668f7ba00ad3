/** Which tabs share one stream. */

import type { Settings } from "../options.js";

/** Version of the messages: tabs that speak differently do not share. */
const VERSION = 1;

/**
 * Names the group of tabs that ask for the same stream: the same URL, and the same reader by the option `share` or by
 * the headers. The name is a digest, so that no token can be read from it.
 *
 * Rejects if the option `headers` does.
 */
export async function nameGroup(url: string, settings: Settings): Promise<string> {
  const { share, headers, credentials = "same-origin" } = settings;
  const given = typeof headers === "function" && share === true ? await headers() : headers;
  const reader = share === true ? Array.from(new Headers(given as never)) : share;
  const text = JSON.stringify([VERSION, url, credentials, reader]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0"));
  return `tidewire-${hex.join("")}`;
}
