import { connect } from "@tidewire/client";
import type { EventStream, Reset, Status } from "@tidewire/client";

/** Channels as a server declares them, with data that changes on its way. */
export type Channels = {
  news: { headline: { title: string; urgent?: boolean }; correction: string };
  prices: { message: { symbol: string; cents: number } };
  clock: { message: Date; tick: { at: Date; toText(): string } };
  [user: `user:${string}`]: { mail: { from: string }; correction: number; logout: null };
};

export function accepted(): EventStream<Channels> {
  const stream = connect<Channels>("https://app.example/events", { lastEventId: "1", json: true });
  const remove: () => void = stream.on("headline", ({ title, urgent = false }, event) => {
    const texts: string[] = [title, event.text, event.lastEventId, event.data.title];
    const type: "headline" = event.type;
    void [texts, type, urgent];
  });
  remove();
  // An event of several channels has a union of their data.
  stream.on("correction", (data) => {
    const either: string | number = data;
    void either;
  });
  // A `Date` arrives as its string, and methods stay behind.
  stream.on("message", (data) => {
    const either: string | { symbol: string; cents: number } = data;
    void either;
  });
  stream.on("tick", ({ at }) => void at.startsWith("2026"));
  stream.on("logout", (nothing: null) => void nothing);
  stream.onReset(({ reason, channels }) => void [reason.length, channels.join()]);
  stream.onStatus((status: Status) => {
    if (status.state === "waiting") void [status.retryAt.toFixed(), status.reason === "stalled"];
    if (status.state === "closed" && status.reason === "unauthorized") void status.error;
  });
  stream.lastEventId = stream.lastEventId.toLowerCase();
  return stream;
}

export async function loop(stream: EventStream<Channels>): Promise<void> {
  for await (const event of stream) {
    if (event.type === "headline") void event.data.title.length;
    else if (event.type === "mail") void event.data.from.length;
    else if (event.type === "sse-reset") void (event.data satisfies Reset).channels;
  }
}

export function strings(): void {
  const stream = connect<Channels>("https://app.example/events", { json: false });
  stream.on("headline", (data) => void data.toUpperCase());
  stream.on("correction", (data) => void data.toUpperCase());
}

export function untyped(): void {
  const stream = connect("https://app.example/events");
  stream.on("anything", (data: unknown, { type }) => void [data, type.length]);
}

/** Calls that must not compile; never run. */
export function refused(stream: EventStream<Channels>): void {
  // @ts-expect-error -- There is no such event.
  stream.on("headlines", () => {});
  // @ts-expect-error -- A channel is no event.
  stream.on("news", () => {});
  // @ts-expect-error -- Not without a channel that has it.
  stream.on("sse-cursor", () => {});
  // @ts-expect-error -- There is no such field.
  stream.on("headline", ({ titel }) => void titel);
  // @ts-expect-error -- Data of another type.
  stream.on("headline", ({ title }) => void title.toFixed());
  // @ts-expect-error -- A date does not survive.
  stream.on("tick", ({ at }) => void at.getTime());
  // @ts-expect-error -- Nor does a method.
  stream.on("tick", ({ toText }) => void toText());
  // @ts-expect-error -- It may be a number.
  stream.on("correction", (data) => void data.toUpperCase());
  // @ts-expect-error -- There is no such option.
  connect<Channels>("", { heartbeat: 5 });
  // @ts-expect-error -- An option of another type.
  connect<Channels>("", { heartbeatMs: true });
  // @ts-expect-error -- Channels have events.
  connect<{ news: string }>("");
  // @ts-expect-error -- The status is read only.
  stream.status = { state: "open" };
}
