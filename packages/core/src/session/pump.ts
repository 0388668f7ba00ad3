/** Reads a source into a session at the client's pace. */

import { checkName, invalidOption, unexpected } from "../options/check.js";
import { Scope } from "../outlet/async-context.js";
import { breathe } from "../outlet/pace.js";
import { SseError, describeValue, rejectedWith } from "../errors.js";
import type { SseMessage } from "../wire/message.js";
import { observableOf, observe } from "./observable.js";
import type { ObservableLike } from "./observable.js";
import { ItemDecoder, isPulled, openSource } from "./source.js";
import type { Decoded, SourceReader, StreamSource } from "./source.js";

/** The parts of a session that a pump uses. */
export interface PumpTarget {
  /** Opens the stream; `false` if the client cannot be reached. */
  open(): boolean;
  /** Sends one message; settles when the next one may be sent, `false` once the session is closed. */
  send(message: SseMessage | string): Promise<boolean>;
  /** Why the session is closed; `undefined` while it is open. */
  readonly closeReason: string | undefined;
  /** Calls a function once when the session closes. The returned function removes it. */
  whenClosed(fn: (reason: string) => void): () => void;
  /**
   * Closes the session because its source has failed.
   *
   * @param last - Returns the last message for the client.
   */
  failWith(last: (() => SseMessage | string | undefined) | undefined): void;
  /** Reports an error that no caller can catch. */
  report(error: unknown, stage: "source"): void;
}

/** Turns an item into a message; `undefined` skips it. */
export type MapItem<Item> = (item: Decoded<Item>) => SseMessage | string | undefined;

/** Options of `session.stream`. */
export interface StreamOptions<Item> {
  /**
   * Turns an item into a message; `undefined` skips it.
   *
   * @defaultValue each item is a message itself
   */
  readonly map?: MapItem<Item> | undefined;
  /**
   * Returns the last message for the client when the source or `map` has failed, for example `() => ({ event: "failed",
   * data: "Try again later" })`. After it the session closes with `error`. An error that this function throws goes to
   * the option `onError`.
   *
   * @param error - The error of the source or `map`. It may contain details that the client should not see.
   * @returns The message; `undefined` for none.
   * @defaultValue the stream ends without a message
   */
  readonly onSourceError?: ((error: unknown) => SseMessage | string | undefined) | undefined;
}

const OPTIONS = ["map", "onSourceError"] as const;

/**
 * Sends each item of a source as an event, at the client's pace.
 *
 * @param source - Source to read.
 * @param given - The `map` function, or options.
 * @param target - The session.
 * @returns Same as `Session.stream`.
 */
export async function pump<Item>(
  source: StreamSource<Item>,
  given: MapItem<Item> | StreamOptions<Item> | undefined,
  target: PumpTarget,
): Promise<boolean> {
  const options = checkStreamOptions(given);
  const observable = isPulled(source) ? undefined : observableOf(source);
  return observable === undefined
    ? pull(source, options, target)
    : push(observable, options, target);
}

function checkStreamOptions<Item>(
  given: MapItem<Item> | StreamOptions<Item> = {},
): StreamOptions<Item> {
  if (typeof given === "function") return { map: given };
  if (typeof given !== "object" || given === null) {
    throw invalidOption(
      `Expected a function or the options of stream(), got ${describeValue(given)}`,
    );
  }
  for (const name of Object.keys(given)) checkName(name, OPTIONS);
  for (const name of OPTIONS) {
    const value: unknown = given[name];
    if (value !== undefined && typeof value !== "function") {
      throw unexpected(name, "a function", value);
    }
  }
  return given;
}

