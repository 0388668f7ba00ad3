/** Records what is published on a hub, for tests of code that publishes. */

import diagnosticsChannel from "node:diagnostics_channel";
import type { ChannelsOf, Hub, ReadEvent, ReadItem, ReadReset } from "@tidewire/core";
import { unexpected } from "@tidewire/core/adapter";
import { addDisposeSymbols } from "./dispose.js";
import { deadlineOf } from "./options.js";
import type { WaitOptions } from "./options.js";
import { StreamError, stackOf } from "./stream-error.js";
import { Transcript, excerpt } from "./transcript.js";
import { Waits } from "./waits.js";

addDisposeSymbols();

/** Deadline of a wait, in milliseconds. */
const WITHIN_MS = 3_000;

/** An event that was published. */
export interface PublishedEvent<
  Name extends string = string,
  Type extends string = string,
  Data = unknown,
> {
  /** The channel. */
  readonly channel: Name;
  /** Event type; `"message"` if it was published without one. */
  readonly event: Type;
  /** The data as it was given to `publish`, before it was serialized. */
  readonly data: Data;
  /** Its id in the log. */
  readonly id: string;
}

/** Events that can be published on one or several channels. */
export type PublishedOn<
  Channels extends ChannelsOf<Channels>,
  Name extends keyof Channels & string,
> =
  Exclude<ReadItem<Channels, Name>, ReadReset<Name>> extends infer Item
    ? Item extends ReadEvent<infer Channel, infer Type, infer Data>
      ? PublishedEvent<Channel, Type, Data>
      : never
    : never;

/** The record of what is published on a hub. */
export class PublishedRecord<Channels extends ChannelsOf<Channels>> {
  readonly #hub: unknown;
  readonly #events: PublishedOn<Channels, keyof Channels & string>[] = [];
  readonly #untaken: PublishedOn<Channels, keyof Channels & string>[] = [];
  readonly #ids = new Set<string>();
  readonly #transcript = new Transcript();
  readonly #waits = new Waits(
    (message, stack) =>
      new StreamError(message, { transcript: this.#transcript.toString(), stack }),
  );

  /** @internal Records are made by {@link recordPublished}. */
  constructor(hub: unknown) {
    this.#hub = hub;
    diagnosticsChannel.subscribe("tidewire.publish", this.#onPublish);
  }

  /** Every event so far, in the order in which the log has taken them. An awaited `publish` is in it. */
  get events(): readonly PublishedOn<Channels, keyof Channels & string>[] {
    return this.#events;
  }

  /**
   * Takes the next event that was not taken yet.
   *
   * @param channel - Name of a channel. Events of other channels stay for later calls. `undefined`: any channel.
   * @param options - A deadline; 3 000 ms by default.
   * @returns The event. Rejects with a {@link StreamError} at the deadline, with everything that was published.
   */
  async next<Name extends keyof Channels & string>(
    channel?: Name,
    options: WaitOptions = {},
  ): Promise<PublishedOn<Channels, Name>> {
    const where = channel === undefined ? "" : ` on "${channel}"`;
    return this.#waits.wait(
      {
        what: `published event${where}`,
        withinMs: deadlineOf(options, WITHIN_MS),
        look: () => {
          const isWanted = (one: { channel: string }): boolean =>
            channel === undefined || one.channel === channel;
          const at = this.#untaken.findIndex(isWanted);
          const [value] = at === -1 ? [] : this.#untaken.splice(at, 1);
          return value === undefined
            ? undefined
            : { value: value as unknown as PublishedOn<Channels, Name> };
        },
      },
      stackOf(this.next),
    );
  }

  /** Records no more. Idempotent. */
  stop(): void {
    diagnosticsChannel.unsubscribe("tidewire.publish", this.#onPublish);
  }

  /** Same as `stop`: `using published = recordPublished(hub)`. */
  [Symbol.dispose](): void {
    this.stop();
  }

  readonly #onPublish = (published: unknown): void => {
    const { hub, channel, id, message } = published as {
      hub: unknown;
      channel: string;
      id: string;
      message: string | { readonly event?: string; readonly data?: unknown };
    };
    // A `publish` that repeats a `dedupeKey` adds no event.
    if (hub !== this.#hub || this.#ids.has(id)) return;
    this.#ids.add(id);
    const { event = "message", data } = typeof message === "string" ? { data: message } : message;
    const text = typeof data === "string" ? data : (JSON.stringify(data) ?? "");
    this.#transcript.add(`${channel}: ${event} id=${id} ${excerpt(text)}`);
    // The channel types exist only for the compiler.
    const recorded = { channel, event, data, id } as unknown as PublishedOn<
      Channels,
      keyof Channels & string
    >;
    this.#events.push(recorded);
    this.#untaken.push(recorded);
    this.#waits.changed();
  };
}

/**
 * Records what this process publishes on a hub from now on. It changes nothing about the hub, and no stream has to be open.
 *
 * An event that the log has rejected is not recorded, and neither are events of other processes: `hub.read` has those.
 *
 * @param hub - The hub.
 * @returns The record. Stop it at the end of the test, or declare it with `using`.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it is not a hub.
 */
export function recordPublished<Channels extends ChannelsOf<Channels>>(
  hub: Hub<Channels>,
): PublishedRecord<Channels> {
  if (typeof hub?.publish !== "function" || typeof hub.read !== "function") {
    throw unexpected("hub", "a hub", hub);
  }
  return new PublishedRecord<Channels>(hub);
}
