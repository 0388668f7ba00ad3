/** Opens a stream, and hands its events to listeners and loops. */

import type { AnyChannels, AsStrings, ChannelsOf } from "./channels.js";
import { createEventQueue } from "./event-queue.js";
import type { EventQueue } from "./event-queue.js";
import type { EventStream, StreamEvent } from "./event-stream.js";
import { createMachine } from "./machine.js";
import { FUNCTION, check, checkLastEventId, checkOptions, resolveUrl } from "./options.js";
import type { ConnectOptions } from "./options.js";
import type { Status } from "./status.js";

const RESET = "sse-reset";

/**
 * Opens an event stream that comes back from every end that the server does not mean: refused and broken connections,
 * wrong answers, an orderly end, a dead link, sleep. Returns at once; the request follows.
 *
 * `Channels` is the type of the server's channels, imported with `import type`. It types the events of the stream: those
 * of all its channels.
 *
 * @param url - Where the stream is; in a page it may be relative.
 * @param options - See {@link ConnectOptions}.
 * @throws {TypeError} If the URL is invalid, or if an option is unknown or invalid.
 */
export function connect<Channels extends ChannelsOf<Channels> = AnyChannels>(
  url: string | { readonly href: string },
  options: ConnectOptions & { readonly json: false },
): EventStream<AsStrings<Channels>>;
export function connect<Channels extends ChannelsOf<Channels> = AnyChannels>(
  url: string | { readonly href: string },
  options?: ConnectOptions,
): EventStream<Channels>;
export function connect(
  url: string | { readonly href: string },
  options: ConnectOptions = {},
): object {
  const settings = checkOptions(options);
  const listeners = new Map<string, Set<(data: unknown, event: StreamEvent) => void>>();
  const statusListeners = new Set<(status: Status) => void>();
  const queues = new Set<EventQueue<StreamEvent>>();

  const isFull = (): boolean =>
    [...queues].some(({ events }) => events.length >= settings.maxBufferedEvents);
  const on = (type: string, listener: (data: never, event: never) => void): (() => void) => {
    const ofType = listeners.get(type) ?? new Set();
    listeners.set(type, ofType);
    return add(ofType, listener as (data: unknown, event: StreamEvent) => void);
  };

  let current = resolveUrl(url);
  const machine = createMachine(current, settings, {
    isFull,
    onStatus(status) {
      callAll(statusListeners, status);
      if (status.state === "closed") for (const queue of queues) queue.end(status);
    },
    onEvent(type, text, lastEventId) {
      const ofType = listeners.get(type);
      if ((ofType === undefined || ofType.size === 0) && queues.size === 0) return;
      const data = settings.json || type === RESET ? parseJson(text) : text;
      const event: StreamEvent = { type, data, text, lastEventId };
      if (ofType !== undefined) callAll(ofType, data, event);
      for (const queue of queues) queue.push(event);
    },
  });

  const stream: EventStream<AnyChannels> = {
    get status() {
      return machine.status;
    },
    get lastEventId() {
      return machine.lastEventId;
    },
    set lastEventId(id) {
      machine.lastEventId = checkLastEventId(id);
    },
    on,
    onReset: (listener) => on(RESET, listener),
    onStatus: (listener) => add(statusListeners, listener),
    reopen(other = current) {
      current = resolveUrl(other);
      return machine.reopen(current);
    },
    close: () => machine.close("close"),
    [Symbol.asyncIterator]() {
      const queue: EventQueue<StreamEvent> = createEventQueue((isLeft) => {
        if (isLeft) queues.delete(queue);
        if (!isFull()) machine.resume();
      });
      queues.add(queue);
      if (machine.status.state === "closed") queue.end(machine.status);
      return queue as AsyncIterator<never>;
    },
  };
  return stream;
}

/** Adds a listener, also a second time, and returns a function that removes it. */
function add<Args extends unknown[]>(
  listeners: Set<(...args: Args) => void>,
  listener: (...args: Args) => void,
): () => void {
  check("listener", listener, FUNCTION);
  const entry = (...args: Args): void => listener(...args);
  listeners.add(entry);
  return () => void listeners.delete(entry);
}

/** Calls listeners; those that are added meanwhile are not called. */
function callAll<Args extends unknown[]>(
  listeners: Set<(...args: Args) => void>,
  ...args: Args
): void {
  for (const listener of Array.from(listeners)) {
    try {
      listener(...args);
    } catch (error) {
      // As the platform reports an uncaught error: to `window.onerror`, or as an `uncaughtException` in Node.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
