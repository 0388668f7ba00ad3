import { createReader } from "@tidewire/core";
import type { EventReading, Hub, Reader, ReadEvent, ReadItem, ReadReset } from "@tidewire/core";
import type { Channels, Price } from "./accepted.js";

/** Reads that must compile, and what they give. */
export async function readTyped(hub: Hub<Channels>, name: string): Promise<void> {
  for await (const item of hub.read(["news", "prices", `user:${name}`], { after: "e.1" })) {
    const id: string = item.id;
    void id;
    if (item.type === "reset") {
      const reset: ReadReset = item;
      const channels: readonly ("news" | "prices" | `user:${string}`)[] = item.channels;
      const reason: "trimmed" | "unknown" | "overflow" | "fork" = item.reason;
      // @ts-expect-error -- A reset is no event.
      void [reset, channels, reason, item.data];
      continue;
    }
    if (item.channel === "prices") {
      const event: "message" = item.event;
      const price: Price = item.data;
      // @ts-expect-error -- The channel has no such event.
      void [event, price, item.event === "headline"];
      continue;
    }
    if (item.channel === "news") {
      if (item.event === "headline") {
        const { title, urgent }: { title: string; urgent?: boolean } = item.data;
        void [title, urgent];
      } else {
        const event: "correction" = item.event;
        const text: string = item.data;
        void [event, text];
      }
      continue;
    }
    // The rest is the channels of the template.
    const user: `user:${string}` = item.channel;
    if (item.event === "mail") void item.data.from;
    else {
      const nothing: undefined | null = item.data;
      void nothing;
    }
    void user;
    // @ts-expect-error -- There is no such event.
    if (item.event === "headline") break;
  }
}

/** One channel, one event, and the names of the types. */
export async function readOne(hub: Hub<Channels>): Promise<Price | undefined> {
  const reading: EventReading<ReadItem<Channels, "prices">> = hub.read("prices", {
    latest: 1,
    signal: AbortSignal.timeout(5),
  });
  const { value } = await reading.next();
  const position: string | undefined = reading.position;
  void position;
  if (value?.type !== "event") return undefined;
  const event: ReadEvent<"prices", "message", Price> = value;
  return event.data;
}

/** Without a map everything is accepted, and data is unknown. */
export async function readUntyped(hub: Hub, name: string): Promise<void> {
  for await (const item of hub.read([name, "any"])) {
    if (item.type === "reset") continue;
    const { event, data }: { event: string; data: unknown } = item;
    // @ts-expect-error -- It has to be checked first.
    void [event, data, item.data.title];
  }
}

/** In a process without sessions; never run. */
function refused(hub: Hub<Channels>, name: string): void {
  const reader: Reader<Channels> = createReader<Channels>({ log: {} as never });
  void reader.read(["news", `user:${name}`], { latest: 5 });
  void reader.position().then((position: string) => position);
  // @ts-expect-error -- There is no such channel.
  void reader.read("sport");
  // @ts-expect-error -- A log is what it reads.
  createReader({});
  // @ts-expect-error -- It has no sessions.
  createReader({ log: {} as never, authorize: () => true });
  // @ts-expect-error -- There is no such channel.
  hub.read("sport");
  // @ts-expect-error -- One of them does not exist.
  hub.read(["news", "sport"]);
  // @ts-expect-error -- A name that is not known to the compiler may be that of no channel.
  hub.read(name);
  // @ts-expect-error -- The template has a colon.
  hub.read("user1");
  // @ts-expect-error -- There is no such option.
  hub.read("news", { since: "e.1" });
  // @ts-expect-error -- A position is a text.
  hub.read("news", { after: 5 });
  // @ts-expect-error -- Its position is not assigned.
  hub.read("news").position = "e.1";
}
void refused;
