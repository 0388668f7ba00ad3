/** Types of the events that a stream carries, taken from the server's channels. For the compiler only. */

/** Constraint on channel maps: each channel has an object of events. Both types and interfaces qualify. */
export type ChannelsOf<Channels> = { readonly [Name in keyof Channels]: object };

/** Any channel with any event: the channels of a stream that has no types. */
export type AnyChannels = Record<string, Record<string, unknown>>;

/** The events of all channels: a union with a member for each channel. */
type EventsOf<Channels> = Channels[keyof Channels];

/** The event types of all channels. `message` stands for events without a type. */
export type EventType<Channels> = NamesIn<EventsOf<Channels>>;

type NamesIn<Events> = Events extends unknown ? keyof Events & string : never;

/** The data of an event type as a client receives it; a union if several channels have the event. */
export type EventData<Channels, Type extends string> = DataIn<EventsOf<Channels>, Type>;

type DataIn<Events, Type extends string> = Events extends unknown
  ? Type extends keyof Events
    ? Received<Events[Type]>
    : never
  : never;

/**
 * Data after its journey as JSON: a `Date` arrives as its string, and methods do not arrive.
 */
export type Received<Data> = Data extends string | number | boolean | null | undefined
  ? Data
  : Data extends { toJSON(): infer Value }
    ? Received<Value>
    : Data extends symbol | ((...args: never[]) => unknown)
      ? never
      : Data extends object
        ? { [Key in keyof Data]: Received<Data[Key]> }
        : Data;

/** The channels of a stream with `json: false`, on which all data is a string. */
export type AsStrings<Channels> = {
  [Name in keyof Channels]: { [Type in keyof Channels[Name]]: string };
};
