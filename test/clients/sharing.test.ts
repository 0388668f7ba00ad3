/// <reference lib="dom" />
// Which tabs share a stream, and what each of them gets: the rules of the option `share` in real browsers.
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { ConnectOptions, EventStream, connect as Connect } from "@tidewire/client";
import { createHub } from "@tidewire/core";
import type { Hub, Session } from "@tidewire/core";
import type { Page } from "puppeteer-core";
import { beforeAll, expect, it, onTestFinished } from "vitest";
import { eventually } from "../client.js";
import { bundleFiles, describeInBrowsers } from "./in-browsers.js";

declare const connect: typeof Connect;

type Events = { news: { n: number } };
type Options = Pick<
  ConnectOptions,
  "headers" | "share" | "lastEventId" | "maxBufferedEvents" | "reconnectionTimeMs"
> & { readonly url?: string };

/** Received events and statuses, kept in the page of a tab. */
interface Kept {
  readonly stream: EventStream<Events>;
  readonly numbers: number[];
  /** The position after each of them. */
  readonly ids: string[];
  readonly resets: string[];
  readonly statuses: string[];
}

declare const kept: Kept;

const PAGE = '<!doctype html><title>Tab</title><script type="module" src="/page.js"></script>';

describeInBrowsers((name, browser) => {
  let scripts: ReadonlyMap<string, string>;

  beforeAll(async () => {
    scripts = await bundleFiles("client-page.ts");
  });

  interface Served {
    readonly hub: Hub;
    /** The sessions that are open. */
    readonly sessions: Set<Session>;
    /** The requests for streams, by URL, with their authorization. */
    readonly asked: string[];
    /** Publishes the next number. */
    publish(): Promise<unknown>;
    open(): Promise<Page>;
    /** From now on, the server has only pages and streams. */
    forget(): void;
  }

  /** Serves pages, and streams at `/events`. */
  async function serve(
    handle: (session: Session, response: http.ServerResponse) => void = (session) =>
      void session.subscribe("news"),
  ): Promise<Served> {
    const hub = createHub({ heartbeatMs: 1_000, reconnectionTimeMs: 100 });
    const sessions = new Set<Session>();
    const asked: string[] = [];
    let hasForgotten = false;
    const server = http.createServer((request, response) => {
      const { url = "/", headers } = request;
      if (url.startsWith("/events")) {
        asked.push(`${url} ${headers.authorization ?? ""}`.trim());
        const session = hub.createSession({ request, response });
        sessions.add(session);
        response.on("close", () => sessions.delete(session));
        handle(session, response);
        return;
      }
      // For frames that are sandboxed, and of no origin.
      response.setHeader("Access-Control-Allow-Origin", "*");
      const script = hasForgotten ? undefined : scripts.get(url.slice(1));
      response.setHeader("Content-Type", script === undefined ? "text/html" : "text/javascript");
      response.end(script ?? PAGE);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const origin = `http://localhost:${(server.address() as AddressInfo).port}`;
    const pages: Page[] = [];
    onTestFinished(async () => {
      await Promise.all(pages.map((page) => page.close()));
      await hub.close();
      server.close();
      server.closeAllConnections();
    });
    let published = 0;
    return {
      hub,
      sessions,
      asked,
      forget() {
        hasForgotten = true;
      },
      publish() {
        published += 1;
        return hub.publish("news", { event: "n", data: published });
      },
      async open() {
        const page = await browser().newPage({ type: "window" });
        pages.push(page);
        await page.goto(origin);
        await page.waitForFunction(() => "connect" in globalThis);
        return page;
      },
    };
  }

  /** Follows a stream in a page. */
  async function follow(page: Page, options: Options = {}): Promise<void> {
    await page.evaluate(({ url = "/events", ...rest }: Options) => {
      const stream = connect<Events>(url, { share: true, ...rest });
      const made: Kept = { stream, numbers: [], ids: [], resets: [], statuses: [] };
      stream.on("n", (n, { lastEventId }) => {
        made.numbers.push(n);
        made.ids.push(lastEventId);
      });
      stream.onReset(({ reason }) => made.resets.push(reason));
      stream.onStatus((status) => {
        made.statuses.push(status.state === "closed" ? `closed: ${status.reason}` : status.state);
      });
      Object.assign(globalThis, { kept: made });
    }, options as never);
  }

  async function read(page: Page): Promise<{
    numbers: number[];
    resets: string[];
    statuses: string[];
    state: string;
    id: string;
  }> {
    return page.evaluate(() => {
      const { numbers, resets, statuses, stream } = kept;
      return { numbers, resets, statuses, state: stream.status.state, id: stream.lastEventId };
    });
  }

  async function untilOpen(page: Page): Promise<void> {
    await expect.poll(async () => (await read(page)).state, { timeout: 10_000 }).toBe("open");
  }

  async function untilNumbers(page: Page, numbers: readonly number[]): Promise<void> {
    await expect.poll(async () => (await read(page)).numbers, { timeout: 10_000 }).toEqual(numbers);
  }

  it.each<[string, Options[], string[]]>([
    [
      "another URL or other headers",
      [
        {},
        {},
        { url: "/events?channel=b" },
        { headers: { authorization: "a" } },
        { headers: { authorization: "b" } },
        { headers: { authorization: "a" } },
      ],
      ["/events", "/events?channel=b", "/events a", "/events b"],
    ],
    [
      "another reader, whatever their headers are,",
      [
        { share: "ann", headers: { authorization: "a" } },
        { share: "bob", headers: { authorization: "a" } },
        { share: "ann", headers: { authorization: "b" } },
        { share: false },
      ],
      ["/events a", "/events a", "/events"],
    ],
  ])("tabs with %s have a stream of their own", async (_, tabs, asked) => {
    const served = await serve();
    for (const options of tabs) {
      const page = await served.open();
      await follow(page, options);
      await untilOpen(page);
    }
    expect(served.asked).toEqual(asked);
  });

  it("a late tab is open at once, at the position of the others", async () => {
    const served = await serve();
    const first = await served.open();
    await follow(first);
    await untilOpen(first);
    await served.publish();
    await untilNumbers(first, [1]);
    const late = await served.open();
    await follow(late);
    await untilOpen(late);
    expect((await read(late)).id).toBe((await read(first)).id);
    await served.publish();
    await untilNumbers(first, [1, 2]);
    await untilNumbers(late, [2]);
    expect(served.asked).toHaveLength(1);
  });

  it("a late tab with a position gets what follows it, and a reset if the others do not know it", async () => {
    const served = await serve();
    const first = await served.open();
    await follow(first);
    await untilOpen(first);
    await served.publish();
    await untilNumbers(first, [1]);
    const { id } = await read(first);
    await served.publish();
    await served.publish();
    await untilNumbers(first, [1, 2, 3]);
    const known = await served.open();
    await follow(known, { lastEventId: id });
    await untilNumbers(known, [2, 3]);
    const unknown = await served.open();
    await follow(unknown, { lastEventId: "made-up" });
    await untilOpen(unknown);
    await served.publish();
    await untilNumbers(unknown, [4]);
    await untilNumbers(known, [2, 3, 4]);
    expect((await read(known)).resets).toEqual([]);
    expect((await read(unknown)).resets).toEqual(["unknown"]);
    expect(served.asked).toHaveLength(1);
  });

  it("a broken stream shows in all tabs, and all of them get every event", async () => {
    const served = await serve();
    const tabs = [await served.open(), await served.open(), await served.open()];
    for (const page of tabs) {
      await follow(page);
      await untilOpen(page);
    }
    for (const session of served.sessions) session.close();
    await served.publish();
    for (const page of tabs) {
      await untilNumbers(page, [1]);
      const { statuses } = await read(page);
      expect(statuses.slice(-3)).toEqual(["waiting", "connecting", "open"]);
    }
    expect(served.asked).toHaveLength(2);
  });

  it("complete() ends the stream of all tabs", async () => {
    const served = await serve();
    const tabs = [await served.open(), await served.open()];
    for (const page of tabs) {
      await follow(page);
      await untilOpen(page);
    }
    for (const session of served.sessions) void session.complete({ event: "n", data: 99 });
    for (const page of tabs) {
      await untilNumbers(page, [99]);
      await expect.poll(async () => (await read(page)).statuses.at(-1)).toBe("closed: completed");
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(served.asked).toHaveLength(1);
  });

  it("a refusal closes the stream of the tab that was refused, and the next one tries with its own headers", async () => {
    let valid = "";
    const served = await serve((session, response) => {
      if (session.request === undefined) return;
      const { authorization } = (session.request as http.IncomingMessage).headers;
      if (valid === "" || authorization === valid) return void session.subscribe("news");
      response.writeHead(401).end();
    });
    const [first, second] = [await served.open(), await served.open()];
    await follow(first, { share: "ann", headers: { authorization: "old" } });
    await untilOpen(first);
    await follow(second, { share: "ann", headers: { authorization: "new" } });
    await untilOpen(second);
    valid = "new";
    for (const session of served.sessions) session.close();
    await served.publish();
    await untilNumbers(second, [1]);
    expect((await read(first)).statuses.at(-1)).toBe("closed: unauthorized");
    expect((await read(second)).statuses.at(-1)).toBe("open");
  });

  it("a tab that closes its stream leaves the others theirs, and no lock behind", async () => {
    const served = await serve();
    const tabs = [await served.open(), await served.open()];
    for (const page of tabs) {
      await follow(page);
      await untilOpen(page);
    }
    const locksOf = (page: Page): Promise<number> =>
      page.evaluate(async () => {
        const { held = [], pending = [] } = await navigator.locks.query();
        return held.length + pending.length;
      });
    expect(await locksOf(tabs[0]!)).toBe(2);
    await tabs[0]!.evaluate(() => kept.stream.close());
    await served.publish();
    await untilNumbers(tabs[1]!, [1]);
    expect((await read(tabs[0]!)).statuses.at(-1)).toBe("closed: close");
    await tabs[1]!.evaluate(() => kept.stream.close());
    await expect.poll(() => locksOf(tabs[1]!)).toBe(0);
    await eventually("the sessions to end", () => served.hub.sessionCount === 0);
  });

  it("a loop that is behind in one tab holds up the stream, and no event is lost", async () => {
    const served = await serve();
    const [first, second] = [await served.open(), await served.open()];
    await follow(first);
    await untilOpen(first);
    await follow(second, { maxBufferedEvents: 10 });
    await untilOpen(second);
    await second.evaluate(() => {
      Object.assign(globalThis, { loop: kept.stream[Symbol.asyncIterator]() });
    });
    // More than the buffers of the browser and of both sockets, one by one.
    const text = "x".repeat(100_000);
    for (let n = 1; n <= 200; n++)
      await served.hub.publish("news", { event: "n", data: { n, text } as never });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const arrived = (await first.evaluate(() => kept.numbers.length)) as number;
    expect(arrived).toBeLessThan(190);
    const taken = await second.evaluate(async () => {
      const { loop } = globalThis as unknown as {
        loop: AsyncIterator<{ type: string; data: { n: number } }>;
      };
      const numbers: number[] = [];
      while (numbers.at(-1) !== 200) {
        const { value } = await loop.next();
        numbers.push((value as { data: { n: number } }).data.n);
      }
      return numbers;
    });
    expect(taken).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    await expect.poll(() => first.evaluate(() => kept.numbers.length)).toBe(200);
  });

  it("a tab opens other channels at its position alone, and the others keep theirs", async () => {
    const served = await serve((session) => {
      const { url = "" } = session.request as http.IncomingMessage;
      void session.subscribe(url.endsWith("b") ? ["news", "b"] : "news");
    });
    const tabs = [await served.open(), await served.open()];
    for (const page of tabs) {
      await follow(page);
      await untilOpen(page);
    }
    await served.publish();
    for (const page of tabs) await untilNumbers(page, [1]);
    await tabs[0]!.evaluate(() => void kept.stream.reopen("/events?b"));
    await served.publish();
    for (const page of tabs) await untilNumbers(page, [1, 2]);
    await served.hub.publish("b", { event: "n", data: 3 });
    await untilNumbers(tabs[0]!, [1, 2, 3]);
    for (const page of tabs) expect((await read(page)).resets).toEqual([]);
  });

  it("a page without Web Locks has its own stream", async () => {
    const served = await serve();
    const tabs = [await served.open(), await served.open()];
    for (const page of tabs) {
      await page.evaluate(() => {
        Object.defineProperty(navigator, "locks", { value: undefined });
      });
      await follow(page);
      await untilOpen(page);
    }
    await served.publish();
    for (const page of tabs) await untilNumbers(page, [1]);
    expect(served.asked).toHaveLength(2);
  });

  it("a page that comes back from the cache of the browser gets what it has missed", async () => {
    const served = await serve();
    const [first, second] = [await served.open(), await served.open()];
    await follow(first);
    await untilOpen(first);
    await follow(second);
    await untilOpen(second);
    await served.publish();
    for (const page of [first, second]) await untilNumbers(page, [1]);
    await first.goto("about:blank");
    await served.publish();
    await untilNumbers(second, [1, 2]);
    await first.goBack();
    const isKept = await first.evaluate(() => "kept" in globalThis);
    // Whether a page is cached is up to the browser.
    if (isKept) await untilNumbers(first, [1, 2]);
    else console.log(`${name}: the page was not cached`);
    expect((await read(second)).resets).toEqual([]);
  });

  it("an error that is no JSON does not end the attempts", async () => {
    const served = await serve();
    const page = await served.open();
    await page.evaluate(() => {
      let isFirst = true;
      const stream = connect<Events>("/events", {
        share: true,
        reconnectionTimeMs: 100,
        fetch(url, request) {
          if (!isFirst) return fetch(url, request);
          isFirst = false;
          const error = new Error("As of a client that puts the request into the error");
          throw Object.assign(error, { cyclic: { error } });
        },
      });
      Object.assign(globalThis, { kept: { stream, numbers: [], resets: [], statuses: [] } });
    });
    await untilOpen(page);
    expect(served.asked).toHaveLength(1);
  });

  it("headers that are never there do not end the attempts", async () => {
    const served = await serve();
    const page = await served.open();
    await page.evaluate(() => {
      let isFirst = true;
      const stream = connect<Events>("/events", {
        share: true,
        connectTimeoutMs: 500,
        headers() {
          if (!isFirst) return {};
          isFirst = false;
          return new Promise<never>(() => {});
        },
      });
      Object.assign(globalThis, { kept: { stream, numbers: [], resets: [], statuses: [] } });
    });
    await untilOpen(page);
    expect(served.asked).toHaveLength(1);
  });

  it("a page that may not use locks or channels has its own stream", async () => {
    const served = await serve();
    const page = await served.open();
    await page.evaluate(() => {
      const frame = document.createElement("iframe");
      frame.sandbox.add("allow-scripts");
      frame.src = "/";
      document.body.append(frame);
    });
    const frame = await page.waitForFrame((given) => given !== page.mainFrame());
    await frame.waitForFunction(() => "connect" in globalThis);
    await frame.evaluate(() => void connect("/events", { share: "ann" }));
    await eventually("a request", () => served.asked.length === 1);
  });

  it("a page whose server no longer has the file for sharing has its own stream", async () => {
    const served = await serve();
    const page = await served.open();
    served.forget();
    await follow(page);
    await untilOpen(page);
    expect(served.asked).toHaveLength(1);
  });
});
