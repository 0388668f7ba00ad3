/// <reference lib="dom" />
// The family of libraries that a page uses through attributes: the application gets what they swap in.
import { HTML } from "./client.js";
import type { Client, Dialect, Report } from "./client.js";
import { reopen } from "./event-source.js";

/** Inserts markup into the page and reports elements appended to `#seen`. Returns a function that removes it. */
function mount(markup: string, report: Report): () => void {
  const host = document.createElement("div");
  host.innerHTML = markup;
  const observer = new MutationObserver((records) => {
    for (const { addedNodes } of records) {
      for (const node of addedNodes) {
        if (node instanceof HTMLParagraphElement) {
          report.message(node.textContent.trim(), node.className.split(" ")[0]);
        }
      }
    }
  });
  observer.observe(host, { childList: true, subtree: true });
  document.body.append(host);
  return () => host.remove();
}

function hearDocument(types: readonly string[], listener: (event: CustomEvent) => void): void {
  for (const type of types) {
    document.addEventListener(type, (event) => listener(event as CustomEvent));
  }
}

async function connectHtmx2(markup: string, report: Report): Promise<() => void> {
  const { default: htmx } = await import("htmx2");
  // The extension expects it there.
  Object.assign(globalThis, { htmx });
  await import("htmx-ext-sse");
  hearDocument(["htmx:sseOpen"], () => report.open());
  hearDocument(["htmx:sseError"], ({ detail }) =>
    report.error((detail as { error: unknown }).error),
  );
  hearDocument(["htmx:sseClose"], () => report.end());
  const unmount = mount(markup, report);
  htmx.process(document.body);
  return unmount;
}

async function connectHtmx4(markup: string, report: Report): Promise<() => void> {
  const { default: htmx } = await import("htmx4");
  Object.assign(globalThis, { htmx });
  await import("htmx4/dist/ext/hx-sse.js");
  hearDocument(["htmx:sse:after:connection"], () => report.open());
  hearDocument(["htmx:sse:error", "htmx:error"], ({ detail }) =>
    report.error((detail as { error: unknown }).error),
  );
  hearDocument(["htmx:sse:close"], () => report.end());
  hearDocument(["price", "done", "sse-reset"], ({ type, detail }) => {
    const { data } = detail as { data: string };
    report.message(data.replace(/<[^>]*>/g, ""), type);
  });
  const unmount = mount(markup, report);
  htmx.process(document.body);
  return unmount;
}

const turbo = (text: string): string =>
  `<turbo-stream action="append" target="seen"><template><p>${text}</p></template></turbo-stream>`;

const TURBO: Dialect = {
  message: (text) => ({ data: turbo(text) }),
  named: (text) => ({ event: "price", data: turbo(text) }),
  lines: { message: { data: turbo("lines").replaceAll("><", ">\n<") }, text: "lines" },
  last: { message: { data: turbo("all") }, text: "all" },
};

async function connectTurbo(markup: string, report: Report): Promise<() => void> {
  await import("@hotwired/turbo");
  return mount(markup, report);
}

/** A Datastar event has one line per argument. */
const datastar = (text: string): { event: string; data: string } => ({
  event: "datastar-merge-fragments",
  data: `selector #seen\nmergeMode append\nfragments <p>${text}</p>`,
});

const DATASTAR: Dialect = {
  message: datastar,
  named: (text) => ({ event: "price", data: text }),
  lines: { message: datastar("lines"), text: "lines" },
  last: { message: datastar("all"), text: "all" },
};

async function connectDatastar(
  markup: string,
  report: Report,
): Promise<{ unmount: () => void; Datastar: { apply(element: Element): void } }> {
  const unmount = mount(markup, report);
  hearDocument(["datastar-sse"], ({ detail }) => {
    const { type } = detail as { type: string };
    if (type === "finished") report.end();
    if (type === "error") report.error("error");
  });
  const { Datastar } = await import("@starfederation/datastar/dist/bundles/datastar.js");
  return { unmount, Datastar };
}

