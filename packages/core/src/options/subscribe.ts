/** Checks what `session.subscribe` and `publish` are given. */

import { SseError, describeValue } from "../errors.js";
import { detach } from "../log/detach.js";
import type { ChannelMessage } from "./channels.js";
import { checkName, invalidOption } from "./check.js";
import type { OpenOptions } from "./open.js";

/** Messages that make up a state: events of the channels, sent without ids. */
export type SnapshotMessages<Events = Record<string, unknown>> =
  // Named beside iterables so that the compiler points at the one message that is wrong.
  readonly ChannelMessage<Events>[] | Iterable<ChannelMessage<Events>>;

/** Options of `session.subscribe`. */
export interface SubscribeOptions<Events = Record<string, unknown>> {
  /**
   * How many retained events of each of these channels a client gets that comes without a last event ID, oldest first: at
   * most 10 000 of one call, the newest. A client that resumes gets what it missed instead.
   *
   * They are as old as the hub's `retention` allows, also on a process that has just started: such a one reads them from the
   * log once, for all clients that ask, and the stream waits for that.
   *
   * @defaultValue `0`
   */
  readonly latest?: number | undefined;
  /**
   * Returns the state that the events of these channels change. Called for a client that comes without a last event ID
   * and again after each reset. The messages are sent before anything published after the call, so that state and changes
   * fit together. If it throws, the session closes with `error` and the client comes back after 5 to 30 seconds.
   */
  readonly snapshot?:
    | (() => SnapshotMessages<Events> | PromiseLike<SnapshotMessages<Events>>)
    | undefined;
  /**
   * How the stream opens once the client may subscribe: an `open()` before the call would send the head before
   * `authorize` can refuse. Not on a stream that is open already.
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
  if (latest !== undefined && !(Number.isSafeInteger(latest) && latest >= 0)) {
    throw invalidOption(
      `Expected \`latest\` to be a whole number >= 0, got ${describeValue(latest)}`,
    );
  }
  if (snapshot !== undefined && typeof snapshot !== "function") {
    throw invalidOption(`Expected \`snapshot\` to be a function, got ${describeValue(snapshot)}`);
  }
}

/**
 * Checks what a snapshot has given.
 *
 * @throws {SseError} `ERR_SSE_INVALID_DATA` if it is not an iterable of messages. A string is one of characters.
 */
export function checkSnapshot(messages: unknown): void {
  if (typeof messages === "object" && messages !== null && Symbol.iterator in messages) return;
  throw new SseError(
    "ERR_SSE_INVALID_DATA",
    `Expected \`snapshot\` to give an iterable of messages, such as an array, got ${describeValue(messages)}`,
  );
}

/** Channels with this prefix are reserved: control entries between processes travel on them. */
const RESERVED_CHANNEL_PREFIX = "~";

/**
 * Checks the name of a channel, or several.
 *
 * @returns The names, each once, to keep: they share no memory with what they may have been cut from.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` as {@link checkChannel}, or if there is no name.
 */
export function checkChannels(channels: string | readonly string[]): string[] {
  const names = Array.isArray(channels) ? (channels as readonly unknown[]) : [channels];
  if (names.length === 0) throw invalidOption("Expected a channel, got an empty array");
  const checked = names.map((name) => {
    checkChannel(name);
    return detach(name);
  });
  return checked.length === 1 ? checked : [...new Set(checked)];
}

/**
 * Checks the name of a channel.
 *
 * @param name - What the caller gave: anything.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it is no string of 1 to 256 characters, or begins with `~`.
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
