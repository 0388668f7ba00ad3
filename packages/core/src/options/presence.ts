/** The option `presence`, the channels that show who is present, and their events. */

import type { SseError } from "../errors.js";
import { checkName, invalidOption, milliseconds, unexpected } from "./check.js";

/**
 * Makes a hub know which identities are subscribed to its channels, on all nodes. A session counts from the moment when
 * its stream is open and subscribed. Clients without an identity do not count.
 */
export interface PresenceOptions {
  /**
   * Whether it is kept for a channel. Each identity that joins or leaves one of these costs an entry of the log, so leave
   * out channels that everybody is on. Must return the same for a channel each time, on all nodes.
   *
   * @defaultValue all channels
   */
  readonly channels?: ((channel: string) => boolean) | undefined;
  /**
   * How long an identity stays present after the last of its streams has closed, in milliseconds, so that a reload or a
   * reconnection does not show: `@tidewire/client` may wait twice the `reconnectionTimeMs`. After `unsubscribe` it
   * leaves at once.
   *
   * @defaultValue `10_000`
   */
  readonly lingerMs?: number | undefined;
  /**
   * How long the identities of a node stay present after the node was heard from, in milliseconds, if it dies without
   * closing its hub. A node with present identities adds one entry to the log in each third of this. At least 3 000. Not
   * used with `memoryLog()`.
   *
   * @defaultValue `30_000`
   */
  readonly leaseMs?: number | undefined;
}

/** Options of `presence` with all defaults filled in. */
export type ResolvedPresenceOptions = {
  readonly [Name in keyof PresenceOptions]-?: Exclude<PresenceOptions[Name], undefined>;
};

/** Defaults of the option `presence`. */
export const PRESENCE_DEFAULTS: ResolvedPresenceOptions = Object.freeze({
  channels: () => true,
  lingerMs: 10_000,
  leaseMs: 30_000,
});

/** Name of the channel that shows who is present on another. Sessions subscribe to it; `publish` refuses it. */
export type PresenceChannel<Name extends string = string> = `~presence:${Name}`;

/** A channel, or the one that shows who is present there. */
export type Subscribed<Name extends string> = Name | PresenceChannel<Name>;

/** Data of the events of a {@link PresenceChannel}. */
export interface PresentIdentities<Name extends string = string> {
  /** The channel whose sessions these are: without `~presence:`. */
  readonly channel: Name;
  readonly identities: readonly string[];
}

/**
 * Events of a {@link PresenceChannel}, for the channel types of a client:
 *
 * ```ts
 * connect<Channels & { presence: PresenceEvents }>("/events").on("presence-join", ({ identities }) => …);
 * ```
 */
export interface PresenceEvents<Name extends string = string> {
  /**
   * All identities that are present: replaces everything known before. The first event after each `subscribe`, on each
   * stream, and after each reset. The rest of a long list follows as `presence-join`.
   */
  presence: PresentIdentities<Name>;
  /** These are present now. Some may have been known before: apply it to a set. */
  "presence-join": PresentIdentities<Name>;
  /** These are absent now. Some may not have been known. */
  "presence-leave": PresentIdentities<Name>;
}

/** Before the name of a channel: the channel that shows who is present there. */
const PREFIX = "~presence:";

/** @returns The channel that shows who is present on another. */
export function presenceOf(channel: string): string {
  return PREFIX + channel;
}

/** @returns The channel whose presence a channel shows; `undefined` if it is an ordinary one. */
export function shownBy(channel: string): string | undefined {
  return channel.startsWith(PREFIX) ? channel.slice(PREFIX.length) : undefined;
}

/** @returns The channel that decides who may subscribe: for a presence channel, the one that it shows. */
export function subjectOf(channel: string): string {
  return shownBy(channel) ?? channel;
}

/** @returns The error for a channel of which the hub does not know who is present. */
export function notKept(channel: string): SseError {
  return invalidOption(
    `Expected the option \`presence\` to include the channel ${JSON.stringify(channel)}`,
  );
}

/** @returns The expectation for the error message; `undefined` if the value is valid. */
export function checkPresence(value: unknown): string | undefined {
  if (typeof value === "boolean") return undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return "true, false or { channels, lingerMs, leaseMs }";
  }
  for (const name of Object.keys(value)) {
    checkName(name, Object.keys(PRESENCE_DEFAULTS), "presence");
  }
  const { channels, lingerMs, leaseMs } = value as { [Name in keyof PresenceOptions]?: unknown };
  const isFunction = channels === undefined || typeof channels === "function";
  const expected = {
    channels: isFunction ? undefined : "a function",
    lingerMs: lingerMs === undefined ? undefined : milliseconds(0, lingerMs),
    leaseMs: leaseMs === undefined ? undefined : milliseconds(3_000, leaseMs),
  };
  for (const [name, expectation] of Object.entries(expected)) {
    if (expectation === undefined) continue;
    throw unexpected(`presence.${name}`, expectation, (value as Record<string, unknown>)[name]);
  }
  return undefined;
}