export const PAGES: readonly Client[] = [
  {
    name: "htmx 2",
    from: "htmx2",
    runsIn: "chromium",
    reads: "events",
    dialect: HTML,
    connect: async (url, report) =>
      connectHtmx2(
        `<div hx-ext="sse" sse-connect="${url}">
          <div id="seen" sse-swap="message,price,done" hx-swap="beforeend"></div>
        </div>`,
        report,
      ),
  },
  {
    name: "htmx 2, closed at the end",
    from: "htmx2",
    runsIn: "chromium",
    reads: "events",
    dialect: HTML,
    recipeFor: "htmx 2",
    recipe: "htmx 2",
    connect: async (url, report) =>
      connectHtmx2(
        // #region htmx 2
        `<div hx-ext="sse" sse-connect="${url}" sse-close="done">
          <div id="seen" sse-swap="message,price,done" hx-swap="beforeend"></div>
        </div>`,
        // #endregion
        report,
      ),
  },
  {
    name: "htmx 4",
    from: "htmx4",
    runsIn: "chromium",
    reads: "events",
    dialect: HTML,
    connect: async (url, report) =>
      connectHtmx4(
        `<div hx-sse:connect="${url}" hx-target="#seen" hx-swap="beforeend"></div><div id="seen"></div>`,
        report,
      ),
  },
  {
    name: "htmx 4, closed at the end",
    from: "htmx4",
    runsIn: "chromium",
    reads: "events",
    dialect: HTML,
    recipeFor: "htmx 4",
    recipe: "htmx 4",
    connect: async (url, report) =>
      connectHtmx4(
        // #region htmx 4
        // It does not come back if the first request fails: try every 5 s while it is not connected.
        `<div hx-sse:connect="${url}" hx-sse:close="done" hx-trigger="load, every 5s"
          hx-on:htmx:sse:close="if (event.detail.reason === 'message') this.remove()"
          hx-target="#seen" hx-swap="beforeend"></div>
        <div id="seen"></div>`,
        // #endregion
        report,
      ),
  },
  {
    name: "Turbo",
    from: "@hotwired/turbo",
    runsIn: "chromium",
    reads: "events",
    dialect: TURBO,
    connect: async (url, report) =>
      connectTurbo(
        `<turbo-stream-source src="${url}"></turbo-stream-source><div id="seen"></div>`,
        report,
      ),
  },
  {
    name: "Turbo, reopened",
    from: "@hotwired/turbo",
    runsIn: "chromium",
    reads: "events",
    dialect: { ...TURBO, last: { message: { event: "done", data: "all" }, text: "all" } },
    recipeFor: "Turbo",
    recipe: "Turbo",
    // #region Turbo
    connect: async (url, report) => {
      const { connectStreamSource } = await import("@hotwired/turbo");
      // In place of <turbo-stream-source>: the function `reopen` shown for EventSource.
      const open = (address: string): EventSource => {
        const source = new EventSource(address);
        connectStreamSource(source);
        return source;
      };
      const unmount = mount(`<div id="seen"></div>`, report);
      const stop = reopen(open, url, report);
      return () => {
        stop();
        unmount();
      };
    },
    // #endregion
  },
  {
    name: "Datastar",
    from: "@starfederation/datastar",
    runsIn: "chromium",
    reads: "events",
    dialect: DATASTAR,
    connect: async (url, report) => {
      const { unmount } = await connectDatastar(
        `<div data-on-load="sse('${url}')"></div><div id="seen"></div>`,
        report,
      );
      return unmount;
    },
  },
  {
    name: "Datastar, mounted again",
    from: "@starfederation/datastar",
    runsIn: "chromium",
    reads: "events",
    dialect: {
      ...DATASTAR,
      // The last message removes the element that owns the stream.
      last: {
        message: {
          event: "datastar-merge-fragments",
          data: 'selector #stream\nmergeMode outer\nfragments <p id="stream">all</p>',
        },
        text: "all",
      },
    },
    recipeFor: "Datastar",
    recipe: "Datastar",
    hub: { reconnectAfter: "cut" },
    connect: async (url, report) => {
      const { unmount, Datastar } = await connectDatastar(
        `<div id="stream" data-on-load="sse('${url}')"></div><div id="seen"></div>`,
        report,
      );
      // #region Datastar
      // `finished` follows an orderly end or an error: ask again if the element is still there.
      document.addEventListener("datastar-sse", (event) => {
        if ((event as CustomEvent<{ type: string }>).detail.type !== "finished") return;
        setTimeout(() => {
          const element = document.querySelector<HTMLElement>("div#stream");
          if (element === null) return;
          element.dataset["onLoad"] = `sse('${url}')`;
          Datastar.apply(element);
        }, 2_000);
      });
      // #endregion
      return unmount;
    },
  },
];
