/** The public surface of `@tidewire/client/react`: hooks that open a stream, follow its events and show its status. */

"use client";

import { useEffect, useInsertionEffect, useRef, useState, useSyncExternalStore } from "react";
import type { AnyChannels, AsStrings, ChannelsOf, EventData, EventType } from "./channels.js";
import type { EventStream, Reset, StreamEvent } from "./event-stream.js";
import type { ConnectOptions } from "./options.js";
import type { Status } from "./status.js";
import { createStreamHandle, firstStatusOf } from "./stream-handle.js";
import type { StreamHandle } from "./stream-handle.js";
import type { StreamUrl } from "./stream-request.js";

export type { StreamHandle } from "./stream-handle.js";
export type { StreamUrl } from "./stream-request.js";

/**
 * Options of {@link useStream}: those of `connect`. Functions may be new in each render: the newest one is called.
 *
 * `lastEventId` is the position from which the stream starts. If it changes, a new stream starts there.
 */
export interface UseStreamOptions extends Omit<ConnectOptions, "signal"> {}

/** Functions that are called with the events of a stream, by event type. `message` is for events without a type. */
export type EventHandlers<Channels> = {
  readonly [Type in EventType<Channels>]?: EventHandler<Channels, Type> | undefined;
};

/** Called with the data and the whole event. Without types of channels, the type of the event is any string. */
export type EventHandler<Channels, Type extends EventType<Channels>> = (
  data: EventData<Channels, Type>,
  event: StreamEvent<string extends EventType<Channels> ? string : Type, EventData<Channels, Type>>,
) => void;

/** Functions that {@link useEvents} calls beside those for the events. */
export interface EventCallbacks {
  /**
   * Called when events were missed: load the state that they lead to again.
   *
   * @defaultValue resets are ignored
   */
  readonly onReset?: ((reset: Reset, event: StreamEvent<"sse-reset", Reset>) => void) | undefined;
  /**
   * Called when the status of the stream changes, without a new render. {@link useStatus} renders again.
   *
   * @defaultValue not called
   */
  readonly onStatus?: ((status: Status) => void) | undefined;
}

/**
 * Opens a stream while the component is mounted. Nothing is opened on the server, or while React renders.
 *
 * - Another URL continues from the same position, as `EventStream.reopen` does: no event is lost in between. Another `key`
 *   of the component starts over.
 * - Another option opens a new stream from the same position. Options are compared by value, functions are not compared.
 * - `null` or `undefined` as the URL closes the stream. The next URL starts a new one.
 * - With any method but `GET`, another URL, method or body starts a new request.
 *
 * @param url - Where the stream is; in a page it may be relative.
 * @param options - See {@link UseStreamOptions}.
 * @returns The stream, for {@link useEvents} and {@link useStatus} here and in other components. The same object in every render.
 * @throws {TypeError} While effects run, if the URL is invalid, or if an option is unknown or invalid.
 */
export function useStream<Channels extends ChannelsOf<Channels> = AnyChannels>(
  url: StreamUrl,
  options: UseStreamOptions & { readonly json: false },
): StreamHandle<AsStrings<Channels>>;
export function useStream<Channels extends ChannelsOf<Channels> = AnyChannels>(
  url: StreamUrl,
  options?: UseStreamOptions,
): StreamHandle<Channels>;
export function useStream(url: StreamUrl, options: UseStreamOptions = {}): object {
  const [{ handle, follow, leave }] = useState(() => createStreamHandle(url));
  useEffect(() => follow(url, options));
  useEffect(() => leave, [leave]);
  return handle;
}

/**
 * Calls functions with the events of a stream while the component is mounted. They may be new in each render: the newest
 * one is called.
 *
 * @param stream - A stream of {@link useStream}, of this component or of another one, or a stream of `connect`.
 * @param handlers - A function for each event type of interest.
 * @param callbacks - `onReset` and `onStatus`.
 */
export function useEvents<Channels>(
  stream: EventStream<Channels> | StreamHandle<Channels>,
  handlers: EventHandlers<NoInfer<Channels>>,
  callbacks: EventCallbacks = {},
): void {
  const newest = useRef({ handlers, callbacks });
  // When a render is committed. React may drop a render, and its functions must not be called then.
  useInsertionEffect(() => {
    newest.current = { handlers, callbacks };
  });
  // No event type has a line break.
  const types = Object.keys(handlers).join("\n");
  useEffect(() => {
    const { on, onReset, onStatus } = stream as StreamHandle<AnyChannels>;
    const removals = types.split("\n").map((type) =>
      on(type, (data, event) => {
        const byType = newest.current.handlers as EventHandlers<AnyChannels>;
        byType[type]?.(data, event);
      }),
    );
    removals.push(
      onReset((reset, event) => newest.current.callbacks.onReset?.(reset, event)),
      onStatus((status) => newest.current.callbacks.onStatus?.(status)),
    );
    return () => {
      for (const remove of removals) remove();
    };
  }, [stream, types]);
}

/**
 * Reads the status of a stream, and renders the component again when it changes.
 *
 * @param stream - A stream of {@link useStream} or of `connect`.
 * @returns The current status. On the server it is `connecting`, or `closed` without a URL.
 */
export function useStatus(stream: Pick<EventStream<never>, "onStatus" | "status">): Status {
  return useSyncExternalStore(
    stream.onStatus,
    () => stream.status,
    () => firstStatusOf(stream),
  );
}
