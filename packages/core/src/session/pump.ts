/** Reads a source into a session, at the pace of the client. */

import { checkName, invalidOption, unexpected } from "../options/check.js";
import { Scope } from "../outlet/async-context.js";
import { breathe } from "../outlet/pace.js";
import { SseError, describeValue, rejectedWith } from "../errors.js";
import type { SseMessage } from "../wire/message.js";
import { observableOf, observe } from "./observable.js";
import type { ObservableLike } from "./observable.js";
import { ItemDecoder, isPulled, openSource } from "./source.js";
import type { Decoded, SourceReader, StreamSource } from "./source.js";

/** What a pump needs of the session that it fills. */
export interface PumpTarget {
  /** Opens the stream; `false` if nothing can reach the client. */
  open(): boolean;
  /** Sends one message; settles when the next may follow, `false` once the session is closed. */
  send(message: SseMessage | string): Promise<boolean>;
  /** Why the session is closed; `undefined` while it is not. */
  readonly closeReason: string | undefined;
  /** Calls a function once when the session closes. The function returned takes that back. */
  whenClosed(fn: (reason: string) => void): () => void;
  /**
   * Closes the session because its source has failed.
   *
   * @param last - Gives the last message that the client gets.
   */
  failWith(last: (() => SseMessage | string | undefined) | undefined): void;
  /** Reports an error that no caller can catch. */
  report(error: unknown, stage: "source"): void;
}

/** Makes a message of an item; `undefined` skips it. */
export type MapItem<Item> = (item: Decoded<Item>) => SseMessage | string | undefined;

/** Options of `session.stream`. */
export interface StreamOptions<Item> {
  /**
   * Makes a message of an item; `undefined` skips it.
   *
   * @defaultValue items are messages themselves
   */
  readonly map?: MapItem<Item> | undefined;
  /**
   * Gives the last message that the client gets when the source or `map` has failed, for example
   * `() => ({ event: "failed", data: "Try again later" })`. The session closes with `error` after it. What this function
   * throws goes to the option `onError`.
   *
   * @param error - What the source or `map` has thrown. It may say more than a client should know.
   * @returns The message; `undefined` for none.
   * @defaultValue the stream ends without a message
   */
  readonly onSourceError?: ((error: unknown) => SseMessage | string | undefined) | undefined;
}

const OPTIONS = ["map", "onSourceError"] as const;

/**
 * Sends each item of a source as an event, as fast as the client takes them and no faster.
 *
 * @param source - What to read.
 * @param given - The function `map`, or options.
 * @param target - The session.
 * @returns As `Session.stream`.
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
      `Expected the function or the options of stream(), got ${describeValue(given)}`,
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
    // The reading of an idle source settles late or never: the race is what returns to the caller in time.
    return await Promise.race([readAll(reader, map, target), closed]);
  } catch (error) {
    // A source that failed is over: it has nothing left to be cancelled.
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
    // A source that never waits, and a map that skips what it gives, would hold the event loop.
    await breathe();
    if (target.closeReason !== undefined) return false;
    if (done) return true;
    try {
      const message = map === undefined ? value : settled("map", map(value as Decoded<Item>));
      if (map !== undefined && message === undefined) continue;
      if (!(await target.send(message as SseMessage | string))) return false;
    } catch (error) {
      // The source did nothing wrong and does not know yet that reading has stopped.
      cancel(reader, "error", target);
      throw error;
    }
  }
}

/**
 * Refuses a promise in place of a message: a function that is `async` by mistake must not end the process if it fails.
 *
 * @param name - Of the option that gave it.
 */
function settled<Value>(name: string, message: Value): Value {
  if (!(message instanceof Promise)) return message;
  // Its rejection would be nobody's: the error thrown here takes its place.
  message.catch(() => {});
  throw new SseError(
    "ERR_SSE_INVALID_DATA",
    `Expected \`${name}\` to give a message, got a promise: wait in the source instead`,
  );
}

/**
 * Sends what an Observable pushes, at once: it cannot be asked to wait. What the client does not take counts as all that is
 * sent, so that it is bounded.
 */
async function push<Item>(
  source: ObservableLike<unknown>,
  { map, onSourceError }: StreamOptions<Item>,
  target: PumpTarget,
): Promise<boolean> {
  if (!target.open()) return false;
  const scope = new Scope();
  const decoder = new ItemDecoder();
  // The Observable may complete before the client has taken all of it.
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
      // Closed while it pushed, before there was anything to stop it by.
      if (target.closeReason !== undefined) stop();
    } catch (error) {
      failed(error);
    }
  });
}

function cancel(reader: SourceReader, reason: string, target: PumpTarget): void {
  reader.cancel(reason).catch((error: unknown) => {
    // A source that hears of the end through `signal` as well often rejects with just that.
    const isAbort = error === reason || (error instanceof Error && error.name === "AbortError");
    if (!isAbort) target.report(error, "source");
  });
}
