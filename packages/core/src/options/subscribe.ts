/** Options and arguments of `session.subscribe` and `publish`, and their checks. */

import { SseError, describeValue } from "../errors.js";
import { detach } from "../log/detach.js";
import type { ChannelMessage } from "./channels.js";
import { checkName, invalidOption } from "./check.js";
import type { OpenOptions } from "./open.js";
import { subjectOf } from "./presence.js";
import { checkLatest } from "./read.js";

/** Messages that make up a state: events of the channels, sent without ids. */
export type SnapshotMessages<Events = Record<string, unknown>> =
  // Listed besides iterables so that the compiler reports the one message that is wrong.
  readonly ChannelMessage<Events>[] | Iterable<ChannelMessage<Events>>;

/** Options of `session.subscribe`. */
export interface SubscribeOptions<Events = Record<string, unknown>> {
  /**
   * How many retained events of each of these channels a client gets if it has no last event ID, oldest first. At most
   * the newest 10 000 per call. A resuming client gets the events that it missed instead.
   *
   * They reach back as far as the hub's `retention` allows. A process that has just started reads them from the log,
   * once for all clients, and the stream waits for that.
   *
   * @defaultValue `0`
   */
  readonly latest?: number | undefined;
  /**
   * Returns the current state that events of these channels update. Called for a client without a last event ID, and
   * again after each reset. Its messages are sent before anything published after the call, so the client can apply
   * later events to this state. If it throws, the session closes with `error` and the client reconnects after 5 to 30
   * seconds.
   */
  readonly snapshot?:
    | (() => SnapshotMessages<Events> | PromiseLike<SnapshotMessages<Events>>)
    | undefined;
  /**
   * How the stream opens once the client may subscribe. Use this instead of calling `open()` first, which would send
   * the head before `authorize` can refuse. Not allowed on a stream that is already open.
   */
  readonly open?: OpenOptions | undefined;
}

/**
 * Checks the options of `session.subscribe`.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function checkSubscribeOptions(options: SubscribeOptions): void {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(
      `Expected the options of subscribe() to be an object, got ${describeValue(options)}`,
    );
  }
  for (const name of Object.keys(options)) {
    checkName(name, ["latest", "snapshot", "open"]);
  }
  const { latest, snapshot } = options;
  checkLatest(latest);
  if (snapshot !== undefined && typeof snapshot !== "function") {
    throw invalidOption(`Expected \`snapshot\` to be a function, got ${describeValue(snapshot)}`);
  }
}

/**
 * Checks the result of a snapshot function.
 *
 * @throws {SseError} `ERR_SSE_INVALID_DATA` unless it is an iterable of messages. A string iterates over characters.
 */
export function checkSnapshot(messages: unknown): void {
  if (typeof messages === "object" && messages !== null && Symbol.iterator in messages) return;
  throw new SseError(
    "ERR_SSE_INVALID_DATA",
    `Expected \`snapshot\` to return an iterable of messages, such as an array, got ${describeValue(messages)}`,
  );
}

/** Channels with this prefix are reserved: control entries between processes travel on them. */
const RESERVED_CHANNEL_PREFIX = "~";

/**
 * Checks one or more channel names.
 *
 * @param check - Checks each.
 * @returns The names, without duplicates, detached from strings that they may be slices of.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` as {@link checkChannel} does, or if there is no name.
 */
export function checkChannels(
  channels: string | readonly string[],
  check: (name: unknown) => asserts name is string = checkChannel,
): string[] {
  const names = Array.isArray(channels) ? (channels as readonly unknown[]) : [channels];
  if (names.length === 0) throw invalidOption("Expected a channel, got an empty array");
  const checked = names.map((name) => {
    check(name);
    return detach(name);
  });
  return checked.length === 1 ? checked : [...new Set(checked)];
}

/**
 * Checks a channel name.
 *
 * @param name - Value to check: anything.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` unless it is a string of 1 to 256 characters that does not begin with
 *   `~`.
 */
export function checkChannel(name: unknown): asserts name is string {
  if (typeof name !== "string" || name === "" || name.length > 256) {
    throw invalidOption(
      `Expected a channel to be a string of 1 to 256 characters, got ${describeValue(name)}`,
    );
  }
  if (!name.startsWith(RESERVED_CHANNEL_PREFIX)) return;
  throw invalidOption(
    `Expected a channel not to begin with "${RESERVED_CHANNEL_PREFIX}", which is reserved, got ${describeValue(name)}`,
  );
}

/**
 * Checks the name of a channel to subscribe to, which may be one that shows who is present.
 *
 * @param name - Value to check: anything.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` as {@link checkChannel} does.
 */
export function checkSubscribed(name: unknown): asserts name is string {
  checkChannel(typeof name === "string" ? subjectOf(name) : name);
}
