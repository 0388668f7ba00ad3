/** Options and items of `read`, and their checks. */

import { describeValue } from "../errors.js";
import type { ResetReason } from "../wire/frame.js";
import type { ChannelsOf } from "./channels.js";
import { checkName, invalidOption, unexpected } from "./check.js";

/** Options of `hub.read` and `reader.read`. */
export interface ReadOptions {
  /**
   * Id of the last event that the caller has, or a position from `position()`: reading continues after it. Any text is
   * accepted, including an id from a client; if it is not a position of this log, or too old, the first item is a
   * reset. `""`, the `lastEventId` of a client that has none, counts as absent.
   *
   * @defaultValue the tail of the log at the time of the call, or once the log has started
   */
  readonly after?: string | undefined;
  /**
   * How many retained events of each channel come first, oldest first, without `after`. At most the newest 10 000 of
   * all channels together. With `after`, the missed events come instead.
   *
   * @defaultValue `0`
   */
  readonly latest?: number | undefined;
  /**
   * Ends reading when it aborts, as `break` does: the loop ends without an error.
   *
   * @defaultValue never
   */
  readonly signal?: AbortSignal | undefined;
}

/** An event of the log. */
export interface ReadEvent<
  Name extends string = string,
  Type extends string = string,
  Data = unknown,
> {
  readonly type: "event";
  /** Its id: a position after which reading can continue. */
  readonly id: string;
  readonly channel: Name;
  /** Event type; `"message"` if it was published without one. */
  readonly event: Type;
  /**
   * The published data. Strings come back with each line break as LF; other data went through `serialize` and comes back
   * through `deserialize`: with the defaults, a `Date` is a string then. If `deserialize` throws, `data` is the text
   * itself, and the error goes to `onError`.
   */
  readonly data: Data;
}

/** Events before this position may be missing. Load the state again if it was built from earlier events. */
export interface ReadReset<Name extends string = string> {
  readonly type: "reset";
  /** As in the event `sse-reset`. */
  readonly reason: ResetReason;
  /** All channels that are read. */
  readonly channels: readonly Name[];
  /** Position from which reading continues. */
  readonly id: string;
}

/** An item that `read` yields. */
export type ReadItem<Channels extends ChannelsOf<Channels>, Name extends keyof Channels & string> =
  | ReadReset<Name>
  | (Name extends unknown ? EventOf<Name, Channels[Name]> : never);

type EventOf<Name extends string, Events> = string extends keyof Events
  ? ReadEvent<Name>
  : { [Type in keyof Events & string]: ReadEvent<Name, Type, Events[Type]> }[keyof Events & string];

/**
 * Checks the options of `read`.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function checkReadOptions(options: unknown): asserts options is ReadOptions {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(
      `Expected the options of read() to be an object, got ${describeValue(options)}`,
    );
  }
  for (const name of Object.keys(options)) checkName(name, ["after", "latest", "signal"]);
  const { after, latest, signal } = options as { [Name in keyof ReadOptions]: unknown };
  if (after !== undefined && typeof after !== "string")
    throw unexpected("after", "a string", after);
  checkLatest(latest);
  const isSignal = typeof (signal as Partial<AbortSignal> | null)?.addEventListener === "function";
  if (signal !== undefined && !isSignal) throw unexpected("signal", "an AbortSignal", signal);
}

/**
 * Checks a number of past events.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` unless it is `undefined` or a whole number that is not negative.
 */
export function checkLatest(latest: unknown): void {
  if (latest === undefined || (Number.isSafeInteger(latest) && (latest as number) >= 0)) return;
  throw unexpected("latest", "a whole number >= 0", latest);
}
