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
/** Data of the events that a loop in the page has taken. */
declare const takenByLoop: Promise<unknown[]>;

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
    // Rare by default: a browser that takes a second or two to open a window must not take that for silence.
    heartbeatMs = 15_000,
  ): Promise<Served> {
    const hub = createHub({ heartbeatMs, reconnectionTimeMs: 100 });
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

  it("the time that the server has asked for holds for the next tab that leads", async () => {
    let isFull = false;
    const times: number[] = [];
    const served = await serve((session, response) => {
      times.push(Date.now());
      if (!isFull) return void session.subscribe("news");
      response.writeHead(503, { "Retry-After": "2" }).end();
    });
    const [first, second] = [await served.open(), await served.open()];
    for (const page of [first, second]) {
      await follow(page);
      await untilOpen(page);
    }
    isFull = true;
    for (const session of served.sessions) session.close();
    await eventually("a refusal", () => times.length > 1);
    for (const page of [first, second]) {
      await expect.poll(async () => (await read(page)).state).toBe("waiting");
    }
    await first.evaluate(() => kept.stream.close());
    const refusedAt = times.at(-1)!;
    isFull = false;
    await expect.poll(async () => (await read(second)).state, { timeout: 18_000 }).toBe("open");
    expect(times.at(-1)! - refusedAt).toBeGreaterThan(1_900);
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

  /** Positions as a page might have been given them: after the first, second and third event. */
  async function publishThree(served: Served): Promise<string[]> {
    const page = await served.open();
    await follow(page, { share: "reader of positions" });
    await untilOpen(page);
    for (let n = 1; n <= 3; n++) await served.publish();
    await untilNumbers(page, [1, 2, 3]);
    const ids = await page.evaluate(() => kept.ids);
    await page.evaluate(() => kept.stream.close());
    return ids;
  }

  it("a tab whose position the new stream has yet to reach waits for it, however long the answer takes", async () => {
    let delayMs = 0;
    const served = await serve((session) => {
      setTimeout(() => void session.subscribe("news"), delayMs);
    });
    const [id1, , id3] = await publishThree(served);
    delayMs = 2_500;
    const [behind, ahead] = [await served.open(), await served.open()];
    // As in a hidden tab, whose timers are late.
    await ahead.evaluate(() => {
      Object.assign(globalThis, { setInterval: () => 0 });
    });
    served.asked.length = 0;
    await follow(behind, { lastEventId: id1! });
    await eventually("a request", () => served.asked.length === 1);
    await follow(ahead, { lastEventId: id3! });
    await untilNumbers(behind, [2, 3]);
    await served.publish();
    await untilNumbers(behind, [2, 3, 4]);
    await untilNumbers(ahead, [4]);
    expect((await read(ahead)).resets).toEqual([]);
  });

  /** Has a page keep the first of certain messages between the tabs, and repeat it with `repeat`, or after others. */
  async function overhear(page: Page, first: object, after?: string): Promise<void> {
    await page.evaluate(
      async (wanted, kind) => {
        const { held = [] } = await navigator.locks.query();
        const [lock] = held.map((info) => info.name ?? "");
        const channel = new BroadcastChannel(lock!);
        let message: unknown;
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a `BroadcastChannel`
        const repeat = (): void => channel.postMessage(message);
        channel.addEventListener("message", ({ data }: MessageEvent<Record<string, unknown>>) => {
          if (Object.entries(wanted).every(([key, value]) => data[key] === value)) message ??= data;
          if (data["kind"] === kind) repeat();
        });
        Object.assign(globalThis, { repeat });
      },
      first as Record<string, unknown>,
      after,
    );
  }

  it("an event that is reported twice, or late by an earlier leader, is taken once", async () => {
    const served = await serve();
    const [first, second, third] = [await served.open(), await served.open(), await served.open()];
    for (const page of [first, second, third]) {
      await follow(page);
      await untilOpen(page);
    }
    await overhear(second, { kind: "event" });
    const repeat = async (): Promise<void> => {
      await second.evaluate(() => (globalThis as unknown as { repeat(): void }).repeat());
      await new Promise((resolve) => setTimeout(resolve, 200));
    };
    await served.publish();
    for (const page of [first, second, third]) await untilNumbers(page, [1]);
    await repeat();
    await served.publish();
    for (const page of [second, third]) await untilNumbers(page, [1, 2]);
    await first.evaluate(() => kept.stream.close());
    await eventually("a new leader", () => served.asked.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await untilOpen(third);
    await repeat();
    await served.publish();
    for (const page of [second, third]) await untilNumbers(page, [1, 2, 3]);
    expect((await read(third)).resets).toEqual([]);
  });

  it("a welcome that answers what an earlier leader was asked is not taken", async () => {
    const served = await serve();
    const [first, second, third] = [await served.open(), await served.open(), await served.open()];
    for (const page of [first, second]) {
      await follow(page);
      await untilOpen(page);
    }
    for (let n = 1; n <= 3; n++) await served.publish();
    await untilNumbers(first, [1, 2, 3]);
    const id = await first.evaluate(() => kept.ids[0]!);
    await overhear(second, { kind: "hello", lastEventId: id }, "lead");
    await follow(third, { lastEventId: id });
    await untilNumbers(third, [2, 3]);
    // Meanwhile the answer arrives.
    const busy = third.evaluate(() => {
      const end = Date.now() + 1_000;
      while (Date.now() < end);
    });
    await first.evaluate(() => kept.stream.close());
    await busy;
    await served.publish();
    await untilNumbers(third, [2, 3, 4]);
    expect((await read(third)).resets).toEqual([]);
  });

  it("a tab that sets its position and opens again gets what follows it, and the others get nothing twice", async () => {
    const served = await serve();
    const tabs = [await served.open(), await served.open(), await served.open()];
    for (const page of tabs) {
      await follow(page);
      await untilOpen(page);
    }
    for (let n = 1; n <= 3; n++) await served.publish();
    for (const page of tabs) await untilNumbers(page, [1, 2, 3]);
    const expected = [
      [1, 2, 3, 2, 3],
      [1, 2, 3, 3],
      [1, 2, 3],
    ];
    for (const [index, page] of tabs.slice(0, 2).entries()) {
      await page.evaluate((position) => {
        kept.stream.lastEventId = kept.ids[position]!;
        kept.stream.reopen();
      }, index);
      await untilNumbers(page, expected[index]!);
    }
    await served.publish();
    for (const [index, page] of tabs.entries()) {
      await untilNumbers(page, [...expected[index]!, 4]);
      expect((await read(page)).resets).toEqual([]);
    }
  });

  it("reopen() in a tab that follows opens the stream again", async () => {
    const served = await serve();
    const tabs = [await served.open(), await served.open()];
    for (const page of tabs) {
      await follow(page);
      await untilOpen(page);
    }
    expect(served.asked).toHaveLength(1);
    expect(await tabs[1]!.evaluate(() => kept.stream.reopen())).toBe(true);
    await eventually("a second request", () => served.asked.length === 2);
    await served.publish();
    for (const page of tabs) await untilNumbers(page, [1]);
  });

  it("a tab that has led a quiet stream, and comes back, gets no reset", async () => {
    // A heartbeat carries the position past events of other channels.
    const served = await serve(undefined, 1_000);
    const [first, second] = [await served.open(), await served.open()];
    for (const page of [first, second]) {
      await follow(page);
      await untilOpen(page);
      // As in a hidden tab, which does not ask for signs of life.
      await page.evaluate(() => {
        Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
      });
    }
    await served.publish();
    for (const page of [first, second]) await untilNumbers(page, [1]);
    const { id } = await read(first);
    for (let n = 1; n <= 5; n++) await served.hub.publish("other", { event: "n", data: n });
    await expect.poll(async () => (await read(first)).id, { timeout: 5_000 }).not.toBe(id);
    await expect
      .poll(async () => (await read(second)).id, { timeout: 5_000 })
      .toBe((await read(first)).id);
    // As when the page comes back from the freezer.
    await first.evaluate(() => {
      document.dispatchEvent(new Event("freeze"));
      document.dispatchEvent(new Event("resume"));
    });
    await eventually("a second request", () => served.asked.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await served.publish();
    for (const page of [first, second]) {
      await untilNumbers(page, [1, 2]);
      expect((await read(page)).resets).toEqual([]);
    }
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

  it("two streams of one page share one connection", async () => {
    const served = await serve();
    const page = await served.open();
    const other = await served.open();
    await page.evaluate(() => {
      connect("/events", { share: true }).close();
      const twin = connect<Events>("/events", { share: true });
      const twinNumbers: number[] = [];
      twin.on("n", (n) => twinNumbers.push(n));
      Object.assign(globalThis, { twin, twinNumbers });
    });
    await follow(page);
    await untilOpen(page);
    await follow(other);
    await untilOpen(other);
    const twinNumbers = (): Promise<number[]> =>
      page.evaluate(() => (globalThis as unknown as { twinNumbers: number[] }).twinNumbers);
    await served.publish();
    for (const tab of [page, other]) await untilNumbers(tab, [1]);
    await expect.poll(twinNumbers).toEqual([1]);
    expect(served.asked).toHaveLength(1);
    await page.evaluate(() =>
      (globalThis as unknown as { twin: EventStream<Events> }).twin.close(),
    );
    await served.publish();
    for (const tab of [page, other]) await untilNumbers(tab, [1, 2]);
    expect(await twinNumbers()).toEqual([1]);
  });

  /** Makes a tab full: it has a loop that takes nothing. */
  async function fill(served: Served, page: Page): Promise<void> {
    await page.evaluate(() => {
      Object.assign(globalThis, { loop: kept.stream[Symbol.asyncIterator]() });
    });
    for (let n = 1; n <= 10; n++) await served.publish();
    await expect.poll(() => page.evaluate(() => kept.numbers.length)).toBeGreaterThanOrEqual(10);
  }

  it("a tab that closes its stream while it is full does not hold up the others any more", async () => {
    const served = await serve();
    const [first, second] = [await served.open(), await served.open()];
    for (const page of [first, second]) {
      await follow(page, { maxBufferedEvents: 10 });
      await untilOpen(page);
    }
    await fill(served, second);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (let n = 1; n <= 3; n++) await served.publish();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = await first.evaluate(() => kept.numbers.length);
    expect(before).toBeLessThan(13);
    await second.evaluate(() => kept.stream.close());
    await expect.poll(() => first.evaluate(() => kept.numbers.length), { timeout: 2_500 }).toBe(13);
  });

  it("a tab that is full holds up the stream again and again, even if its timers are late", async () => {
    const served = await serve();
    const [first, second] = [await served.open(), await served.open()];
    await follow(first);
    await untilOpen(first);
    // As in a hidden tab.
    await second.evaluate(() => {
      Object.assign(globalThis, { setInterval: () => 0 });
    });
    await follow(second, { maxBufferedEvents: 10 });
    await untilOpen(second);
    await fill(served, second);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (let n = 1; n <= 3; n++) await served.publish();
    const count = (): Promise<number> => first.evaluate(() => kept.numbers.length);
    // The leader has heard nothing, and goes on.
    await expect.poll(count, { timeout: 10_000 }).toBe(13);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (let n = 1; n <= 3; n++) await served.publish();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await count()).toBeLessThan(16);
    // No event is lost once the loop goes on.
    const taken = await second.evaluate(async () => {
      const { loop } = globalThis as unknown as { loop: AsyncIterator<{ data: number }> };
      const numbers: number[] = [];
      while (numbers.at(-1) !== 16) {
        const { value } = await loop.next();
        numbers.push((value as { data: number }).data);
      }
      return numbers;
    });
    expect(taken).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
  }, 30_000);

  it("a tab that has just come, and takes the place of one that hangs, goes on where the others are", async () => {
    const served = await serve();
    const tabs = [await served.open(), await served.open()];
    for (const page of tabs) {
      await follow(page);
      await untilOpen(page);
      await page.evaluate(() => {
        Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
      });
    }
    await served.publish();
    for (const page of tabs) await untilNumbers(page, [1]);
    // Has the lock, and does not answer.
    await tabs[0]!.evaluate(async () => {
      const { held = [] } = await navigator.locks.query();
      const [lock] = held.map((info) => info.name ?? "");
      void navigator.locks.request(lock!, { steal: true }, () => new Promise(() => {}));
    });
    await eventually("the stream to end", () => served.sessions.size === 0);
    await served.publish();
    const last = await served.open();
    await follow(last);
    await untilOpen(last);
    for (const page of tabs) {
      await untilNumbers(page, [1, 2]);
      expect((await read(page)).resets).toEqual([]);
    }
    await served.publish();
    for (const page of tabs) await untilNumbers(page, [1, 2, 3]);
    expect((await read(last)).numbers.at(-1)).toBe(3);
  }, 30_000);

  it("a tab that comes back to the network hurries the one that waits for the next attempt", async () => {
    let isDown = true;
    const served = await serve((session, response) => {
      if (isDown) response.writeHead(503).end();
      else void session.subscribe("news");
    });
    const tabs = [await served.open(), await served.open()];
    for (const page of tabs) {
      await follow(page, { reconnectionTimeMs: 15_000 });
      await expect.poll(async () => (await read(page)).state).toBe("waiting");
    }
    isDown = false;
    await tabs[1]!.evaluate(() => void dispatchEvent(new Event("online")));
    for (const page of tabs) await untilOpen(page);
    expect(served.asked).toHaveLength(2);
  });

  it("a signal closes the stream, whenever it is aborted", async () => {
    const served = await serve();
    const [page, other] = [await served.open(), await served.open()];
    const ends = await page.evaluate(async () => {
      const closings: string[] = [];
      for (const ms of [-1, 0, 1, 20, 500]) {
        const controller = new AbortController();
        if (ms < 0) controller.abort();
        const stream = connect<Events>("/events", { share: true, signal: controller.signal });
        if (ms === 0) controller.abort();
        else if (ms > 0) {
          await new Promise((resolve) => setTimeout(resolve, ms));
          controller.abort();
        }
        const { status } = stream;
        closings.push(status.state === "closed" ? status.reason : status.state);
      }
      return closings;
    });
    expect(ends).toEqual(Array.from({ length: 5 }, () => "aborted"));
    const locks = (): Promise<number> =>
      page.evaluate(async () => {
        const { held = [], pending = [] } = await navigator.locks.query();
        return held.length + pending.length;
      });
    await expect.poll(locks).toBe(0);
    await eventually("the sessions to end", () => served.sessions.size === 0);
    await follow(other);
    await untilOpen(other);
  });

  it("a tab that hears late of the end of the stream gets its last event, and does not ask again", async () => {
    const served = await serve();
    const [first, second] = [await served.open(), await served.open()];
    await second.evaluate(() => {
      const { addEventListener } = BroadcastChannel.prototype;
      // As on a busy machine, where the lock is there before the messages.
      BroadcastChannel.prototype.addEventListener = function listen(
        this: BroadcastChannel,
        type: string,
        listener: (event: Event) => void,
      ) {
        addEventListener.call(this, type, (event) => setTimeout(listener, 300, event));
      } as typeof addEventListener;
    });
    for (const page of [first, second]) {
      await follow(page);
      await untilOpen(page);
    }
    for (const session of served.sessions) void session.complete({ event: "n", data: 99 });
    for (const page of [first, second]) {
      await untilNumbers(page, [99]);
      await expect.poll(async () => (await read(page)).statuses.at(-1)).toBe("closed: completed");
    }
    expect(served.asked).toHaveLength(1);
  });

  it("a loop in a tab that follows ends with the stream, after its last event", async () => {
    const served = await serve();
    const [first, second] = [await served.open(), await served.open()];
    for (const page of [first, second]) {
      await follow(page);
      await untilOpen(page);
    }
    // The loop has begun when this returns: an event from before would not be its own.
    await second.evaluate(() => {
      const take = async (): Promise<unknown[]> => {
        const data: unknown[] = [];
        for await (const event of kept.stream) data.push(event.data);
        return data;
      };
      Object.assign(globalThis, { takenByLoop: take() });
    });
    await served.publish();
    await untilNumbers(second, [1]);
    for (const session of served.sessions) void session.complete({ event: "n", data: 99 });
    expect(await second.evaluate(() => takenByLoop)).toEqual([1, 99]);
  });

  it("whatever the tabs do, each of them gets every event exactly once and in order", async () => {
    const served = await serve();
    const publishing = setInterval(() => void served.publish(), 10);
    onTestFinished(() => clearInterval(publishing));
    const tabs: Page[] = [];
    for (let index = 0; index < 5; index++) tabs.push(await served.open());
    // Each page acts at random for a while, and then waits for what the others have.
    await Promise.all(
      tabs.map((page) =>
        page.evaluate(async () => {
          const sleep = (ms: number): Promise<void> =>
            new Promise((resolve) => setTimeout(resolve, ms));
          const faults: string[] = [];
          const state = { stream: open(), last: 0 };
          function open(): EventStream<Events> {
            const stream = connect<Events>("/events", { share: true });
            let last = 0;
            stream.on("n", (n) => {
              if (last !== 0 && n !== last + 1) faults.push(`${last} → ${n}`);
              last = n;
              state.last = n;
            });
            stream.onReset(({ reason }) => faults.push(reason));
            return stream;
          }
          Object.assign(globalThis, { faults, state });
          const actions = [
            async () => void state.stream.reopen(),
            async () => {
              state.stream.close();
              state.stream = open();
            },
            // As when the browser freezes the page.
            async () => {
              document.dispatchEvent(new Event("freeze"));
              await sleep(200);
              document.dispatchEvent(new Event("resume"));
            },
            // As when the page hangs, and another one takes its place.
            async () => {
              const { held = [] } = await navigator.locks.query();
              const [lock] = held.map((info) => info.name ?? "");
              if (lock) await navigator.locks.request(lock, { steal: true }, () => {});
            },
            async () => {
              const end = Date.now() + 300;
              while (Date.now() < end);
            },
          ];
          const end = Date.now() + 5_000;
          while (Date.now() < end) {
            await sleep(Math.random() * 400);
            await actions[Math.floor(Math.random() * actions.length)]!();
          }
        }),
      ),
    );
    clearInterval(publishing);
    const all = (): Promise<{ state: string; last: number }[]> =>
      Promise.all(
        tabs.map((page) =>
          page.evaluate(() => {
            const { stream, last } = (
              globalThis as unknown as { state: { stream: EventStream<Events>; last: number } }
            ).state;
            return { state: stream.status.state, last };
          }),
        ),
      );
    // A stream begins with what is published after it has opened.
    const states = async (): Promise<string[]> => (await all()).map(({ state }) => state);
    await expect.poll(states, { timeout: 10_000 }).toEqual(tabs.map(() => "open"));
    await served.publish();
    const lasts = async (): Promise<number[]> => (await all()).map(({ last }) => last);
    await expect.poll(async () => new Set(await lasts()).size, { timeout: 10_000 }).toBe(1);
    for (const page of tabs) {
      expect(
        await page.evaluate(() => (globalThis as unknown as { faults: string[] }).faults),
      ).toEqual([]);
    }
    await eventually("one connection", () => served.sessions.size === 1);
  }, 40_000);
});
