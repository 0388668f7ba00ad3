/** Reads a source into a session, at the pace of the client. */

import { breathe } from "../outlet/pace.js";
import type { SseMessage } from "../wire/message.js";
import { openSource } from "./source.js";
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
  /** Closes the session because its source has failed. */
  fail(): void;
  /** Reports an error that no caller can catch. */
  report(error: unknown, stage: "source"): void;
}

/** Makes a message of an item; `undefined` skips it. */
export type MapItem<Item> = (item: Decoded<Item>) => SseMessage | string | undefined;

/**
 * Sends each item of a source as an event, as fast as the client takes them and no faster.
 *
 * @param source - What to read.
 * @param map - Absent: items are messages themselves.
 * @param target - The session.
 * @returns As `Session.stream`.
 */
export async function pump<Item>(
  source: StreamSource<Item>,
  map: MapItem<Item> | undefined,
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
    target.fail();
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
      const message = map === undefined ? value : map(value as Decoded<Item>);
      if (map !== undefined && message === undefined) continue;
      if (!(await target.send(message as SseMessage | string))) return false;
    } catch (error) {
      // The source did nothing wrong and does not know yet that reading has stopped.
      cancel(reader, "error", target);
      throw error;
    }
  }
}

function cancel(reader: SourceReader, reason: string, target: PumpTarget): void {
  reader.cancel(reason).catch((error: unknown) => {
    // A source that hears of the end through `signal` as well often rejects with just that.
    const isAbort = error === reason || (error instanceof Error && error.name === "AbortError");
    if (!isAbort) target.report(error, "source");
  });
}
