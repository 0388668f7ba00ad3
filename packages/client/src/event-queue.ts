/** The events that one loop over a stream has yet to take. */

import type { ClosedStatus } from "./status.js";

type Result<Event> = IteratorResult<Event, undefined>;

/** An iterator over events that arrive one by one. */
export interface EventQueue<Event> extends AsyncIterator<Event, undefined> {
  /** The events that wait. */
  readonly events: readonly Event[];
  push(event: Event): void;
  /**
   * Ends the loop: at once if the application has closed the stream, otherwise after the events that wait. Then `next`
   * throws the error of the status, if there is one.
   */
  end(status: ClosedStatus): void;
}

/**
 * Creates an iterator.
 *
 * @param onChange - An event was taken, or the loop was left.
 */
export function createEventQueue<Event>(onChange: (isLeft: boolean) => void): EventQueue<Event> {
  const events: Event[] = [];
  /** Calls of `next` that wait for an event. */
  const waiting: ((result: Promise<Result<Event>>) => void)[] = [];
  let ended: ClosedStatus | undefined;

  const settle = (): void => {
    const count = ended === undefined ? events.length : Infinity;
    for (const give of waiting.splice(0, count)) give(take());
  };
  const take = async (): Promise<Result<Event>> => {
    if (events.length > 0) {
      const value = events.shift() as Event;
      onChange(false);
      return { done: false, value };
    }
    if (ended !== undefined && "error" in ended) throw ended.error;
    return { done: true, value: undefined };
  };
  const end = (status: ClosedStatus): void => {
    ended = status;
    if (/^(close|aborted)$/.test(status.reason)) events.length = 0;
    settle();
  };
  const next = (): Promise<Result<Event>> =>
    new Promise((resolve) => {
      waiting.push(resolve);
      settle();
    });

  return {
    events,
    push(value) {
      events.push(value);
      settle();
    },
    end,
    next,
    return() {
      end({ state: "closed", reason: "close" });
      onChange(true);
      return next();
    },
  };
}
