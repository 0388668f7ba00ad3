/** Types of channels: for the compiler, and `hub.channel(name)`. */

import type { PublishOptions } from "../log/log.js";
import type { SseMessage } from "../wire/message.js";

/**
 * Names of channels with the types of their events and the data of these: for the compiler alone.
 *
 * A name may be a template, such as `` `user:${string}` ``. The event type `message` is that of events
 * without one.
 */
export type ChannelMap = Record<string, Record<string, unknown>>;

/** What a map of channels has to be: each channel has its events. A type or an interface. */
export type ChannelsOf<Channels> = { readonly [Name in keyof Channels]: object };

/** Events of a channel, as they are published. */
export type ChannelMessage<Events> = string extends keyof Events
  ? SseMessage | string
  : | { [Type in keyof Events & string]: TypedMessage<Type, Events[Type]> }[keyof Events & string]
    | ("message" extends keyof Events
        ? string extends Events["message"]
          ? string
          : never
        : never);

type TypedMessage<Type extends string, Data> = {
  /** The event's data. */
  readonly data: Data;
  /** Reconnection time in milliseconds. */
  readonly retry?: number | undefined;
} & (Type extends "message"
  ? { readonly event?: "message" | undefined }
  : {
      /** Event type. */
      readonly event: Type;
    });

/** What `publish` gives. */
export interface Published {
  /** Id of the event: what a client that has received it reports as its last event ID. */
  readonly id: string;
}

/** One channel of a hub: `hub.channel(name)`. */
export interface Channel<Events = Record<string, unknown>> {
  /** Its name. */
  readonly name: string;
  /** Sessions of this process that are subscribed now. */
  readonly subscriptionCount: number;
  /** As `hub.publish`, on this channel. */
  publish(message: ChannelMessage<Events>, options?: PublishOptions): Promise<Published>;
}
