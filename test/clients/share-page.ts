/// <reference lib="dom" />
// One of the tabs that share a stream. It checks what it receives, and tells when it has asked the server.
import { connect } from "@tidewire/client";

/** Received events and statuses of a tab. */
export interface SharingTab {
  /** First and last number received; 0 before. */
  first: number;
  last: number;
  /** Numbers that did not follow the one before, as `before → number`. */
  readonly faults: string[];
  resets: number;
  /** Time of its last request to the server; 0 if it has asked for none. */
  askedAt: number;
  readonly statuses: string[];
  readonly stream: { close(): void; readonly lastEventId: string };
}

const parameters = new URLSearchParams(location.search);

/** The stream as each kind of client opens it. */
const open = {
  shared(tab: SharingTab, take: (number: number) => void) {
    const stream = connect<{ news: { n: number } }>("/events", {
      share: true,
      fetch(url, request) {
        tab.askedAt = Date.now();
        return fetch(url, request);
      },
    });
    stream.on("n", take);
    stream.onReset(() => (tab.resets += 1));
    stream.onStatus((status) => tab.statuses.push(status.state));
    return stream;
  },
  EventSource(tab: SharingTab, take: (number: number) => void) {
    const source = new EventSource("/events");
    source.addEventListener("n", ({ data }) => take(Number(data)));
    source.addEventListener("sse-reset", () => (tab.resets += 1));
    return { close: () => source.close(), lastEventId: "" };
  },
};

const tab: SharingTab = {
  first: 0,
  last: 0,
  faults: [],
  resets: 0,
  askedAt: 0,
  statuses: [],
  stream: { close: () => {}, lastEventId: "" },
};
const kind = parameters.get("client") === "EventSource" ? "EventSource" : "shared";
const stream = open[kind](tab, (number) => {
  if (tab.first === 0) tab.first = number;
  else if (number !== tab.last + 1) tab.faults.push(`${tab.last} → ${number}`);
  tab.last = number;
});
Object.assign(globalThis, { tab: Object.assign(tab, { stream }) });
