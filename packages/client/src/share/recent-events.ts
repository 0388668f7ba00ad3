/** The last events of a shared stream: what a tab that takes over hands on to tabs that have missed some of them. */

/** Most events that are kept. */
const MAX_EVENTS = 1_000;

/** Most characters of data that are kept. */
const MAX_LENGTH = 1_000_000;

/** An event on its way between tabs; without a type, only a new position. */
export interface SharedEvent {
  /** The position after the event. */
  readonly lastEventId: string;
  readonly type?: string;
  readonly text?: string;
}

/** Events in order, the oldest of which are forgotten. */
export interface RecentEvents {
  /** The position after the last event. */
  readonly position: string;
  push(event: SharedEvent): void;
  /** @returns The events behind a position; `undefined` if the position is not known. */
  after(lastEventId: string): readonly SharedEvent[] | undefined;
}

/**
 * Creates an empty list.
 *
 * @param start - The position before the first event.
 */
export function createRecentEvents(start: string): RecentEvents {
  const events: SharedEvent[] = [{ lastEventId: start }];
  let length = 0;
  let position = start;
  return {
    get position() {
      return position;
    },
    push(event) {
      // A position that was reached with the event before it says nothing new.
      if (event.type === undefined && position === event.lastEventId) return;
      events.push(event);
      position = event.lastEventId;
      length += event.text?.length ?? 0;
      // The first one stands for the position before those that are kept.
      while (events.length > MAX_EVENTS || (length > MAX_LENGTH && events.length > 1)) {
        events.shift();
        length -= events[0]?.text?.length ?? 0;
      }
    },
    after(lastEventId) {
      const index = events.map((event) => event.lastEventId).lastIndexOf(lastEventId);
      return index === -1 ? undefined : events.slice(index + 1);
    },
  };
}
