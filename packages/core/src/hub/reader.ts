/** Reads the log in processes without sessions. */

import { LogStart } from "../delivery/log-start.js";
import type { Log, LogHealth } from "../log/log.js";
import type { ChannelsOf, RegisteredChannels } from "../options/channels.js";
import { checkName, invalidOption } from "../options/check.js";
import { resolveOptions } from "../options/hub.js";
import type { HubOptions } from "../options/hub.js";
import type { ReadItem, ReadOptions } from "../options/read.js";
import { KeepAlive } from "./keep-alive.js";
import type { EventReading } from "./reading.js";
import { Readings } from "./readings.js";
import { reportTo } from "./report.js";

const OPTIONS = ["log", "deserialize", "retention", "maxEventBytes", "onError"];

/** Options of `createReader`. */
export interface ReaderOptions extends Pick<
  HubOptions,
  "deserialize" | "retention" | "maxEventBytes" | "onError"
> {
  /** The log to read, which other processes publish to. */
  readonly log: Log;
}

/** Reads events in a process without sessions, such as a worker or a bot. */
export class Reader<Channels extends ChannelsOf<Channels> = RegisteredChannels> {
  readonly #log: Log;
  readonly #start: LogStart;
  readonly #readings: Readings<Channels>;
  /** A loop that waits for events is work: otherwise a program that only reads would end at once. */
  readonly #work = new KeepAlive();

  /** @internal Readers are made by {@link createReader}. */
  constructor(log: Log, options: ReturnType<typeof resolveOptions>) {
    this.#log = log;
    this.#start = new LogStart(log, options, {
      counted: () => {},
      replayed: () => {},
      wasReset: () => {},
      isTimed: false,
      timed: () => {},
      translate: () => undefined,
      control: () => {},
      voided: () => {},
      report: (error, stage) => reportTo(options, error, stage),
    });
    this.#readings = new Readings(this.#start, options, (open) => this.#work.set(open > 0));
  }

  /**
   * Reads the events of channels, as `hub.read` does.
   *
   * @param channels - One or more names, each of 1 to 256 characters that do not begin with `~`.
   * @param options - Where to begin, and a `signal`.
   * @returns An async iterable.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a name or an option is invalid.
   */
  read<Name extends keyof Channels & string>(
    channels: Name | readonly Name[],
    options?: ReadOptions,
  ): EventReading<ReadItem<Channels, Name>> {
    return this.#readings.read(channels, options);
  }

  /**
   * Returns the tail of the log as this process knows it, as `hub.position` does.
   *
   * @returns The position. Rejects with `ERR_SSE_CLOSED` if the reader is closed.
   */
  position(): Promise<string> {
    return this.#readings.position();
  }

  /** Health of the log. */
  get health(): LogHealth {
    return this.#log.health();
  }

  /**
   * Ends every loop once it has what is there, and closes the log. Idempotent.
   *
   * @returns Never rejects.
   */
  close(): Promise<void> {
    this.#readings.close();
    this.#start.close();
    return this.#log.close();
  }
}

/**
 * Creates a reader, which starts to follow the log at once.
 *
 * @typeParam Channels - As for `createHub`.
 * @param options - The log, and how much of it is kept in memory.
 * @returns A reader. It keeps the process alive only while a loop is under way. Close it: a log may keep connections
 *   open.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid, or the log is `memoryLog()`.
 */
export function createReader<Channels extends ChannelsOf<Channels> = RegisteredChannels>(
  options: ReaderOptions,
): Reader<Channels> {
  for (const name of Object.keys(options ?? {})) checkName(name, OPTIONS);
  const resolved = resolveOptions(options);
  if (resolved.log === undefined) {
    throw invalidOption("Expected `log` to be the log to read, got undefined");
  }
  if (resolved.log.isLocal === true) {
    throw invalidOption(
      "Expected `log` to be one that other processes publish to, got memoryLog(): use hub.read()",
    );
  }
  return new Reader<Channels>(resolved.log, resolved);
}
