/** The hooks for React: one stream for a mounted component, and no event lost or doubled, whatever React does to it. */

import { setTimeout as delay } from "node:timers/promises";
import type { Status } from "@tidewire/client";
import { useEvents, useStatus, useStream } from "@tidewire/client/react";
import type { StreamHandle, StreamUrl, UseStreamOptions } from "@tidewire/client/react";
import type { Session } from "@tidewire/core";
import { Activity, StrictMode, Suspense, createElement as h, memo, use, useState } from "react";
import type { ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "../client.js";
import { renderInto } from "./react-root.js";
import { ended, script, status, stream } from "./scripted-server.js";
import { serve } from "./served.js";

type Channels = { news: { n: number; message: unknown } };

const FAST = { reconnectionTimeMs: 100 };

/** Keeps what the newest render's handler has got, and renders it. */
function List({
  url,
  name = "",
  options = FAST,
  seen,
}: {
  readonly url: StreamUrl;
  readonly name?: string;
  readonly options?: UseStreamOptions;
  readonly seen: unknown[];
}): ReactNode {
  const [items, setItems] = useState<readonly number[]>([]);
  useEvents(useStream<Channels>(url, options), {
    n: (n) => {
      seen.push(`${name}${n}`);
      setItems((before) => [...before, n]);
    },
  });
  return `${name}${items.join()}`;
}

/** A server on which every stream follows `news`. */
async function serveNews(): Promise<{
  readonly url: string;
  /** Last event IDs that the requests have reported. */
  readonly asked: readonly string[];
  readonly urls: readonly string[];
  readonly count: () => number;
  readonly publish: (data: number) => Promise<{ readonly id: string }>;
}> {
  const asked: string[] = [];
  const urls: string[] = [];
  const { hub, url } = await serve(({ sse, request }) => {
    asked.push(sse.lastEventId);
    urls.push(request.url ?? "");
    void sse.subscribe("news");
  });
  return {
    url,
    asked,
    urls,
    count: () => hub.stats().sessions.live,
    publish: (data) => hub.publish("news", { event: "n", data }),
  };
}

describe("A component with useStream and useEvents", () => {
  it("has one stream under StrictMode, which mounts twice, and calls the handler once for each event", async () => {
    const news = await serveNews();
    const seen: unknown[] = [];
    const root = renderInto(h(StrictMode, null, h(List, { url: news.url, seen })));
    await eventually("the stream", () => news.count() === 1);
    for (const n of [1, 2, 3]) await news.publish(n);
    await eventually(
      () => `three events, got ${root.text}`,
      () => root.text === "1,2,3",
    );
    expect(seen).toEqual(["1", "2", "3"]);
    expect(news.asked).toEqual([""]);
    root.unmount();
    await eventually("no stream", () => news.count() === 0);
    await delay(300);
    expect(news.asked).toHaveLength(1);
  });

  it("calls the functions of the newest render, and opens no other stream for them", async () => {
    const news = await serveNews();
    const seen: unknown[] = [];
    const options = (): UseStreamOptions => ({
      ...FAST,
      headers: { "x-a": "1" },
      fetch: (...args) => fetch(...args),
    });
    const root = renderInto(h(List, { url: news.url, name: "a", options: options(), seen }));
    await eventually("the stream", () => news.count() === 1);
    await news.publish(1);
    await eventually("an event", () => root.text === "a1");
    root.render(h(List, { url: news.url, name: "b", options: options(), seen }));
    await eventually("another render", () => root.text === "b1");
    await news.publish(2);
    await eventually("an event", () => root.text === "b1,2");
    expect(seen).toEqual(["a1", "b2"]);
    expect(news.asked).toHaveLength(1);
  });

  it("follows another URL, and other options, from the same position: no event is lost or doubled", async () => {
    const news = await serveNews();
    const seen: unknown[] = [];
    const sent: string[] = [];
    const root = renderInto(h(List, { url: news.url, seen }));
    await eventually("the stream", () => news.count() === 1);
    for (let n = 1; n <= 60; n++) {
      await news.publish(n);
      sent.push(`${n}`);
      const options = { ...FAST, headers: { "x-round": `${Math.floor(n / 20)}` } };
      if (n % 5 === 0) root.render(h(List, { url: `${news.url}?${n}`, options, seen }));
      await delay(n % 3);
    }
    await eventually(
      () => `all events, got ${seen.join()}`,
      () => seen.length >= sent.length,
    );
    expect(seen).toEqual(sent);
    await eventually("the last URL", () => news.urls.at(-1) === "/?60");
    await eventually("one stream", () => news.count() === 1);
    expect(news.asked.length).toBeGreaterThan(2);
    expect(news.asked.slice(1)).not.toContain("");
  });

  it("closes its stream for a URL of `null`, and begins anew with the next one", async () => {
    const news = await serveNews();
    const seen: unknown[] = [];
    const root = renderInto(h(List, { url: null, seen }));
    await delay(50);
    expect(news.asked).toEqual([]);
    root.render(h(List, { url: news.url, seen }));
    await eventually("the stream", () => news.count() === 1);
    await news.publish(1);
    await eventually("an event", () => root.text === "1");
    root.render(h(List, { url: undefined, seen }));
    await eventually("no stream", () => news.count() === 0);
    root.render(h(List, { url: new URL(news.url), seen }));
    await eventually("the stream", () => news.count() === 1);
    expect(news.asked).toEqual(["", ""]);
  });

  it("goes on where it was when React shows a hidden component again", async () => {
    const news = await serveNews();
    const seen: unknown[] = [];
    const show = (mode: "visible" | "hidden"): ReactNode =>
      h(Activity, { mode, children: h(List, { url: news.url, seen }) });
    const root = renderInto(show("visible"));
    await eventually("the stream", () => news.count() === 1);
    await news.publish(1);
    await eventually("an event", () => seen.length === 1);
    root.render(show("hidden"));
    await eventually("no stream", () => news.count() === 0);
    await news.publish(2);
    root.render(show("visible"));
    await news.publish(3);
    await eventually("all events", () => seen.length === 3);
    expect(seen).toEqual(["1", "2", "3"]);
  });

  it("begins at `lastEventId`, and anew if that changes", async () => {
    const server = await script(stream("id: 5\nevent: n\ndata: 5\n\n"));
    const seen: unknown[] = [];
    const at = (lastEventId: string): ReactNode =>
      h(List, { url: server.url, options: { lastEventId }, seen });
    const root = renderInto(h(StrictMode, null, at("1")));
    await eventually("an event", () => seen.length === 1);
    root.render(h(StrictMode, null, at("1")));
    root.render(h(StrictMode, null, at("9")));
    await eventually("another event", () => seen.length === 2);
    expect(server.asked.map(({ headers }) => headers["last-event-id"])).toEqual(["1", "9"]);
  });

  it("calls `onReset` and `onStatus`, and listens for types that come later", async () => {
    const server = await script(
      stream('event: sse-reset\ndata: {"reason":"unknown","channels":["a"]}\n\ndata: 1\n\n'),
    );
    const seen: unknown[] = [];
    function Page(props: { readonly isLate: boolean; readonly token?: string }): ReactNode {
      const { isLate, token = "1" } = props;
      useEvents(
        useStream<Channels>(server.url, { headers: { token } }),
        isLate ? { message: (data) => seen.push(data) } : {},
        {
          onReset: ({ channels }) => seen.push(channels),
          onStatus: ({ state }) => seen.push(state),
        },
      );
      return isLate ? "late" : "";
    }
    const root = renderInto(h(Page, { isLate: false }));
    await eventually("a reset", () => seen.length === 2);
    expect(seen).toEqual(["open", ["a"]]);
    root.render(h(Page, { isLate: true }));
    await eventually("another render", () => root.text === "late");
    server.cut();
    await eventually("an event", () => seen.includes(1));
    expect(seen.splice(0)).toEqual(["open", ["a"], "waiting", "connecting", "open", ["a"], 1]);
    // Another stream takes the place of the one that is open: that is no end.
    root.render(h(Page, { isLate: true, token: "2" }));
    await eventually("an event", () => seen.includes(1));
    expect(seen).toEqual(["connecting", "open", ["a"], 1]);
  });

  it("sends a POST once, again for another body, and not again for another header once it is complete", async () => {
    const server = await script(ended("id: 1\nevent: n\ndata: 1\n\nid: ~end\ndata: {}\n\n"));
    const seen: unknown[] = [];
    const ask = (body: string, token: string): ReactNode =>
      h(
        StrictMode,
        null,
        h(List, { url: server.url, options: { body, headers: { token } }, seen }),
      );
    const root = renderInto(ask("a", "1"));
    await eventually("the answer", () => seen.length === 1);
    await delay(50);
    root.render(ask("a", "2"));
    await delay(50);
    root.render(ask("b", "2"));
    await eventually("the other answer", () => seen.length === 2);
    const asked = server.asked.map(({ body, headers }) => [body, headers["last-event-id"]]);
    expect(asked).toEqual([
      ["a", undefined],
      ["b", undefined],
    ]);
  });

  it("starts a POST with another body from the beginning", async () => {
    const server = await script(stream("id: 1\nevent: n\ndata: 1\n\n"));
    const seen: unknown[] = [];
    const ask = (body: string): ReactNode => h(List, { url: server.url, options: { body }, seen });
    const root = renderInto(ask("a"));
    await eventually("an event", () => seen.length === 1);
    root.render(ask("b"));
    await eventually("another event", () => seen.length === 2);
    expect(server.asked[1]).toMatchObject({ body: "b" });
    expect(server.asked[1]?.headers).not.toHaveProperty("last-event-id");
  });

  it("does not hurry a server that has asked for time, whatever the URL", async () => {
    const server = await script(status(503, { "Retry-After": "60" }));
    const seen: unknown[] = [];
    const root = renderInto(h(List, { url: server.url, seen }));
    await eventually("a request", () => server.asked.length === 1);
    await delay(100);
    root.render(h(List, { url: `${server.url}other`, seen }));
    await delay(300);
    expect(server.asked).toHaveLength(1);
  });

  it("renews credentials once for all components with the same function", async () => {
    const server = await script((response, request, asked) => {
      const isValid = request.headers.authorization === "new";
      (isValid ? stream("event: n\ndata: 1\n\n") : status(401))(response, request, asked);
    });
    let token = "old";
    let renewals = 0;
    const onUnauthorized = async (): Promise<void> => {
      renewals += 1;
      await delay(20);
      token = "new";
    };
    const seen: unknown[] = [];
    const page = (): ReactNode[] =>
      ["a", "b", "c"].map((name) =>
        h(List, {
          key: name,
          name,
          url: server.url,
          options: { headers: () => ({ authorization: token }), onUnauthorized },
          seen,
        }),
      );
    renderInto(page());
    await eventually("all streams", () => seen.length === 3);
    expect(renewals).toBe(1);
  });

  it("throws a mistake to the error boundary", async () => {
    const root = renderInto(
      h(List, {
        url: "http://localhost/",
        options: { heartbeat: 1 } as UseStreamOptions,
        seen: [],
      }),
    );
    await eventually("an error", () => root.errors.length === 1);
    expect(String(root.errors[0])).toMatch(/^TypeError: Unknown option `heartbeat`/);
    const other = renderInto(h(List, { url: "ftp://localhost/", seen: [] }));
    await eventually("an error", () => other.errors.length === 1);
    expect(String(other.errors[0])).toMatch(/^TypeError: Expected `url`/);
  });

  it("opens no stream for a component that React renders and drops", async () => {
    const server = await script(stream());
    const never = new Promise<never>(() => {});
    function Suspended(): ReactNode {
      useEvents(useStream(server.url), {});
      return use(never);
    }
    const root = renderInto(h(Suspense, { fallback: "wait" }, h(Suspended)));
    await eventually("the fallback", () => root.text === "wait");
    await delay(50);
    expect(server.asked).toEqual([]);
  });
});

describe("A stream that is passed on", () => {
  it("serves components below, which have their handlers before it opens", async () => {
    const server = await script(
      stream("event: n\ndata: 1\n\nevent: n\ndata: 2\n\n"),
      () => {},
      stream(),
    );
    const seen: unknown[] = [];
    const Child = memo(({ of, name }: { of: StreamHandle<Channels>; name: string }): ReactNode => {
      useEvents(of, { n: (n) => seen.push(`${name}${n}`) });
      return `${name} ${useStatus(of).state} `;
    });
    function Page({ url }: { readonly url: StreamUrl }): ReactNode {
      const of = useStream<Channels>(url);
      return [h(Child, { of, name: "a", key: 1 }), h(Child, { of, name: "b", key: 2 })];
    }
    const show = (url: StreamUrl): ReactNode => h(StrictMode, null, h(Page, { url }));
    const root = renderInto(show(server.url));
    await eventually(
      () => `both open, got ${root.text}`,
      () => root.text === "a open b open ",
    );
    await eventually("all events", () => seen.length === 4);
    expect(seen).toEqual(["a1", "b1", "a2", "b2"]);
    expect(server.asked).toHaveLength(1);
    // The components below are not rendered by the one above.
    root.render(show(null));
    await eventually("both closed", () => root.text === "a closed b closed ");
    root.render(show(server.url));
    await eventually("both connecting", () => root.text === "a connecting b connecting ");
    root.render(show(`${server.url}other`));
    await eventually("both open", () => root.text === "a open b open ");
  });

  it("may be closed and opened again by hand, and stays closed when it is shown again", async () => {
    const news = await serveNews();
    const handles: StreamHandle<Channels>[] = [];
    function Page(): ReactNode {
      const of = useStream<Channels>(news.url, FAST);
      handles.push(of);
      return useStatus(of).state;
    }
    const show = (mode: "visible" | "hidden"): ReactNode =>
      h(Activity, { mode, children: h(Page) });
    const root = renderInto(show("visible"));
    await eventually("the stream", () => root.text === "open");
    const [handle] = handles as [StreamHandle<Channels>];
    const { id } = await news.publish(1);
    await eventually("a position", () => handle.lastEventId === id);
    expect(handle.reopen()).toBe(true);
    await eventually("another request", () => news.asked.length === 2);
    expect(news.asked[1]).toBe(id);
    handle.close();
    await eventually("closed", () => root.text === "closed");
    root.render(show("hidden"));
    await eventually("hidden", () => root.text === "");
    root.render(show("visible"));
    await eventually("shown", () => root.text === "closed");
    await delay(100);
    expect(root.text).toBe("closed");
    expect(handle.reopen()).toBe(false);
    expect(news.asked).toHaveLength(2);
    expect(new Set(handles).size).toBe(1);
  });
});

describe("useStatus", () => {
  it("renders every state with its reason, also after another URL", async () => {
    const server = await script(status(502), stream(), ended("id: ~end\ndata: {}\n\n"), stream());
    const statuses: Status[] = [];
    function Page({ url }: { readonly url: string | null }): ReactNode {
      const now = useStatus(useStream(url, FAST));
      if (statuses.at(-1) !== now) statuses.push(now);
      return now.state;
    }
    const root = renderInto(h(Page, { url: server.url }));
    await eventually("open", () => root.text === "open");
    expect(statuses).toMatchObject([
      { state: "connecting", failures: 0 },
      { state: "waiting", reason: "status", httpStatus: 502 },
      { state: "connecting", failures: 1 },
      { state: "open" },
    ]);
    server.cut();
    await eventually("closed", () => root.text === "closed");
    expect(statuses.at(-1)).toMatchObject({ state: "closed", reason: "completed" });
    root.render(h(Page, { url: `${server.url}other` }));
    await eventually("open again", () => root.text === "open");
    root.render(h(Page, { url: null }));
    await eventually("closed again", () => root.text === "closed");
    expect(statuses.at(-1)).toEqual({ state: "closed", reason: "close" });
  });
});

describe("On the server", () => {
  function Page({ url }: { readonly url: string | null }): ReactNode {
    const of = useStream(url);
    useEvents(of, {});
    return h("p", null, useStatus(of).state);
  }

  it("renders `connecting` and opens nothing, and the page takes over from there", async () => {
    const server = await script(stream());
    const html = renderToString(h(StrictMode, null, h(Page, { url: server.url })));
    expect(html).toBe("<p>connecting</p>");
    expect(renderToString(h(Page, { url: null }))).toBe("<p>closed</p>");
    await delay(50);
    expect(server.asked).toEqual([]);
    const root = renderInto(h(StrictMode, null, h(Page, { url: server.url })), html);
    await eventually("open", () => root.text === "open");
    expect(server.asked).toHaveLength(1);
    expect(root.errors).toEqual([]);
  });

  it("renders the status with which the page begins, also where React hydrates late", async () => {
    const server = await script(stream());
    let finish = (): void => {};
    const loaded = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const statuses: Status[] = [];
    function Late(props: {
      readonly of: StreamHandle<Channels>;
      readonly isServer: boolean;
    }): ReactNode {
      if (!props.isServer) use(loaded);
      return useStatus(props.of).state;
    }
    function Above({ isServer }: { readonly isServer: boolean }): ReactNode {
      const of = useStream<Channels>(server.url);
      useEvents(of, {}, { onStatus: (now) => void statuses.push(now) });
      return h(Suspense, null, h(Late, { of, isServer }));
    }
    const html = renderToString(h(Above, { isServer: true }));
    const root = renderInto(h(Above, { isServer: false }), html);
    await eventually("open", () => statuses.at(-1)?.state === "open");
    expect(root.text).toBe("connecting");
    finish();
    await eventually("open", () => root.text === "open");
    expect(root.errors).toEqual([]);
  });
});

it("A component that is unmounted leaves no connection and no listener", async () => {
  const added: string[] = [];
  Object.assign(globalThis, {
    addEventListener: (type: string) => added.push(type),
    removeEventListener: (type: string) => added.splice(added.indexOf(type), 1),
  });
  onTestFinished(() => {
    Reflect.deleteProperty(globalThis, "addEventListener");
    Reflect.deleteProperty(globalThis, "removeEventListener");
  });
  let session: Session | undefined;
  const served = await serve(({ sse }) => {
    session = sse;
    void sse.subscribe("news");
  });
  const root = renderInto(h(StrictMode, null, h(List, { url: served.url, seen: [] })));
  await eventually("the stream", () => served.hub.stats().sessions.live === 1);
  expect(added).toHaveLength(4);
  root.unmount();
  await eventually("the end of the session", () => session?.state === "closed");
  expect(added).toEqual([]);
});