async function pull<Item>(
  source: StreamSource<Item>,
  { map, onSourceError }: StreamOptions<Item>,
  target: PumpTarget,
): Promise<boolean> {
  const reader = openSource(source);
  let isOpen = false;
  try {
    isOpen = target.open();
  } finally {
    if (!isOpen) cancel(reader, target.closeReason ?? "error", target);
  }
  if (!isOpen) return false;

  let forget = (): void => {};
  const closed = new Promise<false>((resolve) => {
    forget = target.whenClosed((reason) => {
      cancel(reader, reason, target);
      resolve(false);
    });
  });
  try {
    // Reading from an idle source settles late or never: the race returns to the caller in time.
    return await Promise.race([readAll(reader, map, target), closed]);
  } catch (error) {
    // A failed source is over and needs no cancelling.
    forget();
    target.failWith(onSourceError && (() => settled("onSourceError", onSourceError(error))));
    throw error;
  } finally {
    forget();
  }
}

async function readAll<Item>(
  reader: SourceReader,
  map: MapItem<Item> | undefined,
  target: PumpTarget,
): Promise<boolean> {
  for (;;) {
    const { done, value } = await reader.next();
    // A source that never waits, with a map that skips its items, would block the event loop.
    await breathe();
    if (target.closeReason !== undefined) return false;
    if (done) return true;
    try {
      const message = map === undefined ? value : settled("map", map(value as Decoded<Item>));
      if (map !== undefined && message === undefined) continue;
      if (!(await target.send(message as SseMessage | string))) return false;
    } catch (error) {
      // The source did not fail and does not know yet that reading has stopped.
      cancel(reader, "error", target);
      throw error;
    }
  }
}

/**
 * Throws if a function returned a promise instead of a message. A later rejection of that promise must not end the
 * process.
 *
 * @param name - Name of the option that returned it.
 */
function settled<Value>(name: string, message: Value): Value {
  if (!(message instanceof Promise)) return message;
  // No caller handles its rejection: the error thrown here takes its place.
  message.catch(() => {});
  throw new SseError(
    "ERR_SSE_INVALID_DATA",
    `Expected \`${name}\` to return a message, got a promise: await it in the source instead`,
  );
}

/**
 * Sends what an Observable pushes, immediately: it cannot be asked to wait. Bytes that the client does not read count
 * against `maxBufferedBytes`, which bounds them.
 */
async function push<Item>(
  source: ObservableLike<unknown>,
  { map, onSourceError }: StreamOptions<Item>,
  target: PumpTarget,
): Promise<boolean> {
  if (!target.open()) return false;
  const scope = new Scope();
  const decoder = new ItemDecoder();
  // The Observable may complete before the client has read everything.
  let sent = Promise.resolve(true);
  const send = (item: unknown): void => {
    const message = map === undefined ? item : settled("map", map(item as Decoded<Item>));
    if (map !== undefined && message === undefined) return;
    sent = target.send(message as SseMessage | string);
  };
  return new Promise((resolve) => {
    let stop = (): void => {};
    const forget = target.whenClosed(() => {
      stop();
      resolve(false);
    });
    const failed = (error: unknown): void => {
      forget();
      scope.runInAsyncScope(() =>
        target.failWith(onSourceError && (() => settled("onSourceError", onSourceError(error)))),
      );
      resolve(rejectedWith(error));
    };
    try {
      stop = observe(source, {
        next(item) {
          if (target.closeReason !== undefined) return;
          const decoded = decoder.decode(item);
          if (decoded !== "" || item === "") scope.runInAsyncScope(send, undefined, decoded);
        },
        failed,
        completed() {
          const rest = decoder.rest();
          try {
            if (rest !== "") scope.runInAsyncScope(send, undefined, rest);
          } catch (error) {
            return failed(error);
          }
          forget();
          resolve(sent);
        },
        leftOver: (error) => target.report(error, "source"),
      });
      // It closed while pushing, before there was a subscription to stop.
      if (target.closeReason !== undefined) stop();
    } catch (error) {
      failed(error);
    }
  });
}

function cancel(reader: SourceReader, reason: string, target: PumpTarget): void {
  reader.cancel(reason).catch((error: unknown) => {
    // A source that also listens to `signal` often rejects with exactly that abort.
    const isAbort = error === reason || (error instanceof Error && error.name === "AbortError");
    if (!isAbort) target.report(error, "source");
  });
}
