/** Types of channels, their events and data. For the compiler only. */

import type { SseMessage } from "../wire/message.js";

/**
 * The channels of the application, for the compiler only. Empty until the application declares them:
 *
 * ```ts
 * declare module "@tidewire/core" {
 *   interface Register {
 *     channels: { news: { headline: { title: string } }; [user: `user:${string}`]: { mail: { from: string } } };
 *   }
 * }
 * ```
 *
 * Afterwards every hub, session and publisher without channel types of its own uses these: an undeclared channel, event
 * or data type does not compile in `subscribe`, `unsubscribe`, `snapshot`, `publish`, `channel` and `authorize`. A
 * program with several hubs gives each its own channels as a type argument: `createHub<Channels>()`.
 */
export interface Register {}

/** The channels in {@link Register}; any channel with any event if there are none. */
export type RegisteredChannels = Register extends { readonly channels: infer Channels }
  ? Channels extends ChannelsOf<Channels>
    ? Channels
    : { "Expected each channel in `Register` to have an object of events": object }
  : ChannelMap;

/**
 * Channel names with the types of their events and data, for the compiler only.
 *
 * A name may be a template, such as `` `user:${string}` ``. The event type `message` stands for events without a type.
 */
export type ChannelMap = Record<string, Record<string, unknown>>;

/** Constraint on channel maps: each channel has an object of events. Both types and interfaces qualify. */
export type ChannelsOf<Channels> = { readonly [Name in keyof Channels]: object };

/** Messages that can be published on a channel. */
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
