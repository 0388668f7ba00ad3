/** Types of channels, for the compiler alone: which there are, their events and the data of these. */

import type { SseMessage } from "../wire/message.js";

/**
 * The channels of the application, for the compiler alone. Empty until the application says what they are:
 *
 * ```ts
 * declare module "@tidewire/core" {
 *   interface Register {
 *     channels: { news: { headline: { title: string } }; [user: `user:${string}`]: { mail: { from: string } } };
 *   }
 * }
 * ```
 *
 * From then on every hub, session and publisher that names no channels of its own has these: a name, an event or data that
 * is not among them does not compile in `subscribe`, `unsubscribe`, `snapshot`, `publish`, `channel` and `authorize`. A
 * program with several hubs gives each its own by a type argument, as in `createHub<Channels>()`.
 */
export interface Register {}

/** The channels in {@link Register}; any channel with any event if there are none. */
export type RegisteredChannels = Register extends { readonly channels: infer Channels }
  ? Channels extends ChannelsOf<Channels>
    ? Channels
    : { "Expected each channel in `Register` to have an object of events": object }
  : ChannelMap;

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
export type ChannelMessage<Events> = Events extends unknown
  ? string extends keyof Events
    ? SseMessage | string
    : | { [Type in keyof Events & string]: TypedMessage<Type, Events[Type]> }[keyof Events & string]
      | ("message" extends keyof Events
          ? string extends Events["message"]
            ? string
            : never
          : never)
  : never;

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
