/** The stream of a component: one object that outlives the streams that its effects open and close. Knows no React. */

import type { AnyChannels } from "./channels.js";
import { connect } from "./connect.js";
import type { EventStream } from "./event-stream.js";
import type { ConnectOptions } from "./options.js";
import { beginTurn, renewOnce } from "./renewal.js";
import type { Status } from "./status.js";
import { describeRequest, hasSameAnswer, hasSameOptions } from "./stream-request.js";
import type { StreamRequest, StreamUrl } from "./stream-request.js";

/**
 * The stream of a component: the same object in every render, whatever becomes of the stream. Pass it to other components
 * that need its events or its status.
 */
export interface StreamHandle<Channels> extends Pick<
  EventStream<Channels>,
  "close" | "on" | "onReset" | "onStatus" | "status"
> {
  /** The position: the last event ID that was received. */
  readonly lastEventId: string;
  /**
   * Connects again at the same position, without waiting for the next attempt.
   *
   * @returns `false` if there is no stream, or if it is closed.
   */
  reopen(): boolean;
}

/** A handle, and what the effects of its component do to it. */
export interface OwnedStream {
  readonly handle: StreamHandle<AnyChannels>;
  /**
   * Opens the stream, or changes it if URL or options have changed.
   *
   * @throws {TypeError} If the URL or an option is invalid.
   */
  follow(url: StreamUrl, options: ConnectOptions): void;
  /** Closes the stream. `follow` continues where it was: React may hide a component and show it again. */
  leave(): void;
}

/** A listener of the handle, attached to one stream after the other. */
interface Listener {
  attach(stream: EventStream<AnyChannels>): () => void;
  detach?: () => void;
}

const CONNECTING: Status = { state: "connecting", failures: 0 };
const NO_STREAM: Status = { state: "closed", reason: "close" };

const firstStatuses = new WeakMap<object, Status>();

/** The status of a stream in the server's HTML, and in the page until React has hydrated it. */
export function firstStatusOf(stream: object): Status {
  return firstStatuses.get(stream) ?? CONNECTING;
}

/** Creates a handle without a stream. Has no effects: React may render a component and drop it. */
export function createStreamHandle(firstUrl: StreamUrl): OwnedStream {
  let stream: EventStream<AnyChannels> | undefined;
  /** The status while there is no stream. */
  let restingStatus = describeRequest(firstUrl, {}) === undefined ? NO_STREAM : CONNECTING;
  /** The position while there is no stream. */
  let position = "";
  /** URL and options with which the stream was opened; kept after `leave`. */
  let request: StreamRequest | undefined;
  /** The options of the newest render. */
  let latest: ConnectOptions = {};
  const listeners = new Set<Listener>();
  const statusListeners = new Set<(status: Status) => void>();

  function open(url: NonNullable<StreamUrl>, options: ConnectOptions): void {
    /** When the attempt under way began. */
    let turn = 0;
    const { headers, fetch, onUnauthorized } = options;
    stream = connect(url, {
      ...options,
      lastEventId: position,
      headers:
        typeof headers === "function" || onUnauthorized !== undefined
          ? () => {
              turn = beginTurn();
              const newest = latest.headers ?? {};
              return typeof newest === "function" ? newest() : newest;
            }
          : headers,
      fetch: fetch && ((...args) => (latest.fetch ?? fetch)(...args)),
      // `connect` shares one call among streams that have the same function. Here every stream has another one.
      onUnauthorized:
        onUnauthorized &&
        (({ httpStatus }) =>
          renewOnce(latest.onUnauthorized ?? onUnauthorized, turn, httpStatus) as never),
    });
    for (const listener of listeners) listener.detach = listener.attach(stream);
  }

  /** Closes the stream. Its listeners stay. */
  function drop(next: Status): void {
    const dropped = stream;
    restingStatus = next;
    if (dropped === undefined) return;
    position = dropped.lastEventId;
    stream = undefined;
    // Not the end of the handle's stream: another one follows, or the component is gone.
    for (const listener of listeners) listener.detach?.();
    dropped.close();
  }

  function listen(attach: Listener["attach"]): () => void {
    const listener: Listener = { attach };
    listeners.add(listener);
    if (stream !== undefined) listener.detach = attach(stream);
    return () => {
      listeners.delete(listener);
      listener.detach?.();
    };
  }

  /** Reports a status to listeners, outside of the effect: an error of theirs must not end the component. */
  function tellStatus(): void {
    for (const listener of statusListeners) {
      queueMicrotask(() => {
        if (statusListeners.has(listener)) listener(handle.status);
      });
    }
  }

  /** Does what another URL or other options ask for. */
  function change(url: StreamUrl, options: ConnectOptions): void {
    const last = request;
    request = describeRequest(url, options);
    latest = options;
    const { status } = handle;
    if (request === undefined || url === null || url === undefined) return drop(NO_STREAM);
    // The server has said that there is no more, which another header does not change.
    const isOver = status.state === "closed" && /^(completed|ended)$/.test(status.reason);
    const isSameAnswer = last !== undefined && hasSameAnswer(last, request);
    if (isSameAnswer && isOver) return;
    if (last !== undefined && hasSameOptions(last, request)) {
      if (last.url === request.url) {
        if (stream === undefined && status.state !== "closed") open(url, options);
        return;
      }
      if (request.isGet && stream?.reopen(url) === true) return;
    }
    const isContinued =
      last?.lastEventId === request.lastEventId &&
      !isOver &&
      (isSameAnswer || (last.isGet && request.isGet));
    drop(CONNECTING);
    if (!isContinued) position = request.lastEventId;
    open(url, options);
  }

  const handle: StreamHandle<AnyChannels> = {
    get status() {
      const status = stream?.status ?? restingStatus;
      // The same object before and after the stream is opened: there is nothing new to render.
      return status.state === "connecting" && status.failures === 0 ? CONNECTING : status;
    },
    get lastEventId() {
      return stream?.lastEventId ?? position;
    },
    on: (type, listener) => listen((to) => to.on(type, listener)),
    onReset: (listener) => listen((to) => to.onReset(listener)),
    onStatus(listener) {
      const entry = (status: Status): void => listener(status);
      const stop = listen((to) => to.onStatus(entry));
      statusListeners.add(entry);
      return () => {
        statusListeners.delete(entry);
        stop();
      };
    },
    reopen: () => stream?.reopen() ?? false,
    close: () => stream?.close(),
  };
  firstStatuses.set(handle, restingStatus);

  return {
    handle,
    follow(url, options) {
      const before = handle.status;
      change(url, options);
      if (handle.status !== before) tellStatus();
    },
    leave() {
      const { status } = handle;
      drop(status.state === "closed" ? status : CONNECTING);
    },
  };
}
