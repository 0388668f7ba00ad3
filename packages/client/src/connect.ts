/** Opens a stream, and hands its events to listeners and loops. */

import type { AnyChannels, AsStrings, ChannelsOf } from "./channels.js";
import { createEventQueue } from "./event-queue.js";
import type { EventQueue } from "./event-queue.js";
import type { EventStream, StreamEvent } from "./event-stream.js";
import { parseJson } from "./json.js";
import { createMachine } from "./machine.js";
import type { MachineOwner } from "./machine.js";
import { FUNCTION, check, checkOption, checkOptions, resolveUrl } from "./options.js";
import type { ConnectOptions } from "./options.js";

const RESET = "sse-reset";

/** Stands for changes of the status among the types of events. */
const STATUS = Symbol();

type Listener = (...args: never[]) => void;

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
  const listeners = new Map<string | typeof STATUS, Set<Listener>>();
  const queues = new Set<EventQueue<StreamEvent>>();

  const isFull = (): boolean =>
    [...queues].some(({ events }) => events.length >= settings.maxBufferedEvents);
  const on = (type: string | typeof STATUS, listener: Listener): (() => void) => {
    check("listener", listener, FUNCTION);
    const ofType = listeners.get(type) ?? new Set();
    listeners.set(type, ofType);
    // The same function may be added twice.
    const entry: Listener = (...args) => listener(...args);
    ofType.add(entry);
    return () => void ofType.delete(entry);
  };
  const call = (type: string | typeof STATUS, ...args: unknown[]): void => {
    // Those that are added meanwhile are not called.
    for (const listener of Array.from(listeners.get(type) ?? [])) {
      try {
        listener(...(args as never[]));
      } catch (error) {
        // As the platform reports an uncaught error: to `window.onerror`, or as an `uncaughtException` in Node.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  };

  let current = resolveUrl(url);
  const owner: MachineOwner = {
    isFull,
    onStatus(status) {
      call(STATUS, status);
      if (status.state === "closed") for (const queue of queues) queue.end(status);
    },
    onEvent(type, text, lastEventId) {
      if (queues.size === 0 && !listeners.get(type)?.size) return;
      const data = settings.json || type === RESET ? parseJson(text) : text;
      const event: StreamEvent = { type, data, text, lastEventId };
      call(type, data, event);
      for (const queue of queues) queue.push(event);
    },
  };
  let machine = createMachine(current, settings, owner);
  // Loaded on use, because few streams are shared.
  const start = (): void => machine.start();
  if (settings.share) {
    import("./share/shared-machine.js").then(({ createSharedMachine }) => {
      machine = createSharedMachine(createMachine, machine, current, settings, owner);
    }, start);
  } else start();

  const stream: EventStream<AnyChannels> = {
    get status() {
      return machine.status;
    },
    get lastEventId() {
      return machine.lastEventId;
    },
    set lastEventId(id) {
      machine.lastEventId = checkOption("lastEventId", id);
    },
    on,
    onReset: (listener) => on(RESET, listener),
    onStatus: (listener) => on(STATUS, listener),
    reopen(other = current) {
      current = resolveUrl(other);
      return machine.reopen(current);
    },
    close: () => machine.close({ state: "closed", reason: "close" }),
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
