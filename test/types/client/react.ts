import type { EventStream, Status } from "@tidewire/client";
import { useEvents, useStatus, useStream } from "@tidewire/client/react";
import type { StreamHandle } from "@tidewire/client/react";
import type { Channels } from "./accepted.js";

export function accepted(isVisible: boolean, lastEventId: string): Status {
  const stream: StreamHandle<Channels> = useStream<Channels>(isVisible ? "/events" : null, {
    lastEventId,
    headers: async () => ({ authorization: "x" }),
  });
  useEvents(
    stream,
    {
      headline({ title, urgent = false }, event) {
        const texts: string[] = [title, event.text, event.lastEventId, event.data.title];
        void [texts, urgent];
      },
      // An event of several channels has a union of their data.
      correction: (data: string | number) => void data,
      tick: isVisible ? ({ at }) => void at.startsWith("2026") : undefined,
    },
    {
      onReset: ({ channels }) => void channels.join(),
      onStatus: ({ state }) => void state.length,
    },
  );
  useEvents(useStream<Channels>({ href: "https://app.example/" }), {});
  return useStatus(stream);
}

export function passedOn(handle: StreamHandle<Channels>, stream: EventStream<Channels>): void {
  // The channels come with the stream, also with one of `connect`.
  useEvents(handle, { headline: ({ title }) => void title.length });
  useEvents(stream, { mail: ({ from }) => void from.length }, { onReset: () => {} });
  void [useStatus(handle).state, useStatus(stream).state];
  handle.on("headline", ({ title }) => void title.length);
  const isOpen: boolean = handle.reopen();
  void [isOpen, handle.lastEventId.length];
  handle.close();
}

export function strings(): void {
  const stream = useStream<Channels>("/events", { json: false });
  useEvents(stream, { headline: (data) => void data.toUpperCase() });
}

export function untyped(): void {
  useEvents(useStream("/events"), { anything: (data: unknown, { type }) => void [data, type] });
}

/** Calls that must not compile; never run. */
export function refused(stream: StreamHandle<Channels>): void {
  // @ts-expect-error -- There is no such event.
  useEvents(stream, { headlines: () => {} });
  // @ts-expect-error -- There is no such field.
  useEvents(stream, { headline: ({ titel }) => void titel });
  // @ts-expect-error -- A date does not survive.
  useEvents(stream, { tick: ({ at }) => void at.getTime() });
  // @ts-expect-error -- The options are those of the component that opened the stream.
  useEvents(stream, {}, { heartbeatMs: 5 });
  // @ts-expect-error -- There is no such option.
  useStream<Channels>("/events", { heartbeat: 5 });
  // @ts-expect-error -- Unmounting takes its place.
  useStream<Channels>("/events", { signal: undefined });
  // @ts-expect-error -- The URL is a property of the component.
  stream.reopen("/other");
  // @ts-expect-error -- Channels have events.
  useStream<{ news: string }>("/events");
}
