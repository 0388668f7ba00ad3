/// <reference lib="dom" />
// The family of readers based on fetch or XMLHttpRequest.
import type { EventSourceClient } from "eventsource-client";
import { TEXT } from "./client.js";
import type { Client, Dialect } from "./client.js";

const COMMON = { reads: "events", dialect: TEXT } as const;

/** All data as JSON, and therefore on one line. */
const JSON_TEXT: Dialect = {
  message: (text) => ({ data: JSON.stringify(text) }),
  named: (text) => ({ event: "price", data: JSON.stringify(text) }),
  lines: { message: { data: JSON.stringify(TEXT.lines.text) }, text: TEXT.lines.text },
  last: { message: { event: "done", data: JSON.stringify("all") }, text: "all" },
};

/** The client of this project, which needs no recipe. */
const TIDEWIRE: Omit<Client, "name" | "runsIn"> = {
  ...COMMON,
  connect: async (url, report) => {
    const { connect } = await import("@tidewire/client");
    const stream = connect(url);
    for (const type of ["message", "price", "done"]) {
      stream.on(type, (_data, { text }) => report.message(text, type));
    }
    stream.onReset((_reset, { text }) => report.message(text, "sse-reset"));
    stream.onStatus((status) => {
      if (status.state === "open") report.open();
      if (status.state === "waiting") report.error(status.reason);
      if (status.state === "closed") report.end();
    });
    return () => stream.close();
  },
};

