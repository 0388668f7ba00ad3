/// <reference lib="dom" />
// Follows one stream twice, with the client and with a bare `EventSource`, and keeps what both receive and when.
import { connect } from "@tidewire/client";

/** Numbers as received, each with its time of `Date.now()`. */
export interface Seen {
  readonly numbers: [number: number, at: number][];
  resets: number;
}

export interface Page {
  readonly client: Seen;
  readonly source: Seen;
  readonly statuses: string[];
  /** Whether `EventSource` has given up. */
  hasGivenUp(): boolean;
}

const client: Seen = { numbers: [], resets: 0 };
const source: Seen = { numbers: [], resets: 0 };
const statuses: string[] = [];

const stream = connect<{ news: { n: number } }>("/events");
stream.on("n", (number) => client.numbers.push([number, Date.now()]));
stream.onReset(() => (client.resets += 1));
stream.onStatus((status) => {
  statuses.push(status.state === "waiting" ? `waiting: ${status.reason}` : status.state);
});

const bare = new EventSource("/events");
bare.addEventListener("n", ({ data }) => source.numbers.push([Number(data), Date.now()]));
bare.addEventListener("sse-reset", () => (source.resets += 1));

const page: Page = {
  client,
  source,
  statuses,
  hasGivenUp: () => bare.readyState === EventSource.CLOSED,
};
Object.assign(globalThis, { recovery: page });
