/// <reference lib="dom" />
// The EventSource family: the browsers' own, and packages with its interface.
import { TEXT } from "./client.js";
import type { Client, Report } from "./client.js";

/** The part of the interface that all of them have. */
interface Source {
  readonly readyState: number;
  addEventListener(type: string, listener: (event: Event) => void): void;
  close(): void;
}

const CLOSED = 2;

/** Reports everything that an application can learn from a source. */
function hear(source: Source, report: Report): void {
  source.addEventListener("open", () => report.open());
  source.addEventListener("error", (event) =>
    report.error("message" in event ? event.message : ""),
  );
  for (const type of ["message", "price", "done", "sse-reset"]) {
    source.addEventListener(type, (event) =>
      report.message((event as MessageEvent<string>).data, type),
    );
  }
}

function follow(source: Source, report: Report): () => void {
  hear(source, report);
  return () => source.close();
}

// #region reopen
/** Opens a new source when the old one has given up, at the same position. Ends with the event `done`. */
export function reopen(open: (url: string) => Source, url: string, report: Report): () => void {
  let source: Source;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lastEventId = "";
  let isDone = false;
  const connect = (): void => {
    source = open(`${url}?lastEventId=${encodeURIComponent(lastEventId)}`);
    hear(source, report);
    for (const type of ["message", "price", "sse-cursor", "sse-reset"]) {
      source.addEventListener(type, (event) => ({ lastEventId } = event as MessageEvent));
    }
    source.addEventListener("error", () => {
      if (source.readyState === CLOSED) timer = setTimeout(connect, 1_000 + Math.random() * 2_000);
    });
    source.addEventListener("done", stop);
  };
  const stop = (): void => {
    isDone = true;
    clearTimeout(timer);
    source.close();
  };
  connect();
  // After Chromium has frozen the page, a stream read by fetch gives no more events.
  globalThis.document?.addEventListener("resume", () => {
    if (isDone) return;
    source.close();
    connect();
  });
  return stop;
}
// #endregion

type Load = () => Promise<(url: string) => Source>;

type Named = Pick<Client, "name" | "runsIn" | "from">;

function plain(client: Named, load: Load): Client {
  return {
    ...client,
    reads: "events",
    dialect: TEXT,
    connect: async (url, report) => follow((await load())(url), report),
  };
}

/** A client, and the same one with automatic reopening. */
function withReopen(client: Named, load: Load): readonly Client[] {
  return [
    plain(client, load),
    {
      ...client,
      reads: "events",
      dialect: TEXT,
      name: `${client.name}, reopened`,
      recipeFor: client.name,
      recipe: "reopen",
      connect: async (url, report) => reopen(await load(), url, report),
    },
  ];
}

const loadNative: Load = async () => (url) => new EventSource(url);

export const EVENT_SOURCES: readonly Client[] = [
  ...withReopen({ name: "EventSource in Chromium", runsIn: "chromium" }, loadNative),
  ...withReopen({ name: "EventSource in Firefox", runsIn: "firefox" }, loadNative),
  plain({ name: "eventsource 2", runsIn: "node", from: "eventsource2" }, async () => {
    const { default: EventSource2 } = await import("eventsource2");
    return (url) => new EventSource2(url);
  }),
  ...withReopen({ name: "eventsource 3", runsIn: "node", from: "eventsource3" }, async () => {
    const { EventSource: EventSource3 } = await import("eventsource3");
    return (url) => new EventSource3(url);
  }),
  ...withReopen({ name: "eventsource 4", runsIn: "node", from: "eventsource4" }, async () => {
    const { EventSource: EventSource4 } = await import("eventsource4");
    return (url) => new EventSource4(url);
  }),
  ...withReopen({ name: "eventsource 5", runsIn: "node", from: "eventsource5" }, async () => {
    const { EventSource: EventSource5 } = await import("eventsource5");
    return (url) => new EventSource5(url);
  }),
  ...withReopen({ name: "undici", runsIn: "node", from: "undici" }, async () => {
    const { EventSource: UndiciEventSource } = await import("undici");
    return (url) => new UndiciEventSource(url);
  }),
  ...withReopen(
    { name: "extended-eventsource", runsIn: "chromium", from: "extended-eventsource" },
    async () => {
      const { EventSource: Extended } = await import("extended-eventsource");
      return (url) => new Extended(url, { disableLogger: true });
    },
  ),
  ...withReopen(
    { name: "event-source-polyfill", runsIn: "chromium", from: "event-source-polyfill" },
    async () => {
      const { EventSourcePolyfill } = await import("event-source-polyfill");
      return (url) => new EventSourcePolyfill(url);
    },
  ),
  plain(
    { name: "reconnecting-eventsource", runsIn: "chromium", from: "reconnecting-eventsource" },
    async () => {
      const { default: Reconnecting } = await import("reconnecting-eventsource");
      return (url) => new Reconnecting(url);
    },
  ),
  {
    name: "reconnecting-eventsource, closed at the end",
    from: "reconnecting-eventsource",
    runsIn: "chromium",
    reads: "events",
    dialect: TEXT,
    recipeFor: "reconnecting-eventsource",
    recipe: "reconnecting-eventsource",
    // #region reconnecting-eventsource
    connect: async (url, report) => {
      const { default: Reconnecting } = await import("reconnecting-eventsource");
      const source = new Reconnecting(url);
      hear(source, report);
      // It reopens a source even after a 204: the last message has to close it.
      source.addEventListener("done", () => source.close());
      return () => source.close();
    },
    // #endregion
  },
  {
    name: "launchdarkly-eventsource",
    from: "launchdarkly-eventsource",
    runsIn: "node",
    reads: "events",
    dialect: TEXT,
    connect: async (url, report) => {
      const { EventSource: LaunchDarkly } = await import("launchdarkly-eventsource");
      const source = new LaunchDarkly(url);
      source.on("open", () => report.open());
      source.on("error", ({ message, status }) => report.error(message ?? status));
      source.on("end", () => report.end());
      for (const type of ["message", "price", "done", "sse-reset"]) {
        source.addEventListener(type, ({ data }) => report.message(data, type));
      }
      return () => source.close();
    },
  },
];
