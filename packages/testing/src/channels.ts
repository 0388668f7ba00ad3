/** Types of the events that a stream carries, taken from the application's channels. For the compiler only. */

import type { ChannelsOf } from "@tidewire/core";

/** The events of all channels: a union with a member for each channel. */
type EventsOf<Channels> = Channels[keyof Channels];

/** The event types of all channels. `message` stands for events without a type. */
export type EventType<Channels> = NamesIn<EventsOf<Channels>>;

type NamesIn<Events> = Events extends unknown ? keyof Events & string : never;

/** The data of an event type after its journey as JSON; a union if several channels have the event. */
export type EventData<Channels, Type extends string> = DataIn<EventsOf<Channels>, Type>;

type DataIn<Events, Type extends string> = Events extends unknown
  ? Type extends keyof Events
    ? Received<Events[Type]>
    : never
  : never;

/** Data after its journey as JSON: a `Date` arrives as its string, and methods do not arrive. */
export type Received<Data> = Data extends string | number | boolean | null | undefined
  ? Data
  : Data extends { toJSON(): infer Value }
    ? Received<Value>
    : Data extends symbol | ((...args: never[]) => unknown)
      ? never
      : Data extends object
        ? { [Key in keyof Data]: Received<Data[Key]> }
        : Data;

/** An event that a stream has received. */
export interface StreamEvent<Type extends string = string, Data = unknown> {
  /** Event type; `"message"` if the stream names none. */
  readonly event: Type;
  /** The data, parsed as JSON; the text itself if it is not JSON. */
  readonly data: Data;
  /** The data as it was sent. */
  readonly text: string;
  /** The event's own id; `undefined` if it has none. */
  readonly id: string | undefined;
  /** When it arrived, in milliseconds since the stream was opened. */
  readonly atMs: number;
}

/** The event of one type. */
export type EventOf<Channels, Type extends string> = Type extends string
  ? StreamEvent<Type, EventData<Channels, Type>>
  : never;

/** Any event of the channels. */
export type AnyEvent<Channels extends ChannelsOf<Channels>> = EventOf<
  Channels,
  EventType<Channels>
>;
