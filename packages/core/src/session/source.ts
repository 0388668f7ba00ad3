/** Reads all kinds of iterables and streams through one interface, for `session.stream()`. */

import { SseError, describeValue } from "../errors.js";
import type { ObservableLike } from "./observable.js";

/**
 * Sources of `session.stream`: an iterable, a Node stream, a web stream or an Observable.
 *
 * Bytes are decoded as one UTF-8 stream, independent of chunk boundaries.
 */
export type StreamSource<Item> =
  | Iterable<Item>
  | AsyncIterable<Item>
  | WebReadable<Item>
  | ObservableLike<Item>;

/** The methods of a web `ReadableStream` that are used; declared here so that no DOM types are needed. */
export interface WebReadable<Item> {
  /** Locks the stream to one reader. */
  getReader(): {
    read(): Promise<{ done: boolean; value?: Item | undefined }>;
    cancel(reason?: unknown): Promise<unknown>;
  };
}

/** The type of an item as `map` receives it: bytes arrive decoded. */
export type Decoded<Item> = Item extends ArrayBufferView ? string : Item;

/** Any pulled source, reduced to two methods. */
export interface SourceReader {
  /** @returns The next item; rejects if the source fails. */
  next(): Promise<{ readonly done: boolean; readonly value?: unknown }>;
  /**
   * Cancels the source, even while a `next` is pending. Called at most once.
   *
   * @returns Settles when the source has cleaned up; rejects if that fails.
   */
  cancel(reason: unknown): Promise<void>;
}

/**
 * Opens a source for reading.
 *
 * @param source - Iterable, async iterable, Node stream or web stream.
 * @returns A reader whose items are decoded.
 * @throws {SseError} `ERR_SSE_INVALID_DATA` for any other value; a string or a buffer is a message, not a source.
 */
export function openSource(source: unknown): SourceReader {
  const raw = openRaw(source);
  const decoder = new ItemDecoder();
  let isDone = false;
  return {
    async next() {
      while (!isDone) {
        const { done, value } = await raw.next();
        if (done === true) {
          isDone = true;
          const rest = decoder.rest();
          return rest === "" ? { done: true } : { done: false, value: rest };
        }
        const item = decoder.decode(value);
        if (item !== "" || value === "") return { done: false, value: item };
      }
      return { done: true };
    },
    cancel: (reason) => raw.cancel(reason),
  };
}

/** Decodes the bytes of a source, which may end in the middle of a character. */
export class ItemDecoder {
  readonly #decoder = new TextDecoder();

  /** @returns The item itself, or its text if it is bytes: `""` if these complete no character. */
  decode(item: unknown): unknown {
    return item instanceof Uint8Array ? this.#decoder.decode(item, { stream: true }) : item;
  }

  /** @returns The replacement for an incomplete last character; usually `""`. */
  rest(): string {
    return this.#decoder.decode();
  }
}

function openRaw(source: unknown): {
  next(): PromiseLike<{ done?: boolean; value?: unknown }> | { done?: boolean; value?: unknown };
  cancel(reason: unknown): Promise<void>;
} {
  if (typeof source === "object" && source !== null && !(source instanceof Uint8Array)) {
    if (isWebReadable(source)) {
      const reader = source.getReader();
      return {
        next: () => reader.read(),
        cancel: async (reason) => void (await reader.cancel(reason)),
      };
    }
    if (isNodeReadable(source)) {
      const iterator = source[Symbol.asyncIterator]();
      return {
        next: () => iterator.next(),
        // The iterator's own return() would wait for the pending next(), which never settles on an idle stream.
        cancel: async () => void source.on("error", ignore).destroy(),
      };
    }
    const iterator = iterate(source);
    if (iterator !== undefined) {
      return {
        next: () => iterator.next(),
        cancel: async () => void (await iterator.return?.()),
      };
    }
  }
  throw new SseError(
    "ERR_SSE_INVALID_DATA",
    `Expected a source to be an iterable, an async iterable, a readable stream or an Observable, got ${describeValue(source)}`,
  );
}

/** Whether a source is read item by item. */
export function isPulled(source: unknown): boolean {
  return (
    typeof source === "object" &&
    source !== null &&
    (isWebReadable(source) || Symbol.asyncIterator in source || Symbol.iterator in source)
  );
}

function iterate(source: object): AsyncIterator<unknown> | Iterator<unknown> | undefined {
  if (Symbol.asyncIterator in source) {
    return (source as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  }
  return Symbol.iterator in source ? (source as Iterable<unknown>)[Symbol.iterator]() : undefined;
}

interface NodeReadable extends AsyncIterable<unknown> {
  destroy(): unknown;
  on(event: "error", listener: () => void): NodeReadable;
}

function isNodeReadable(source: object): source is NodeReadable {
  return (
    "pipe" in source &&
    "destroy" in source &&
    typeof source.destroy === "function" &&
    Symbol.asyncIterator in source
  );
}

function isWebReadable(source: object): source is WebReadable<unknown> {
  return "getReader" in source && typeof source.getReader === "function";
}

function ignore(): void {}
