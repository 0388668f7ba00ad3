/** Reading in server code, for hubs and for processes without sessions. */

import type { LogStart } from "../delivery/log-start.js";
import { SseError, rejectedWith } from "../errors.js";
import type { ChannelsOf } from "../options/channels.js";
import type { ResolvedOptions } from "../options/hub.js";
import { checkReadOptions } from "../options/read.js";
import type { ReadItem, ReadOptions } from "../options/read.js";
import { checkChannels } from "../options/subscribe.js";
import { startedOrHeld } from "./hold.js";
import { Reading } from "./reading.js";
import type { EventReading } from "./reading.js";
import { reportTo } from "./report.js";

/** The position of a process that has no position yet. Continuing from it leads to a reset. */
const NOWHERE = "~unknown";

/** The readings that share a signal. */
interface SignalReadings {
  readonly readings: Set<Reading>;
  readonly abort: () => void;
}

/** Everything in a process that reads the log in server code. */
export class Readings<Channels extends ChannelsOf<Channels>> {
  readonly #start: LogStart;
  readonly #options: Pick<ResolvedOptions, "deserialize" | "onError">;
  readonly #open: Set<Reading> = new Set();
  readonly #bySignal: Map<AbortSignal, SignalReadings> = new Map();
  readonly #changed: (open: number) => void;
  #isClosed = false;

  /** @param changed - Called with the number of loops under way when it has changed. */
  constructor(
    start: LogStart,
    options: Pick<ResolvedOptions, "deserialize" | "onError">,
    changed: (open: number) => void = () => {},
  ) {
    this.#start = start;
    this.#options = options;
    this.#changed = changed;
  }

  /** Number of loops under way. */
  get size(): number {
    return this.#open.size;
  }

  /** See `hub.read`. */
  read<Name extends keyof Channels & string>(
    channels: Name | readonly Name[],
    options: ReadOptions = {},
  ): EventReading<ReadItem<Channels, Name>> {
    const names = checkChannels(channels);
    checkReadOptions(options);
    const { after, latest = 0, signal } = options;
    // A client without a position reports an empty text: `session.lastEventId`.
    const from = { after: after === "" ? undefined : after, latest };
    const reading = new Reading(names, from, signal, {
      start: this.#start,
      deserialize: this.#options.deserialize,
      report: (error) => reportTo(this.#options, error, "log"),
      begun: (begun) => {
        if (this.#isClosed) begun.end();
        else this.#open.add(begun);
        this.#changed(this.#open.size);
        if (signal !== undefined) this.#listen(signal, begun);
      },
      over: (over) => {
        this.#open.delete(over);
        this.#changed(this.#open.size);
        if (signal !== undefined) this.#stopListening(signal, over);
      },
    });
    // The channel types exist only for the compiler.
    return reading as EventReading<unknown> as EventReading<ReadItem<Channels, Name>>;
  }

  /** See `hub.position`. */
  position(): Promise<string> {
    if (this.#isClosed) {
      return rejectedWith(
        new SseError("ERR_SSE_CLOSED", "The hub or reader is closed", { statusCode: 503 }),
      );
    }
    const start = this.#start;
    const position = (): string => start.delivery?.audience.window.tailId ?? NOWHERE;
    return start.isSettled ? Promise.resolve(position()) : startedOrHeld(start).then(position);
  }

  /** Many readings may share a signal, on which Node warns of more than ten listeners. */
  #listen(signal: AbortSignal, reading: Reading): void {
    const others = this.#bySignal.get(signal);
    if (others !== undefined) return void others.readings.add(reading);
    const readings = new Set([reading]);
    const abort = (): void => {
      for (const one of readings) one.abort();
    };
    this.#bySignal.set(signal, { readings, abort });
    signal.addEventListener("abort", abort);
  }

  #stopListening(signal: AbortSignal, reading: Reading): void {
    const own = this.#bySignal.get(signal);
    own?.readings.delete(reading);
    if (own === undefined || own.readings.size > 0) return;
    this.#bySignal.delete(signal);
    signal.removeEventListener("abort", own.abort);
  }

  /** Every loop ends once it has what is there. */
  close(): void {
    this.#isClosed = true;
    for (const reading of this.#open) reading.end();
  }
}