export const FETCHES: readonly Client[] = [
  { ...TIDEWIRE, name: "@tidewire/client in Chromium", runsIn: "chromium" },
  { ...TIDEWIRE, name: "@tidewire/client in Firefox", runsIn: "firefox" },
  { ...TIDEWIRE, name: "@tidewire/client in Node", runsIn: "node" },
  {
    ...COMMON,
    name: "eventsource-client",
    from: "eventsource-client",
    runsIn: "chromium",
    connect: async (url, report) => {
      const { createEventSource } = await import("eventsource-client");
      const source = createEventSource({
        url,
        onConnect: () => report.open(),
        onMessage: ({ data, event }) => report.message(data, event),
        onDisconnect: () => report.end(),
      });
      return () => source.close();
    },
  },
  {
    ...COMMON,
    name: "eventsource-client, connected again",
    from: "eventsource-client",
    runsIn: "chromium",
    recipeFor: "eventsource-client",
    recipe: "eventsource-client",
    // #region eventsource-client
    connect: async (url, report) => {
      const { createEventSource } = await import("eventsource-client");
      const connect = (initialLastEventId?: string): EventSourceClient =>
        createEventSource({
          url,
          ...(initialLastEventId === undefined ? {} : { initialLastEventId }),
          onConnect: () => report.open(),
          onMessage: ({ data, event }) => {
            report.message(data, event);
            if (event === "done") source.close();
          },
          onDisconnect: () => report.end(),
        });
      let source = connect();
      // After Chromium has frozen the page, the stream gives no more events, and `connect()` waits for it.
      document.addEventListener("resume", () => {
        if (source.readyState === "closed") return;
        source.close();
        source = connect(source.lastEventId);
      });
      return () => source.close();
    },
    // #endregion
  },
  {
    ...COMMON,
    name: "fetch-event-source",
    from: "@microsoft/fetch-event-source",
    runsIn: "chromium",
    connect: async (url, report) => {
      const { fetchEventSource } = await import("@microsoft/fetch-event-source");
      const stop = new AbortController();
      void fetchEventSource(url, {
        signal: stop.signal,
        onmessage: ({ data, event }) => report.message(data, event),
        onerror: (error) => report.error(error),
        onclose: () => report.end(),
      });
      return () => stop.abort();
    },
  },
  {
    ...COMMON,
    name: "fetch-event-source, set to come back",
    from: "@microsoft/fetch-event-source",
    runsIn: "chromium",
    recipeFor: "fetch-event-source",
    recipe: "fetch-event-source",
    // #region fetch-event-source
    connect: async (url, report) => {
      const { fetchEventSource } = await import("@microsoft/fetch-event-source");
      const stop = new AbortController();
      void fetchEventSource(url, {
        signal: stop.signal,
        onopen: async (response) => {
          if (response.status === 204) stop.abort();
          else if (!response.ok) throw new Error(`HTTP ${response.status}`);
          else report.open();
        },
        onmessage: ({ data, event }) => {
          // Comments, and blocks without data, arrive as messages without event and data.
          if (event === "" && data === "") return;
          report.message(data, event);
          if (event === "done") stop.abort();
        },
        // An orderly end is final for it. An error makes it come back.
        onclose: () => {
          throw new Error("The stream has ended");
        },
        onerror: (error) => report.error(error),
      });
      return () => stop.abort();
    },
    // #endregion
  },
  {
    ...COMMON,
    name: "event-source-plus",
    from: "event-source-plus",
    runsIn: "chromium",
    connect: async (url, report) => {
      const { EventSourcePlus } = await import("event-source-plus");
      const controller = new EventSourcePlus(url).listen({
        onMessage: ({ data, event }) => report.message(data, event),
        onResponse: () => report.open(),
        onRequestError: ({ error }) => report.error(error),
        onResponseError: ({ error }) => report.error(error),
      });
      return () => controller.abort();
    },
  },
  {
    ...COMMON,
    name: "event-source-plus, with a pause",
    from: "event-source-plus",
    runsIn: "chromium",
    recipeFor: "event-source-plus",
    recipe: "event-source-plus",
    dialect: JSON_TEXT,
    // #region event-source-plus
    connect: async (url, report) => {
      const { EventSourcePlus } = await import("event-source-plus");
      let retryMs = 2_000;
      let isFirst = true;
      const source = new EventSourcePlus(url, {
        // It comes back after 2 ms and ignores the reconnection time: wait before each request except the first.
        headers: async () => {
          if (!isFirst) await new Promise((resolve) => setTimeout(resolve, retryMs));
          isFirst = false;
          return {};
        },
      });
      const controller = source.listen({
        onMessage: ({ data, event, retry }) => {
          retryMs = retry ?? retryMs;
          // It keeps only the last line of data: send JSON.
          report.message(event.startsWith("sse-") ? data : (JSON.parse(data) as string), event);
          if (event === "done") controller.abort();
        },
        onResponse: ({ response }) => {
          if (response.status === 204) controller.abort();
          else report.open();
        },
        onRequestError: ({ error }) => report.error(error),
        onResponseError: ({ error }) => report.error(error),
      });
      // After Chromium has frozen the page, the stream gives no more events.
      document.addEventListener("resume", () => {
        if (!controller.signal.aborted) controller.reconnect();
      });
      return () => controller.abort();
    },
    // #endregion
  },
  {
    ...COMMON,
    name: "sse.js",
    from: "sse.js",
    runsIn: "chromium",
    connect: async (url, report) => {
      const { SSE } = await import("sse.js");
      const source = new SSE(url);
      source.addEventListener("open", () => report.open());
      source.addEventListener("error", ({ data }: { data: string }) => report.error(data));
      for (const type of ["message", "price", "done", "sse-reset"]) {
        source.addEventListener(type, ({ data }: { data: string }) => report.message(data, type));
      }
      source.addEventListener("readystatechange", ({ readyState }: { readyState: number }) => {
        if (readyState === SSE.CLOSED) report.end();
      });
      return () => source.close();
    },
  },
  {
    ...COMMON,
    name: "sse.js, set to come back",
    from: "sse.js",
    runsIn: "chromium",
    recipeFor: "sse.js",
    recipe: "sse.js",
    // #region sse.js
    connect: async (url, report) => {
      const { SSE } = await import("sse.js");
      const source = new SSE(url, {
        headers: { Accept: "text/event-stream" },
        autoReconnect: true,
        useLastEventId: true,
      });
      source.addEventListener("open", ({ responseCode }: { responseCode: number }) => {
        if (responseCode === 204) source.close();
        else report.open();
      });
      source.addEventListener("error", ({ data }: { data: string }) => report.error(data));
      for (const type of ["message", "price", "done", "sse-reset"]) {
        source.addEventListener(type, ({ data }: { data: string }) => report.message(data, type));
      }
      source.addEventListener("done", () => source.close());
      return () => source.close();
    },
    // #endregion
  },
];
