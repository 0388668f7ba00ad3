import type { Channel, Hub } from "@tidewire/core";

/** Channels of an application, each with the data published on it. */
export interface Price {
  readonly symbol: string;
  readonly cents: number;
}

// A type; an interface works as well.
export type Channels = {
  news: { headline: { title: string; urgent?: boolean }; correction: string };
  prices: { message: Price };
  chat: { message: string; typing: null };
  clock: { message: Date };
  [user: `user:${string}`]: { mail: { from: string }; logout: undefined | null };
  [room: `room:${number}:${"in" | "out"}`]: { message: number };
};

/** Typed publishes that must compile and run. */
export async function publishTyped(hub: Hub<Channels>, name: string): Promise<string[]> {
  const published = [
    await hub.publish("news", { event: "headline", data: { title: "a" } }),
    await hub.publish("news", { event: "headline", data: { title: "a", urgent: true }, retry: 5 }),
    await hub.publish("news", { event: "correction", data: "b" }),
    // The event type `message` need not be named.
    await hub.publish("prices", { data: { symbol: "X", cents: 1 } }),
    await hub.publish("prices", { event: "message", data: { symbol: "X", cents: 1 } }),
    await hub.publish("prices", { event: undefined, data: { symbol: "X", cents: 1 } }),
    // A string is short for a message with that data, if data may be a string.
    await hub.publish("chat", "hello"),
    await hub.publish("chat", { data: "hello" }),
    await hub.publish("chat", { event: "typing", data: null }),
    await hub.publish("clock", { data: new Date(0) }),
    await hub.publish("user:1", { event: "mail", data: { from: "a" } }),
    await hub.publish(`user:${name}`, { event: "mail", data: { from: "a" } }),
    await hub.publish("room:1:in", { data: 5 }),
  ];
  const news: Channel<Channels["news"]> = hub.channel("news");
  published.push(await news.publish({ event: "correction", data: "c" }));
  const user = hub.channel(`user:${name}`);
  published.push(await user.publish({ event: "mail", data: { from: "b" } }));
  const count: number = user.subscriptionCount;
  return [...published.map(({ id }: { readonly id: string }) => id), `${news.name} ${count}`];
}

/** Untyped publishes that must compile: all data that can be encoded. */
export async function publishUntyped(hub: Hub, name: string): Promise<number> {
  const published = [
    await hub.publish("any", "text"),
    await hub.publish(name, { data: { any: [1, "x", null] } }),
    await hub.publish(`user:${name}`, { event: "any", data: new Date(0), retry: 1 }),
    await hub.channel(name).publish({ event: name, data: 1 }),
    await hub.channel("x").publish("text"),
  ];
  return published.length;
}

/** Calls that must not compile; never run. */
function refused(hub: Hub<Channels>, name: string): void {
  // @ts-expect-error -- There is no such channel.
  void hub.publish("sport", { event: "headline", data: { title: "a" } });
  // @ts-expect-error -- A name that is not known to the compiler may be that of no channel.
  void hub.publish(name, { event: "headline", data: { title: "a" } });
  // @ts-expect-error -- The template has a colon.
  void hub.publish("user1", { event: "mail", data: { from: "a" } });
  // @ts-expect-error -- Neither in nor out.
  void hub.publish("room:1:up", { data: 5 });
  // @ts-expect-error -- No number.
  void hub.publish("room:one:in", { data: 5 });
  // @ts-expect-error -- There is no such event.
  void hub.publish("news", { event: "headlines", data: { title: "a" } });
  // @ts-expect-error -- That is an event of another channel.
  void hub.publish("news", { event: "mail", data: { from: "a" } });
  // @ts-expect-error -- Data of another type.
  void hub.publish("news", { event: "headline", data: { title: 5 } });
  // @ts-expect-error -- Data of another event of this channel.
  void hub.publish("news", { event: "headline", data: "b" });
  // @ts-expect-error -- A property that is misspelt.
  void hub.publish("news", { event: "headline", data: { title: "a", urgnet: true } });
  // @ts-expect-error -- No data.
  void hub.publish("news", { event: "headline" });
  // @ts-expect-error -- No event type, and the channel has no `message`.
  void hub.publish("news", { data: { title: "a" } });
  // @ts-expect-error -- A string is a message, which this channel has not.
  void hub.publish("news", "text");
  // @ts-expect-error -- A string is no price.
  void hub.publish("prices", "text");
  // @ts-expect-error -- The log gives the id.
  void hub.publish("prices", { id: "1", data: { symbol: "X", cents: 1 } });
  // @ts-expect-error -- There is no such channel.
  void hub.channel("sport");
  // @ts-expect-error -- Data of another type.
  void hub.channel("prices").publish({ data: { symbol: "X", cents: "1" } });
  // @ts-expect-error -- Data of another type on a channel of a template.
  void hub.channel("user:1").publish({ event: "mail", data: { form: "a" } });
}
void refused;
