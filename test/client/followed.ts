/** A stream that is closed with its test, and everything that it has told the application. */

import { connect } from "@tidewire/client";
import type { ConnectOptions, EventStream, Status, StreamEvent } from "@tidewire/client";
import { onTestFinished } from "vitest";
import { eventually } from "../client.js";

type Channels = { any: Record<string, unknown> };

export interface Followed {
  readonly stream: EventStream<Channels>;
  readonly statuses: readonly Status[];
  /** Events of the types that are followed. */
  readonly events: readonly StreamEvent[];
  readonly data: readonly unknown[];
  /** Waits for a status, also one of the past. */
  until<State extends Status["state"]>(
    state: State,
    count?: number,
  ): Promise<Extract<Status, { state: State }>>;
  /** Waits until so many events have come. */
  untilEvents(count: number): Promise<void>;
}

/** Follows the types `message`, `n` and `done`, with a short reconnection time unless there is another. */
export function follow(url: string, options: ConnectOptions = {}): Followed {
  const stream = connect<Channels>(url, { reconnectionTimeMs: 100, ...options });
  onTestFinished(() => stream.close());
  const statuses: Status[] = [stream.status];
  const events: StreamEvent[] = [];
  stream.onStatus((status) => statuses.push(status));
  for (const type of ["message", "n", "done"]) stream.on(type, (_, event) => events.push(event));
  const describe = (what: string) => (): string => `${what}, got ${JSON.stringify(statuses)}`;
  return {
    stream,
    statuses,
    events,
    get data() {
      return events.map(({ data }) => data);
    },
    async until(state, count = 1) {
      const found = (): Status[] => statuses.filter((status) => status.state === state);
      await eventually(describe(`${state} ${count} times`), () => found().length >= count);
      return found()[count - 1] as never;
    },
    untilEvents: (count) =>
      eventually(describe(`${count} events after ${events.length}`), () => events.length >= count),
  };
}
