/// <reference lib="dom" />
import type { Browser, Page } from "playwright-core";
import { afterEach, describe, expect, test, vi } from "vitest";
import { describeInChromium } from "./chromium.js";
import { RETENTION, publishBusily } from "./quiet-channel.js";
import { COOKIE, SERVERS, startExpress, startFastify } from "./servers.js";
import type { TestServer } from "./servers.js";

/** Short, so that tests do not wait long for a reconnection. */
const HUB = { reconnectionTimeMs: 100 };

const RESERVED = ["sse-cursor", "sse-reset"];

/** Events and states of the page, in order: events as `[type, data, lastEventId]`, states as words. */
type Seen = (string | [type: string, data: string, lastEventId: string])[];

declare global {
  interface Window {
    seen: Seen;
    source: EventSource;
  }
}

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

describeInChromium("EventSource in Chromium", (browser) => {
  describe.each(SERVERS)("from %s", (_name, start) => {
    const run = async (options: Parameters<typeof start>[0]): Promise<TestServer> => {
      const server = await start({ hub: HUB, ...options });
      cleanups.push(() => server.close());
      return server;
    };

    test("receives multi-line data whole, with every kind of line break", async () => {
      const server = await run({
        onStream(session) {
          void session.send("LF\nand more");
          void session.send("CR\rand more");
          void session.send("CRLF\r\nand more");
          void session.send("\n leading and trailing \n\n");
          void session.send("");
          void session.send({ event: "end", data: "" });
        },
      });
      const page = await open(browser(), server.origin);
      await listen(page, `${server.origin}/events`, ["message", "end"]);
      const seen = await waitForSeen(page, "end");
      expect(seen).toEqual([
        "open",
        ["message", "LF\nand more", ""],
        ["message", "CR\nand more", ""],
        ["message", "CRLF\nand more", ""],
        ["message", "\n leading and trailing \n\n", ""],
        ["message", "", ""],
        ["end", "", ""],
      ]);
    });

    test("dispatches a named event only to listeners of its name", async () => {
      const server = await run({
        onStream(session) {
          void session.send({ event: "weather", id: "1", data: { city: "Tromsø", sky: "雪" } });
          void session.send({ event: "nobody-listens", id: "2", data: "x" });
          void session.send({ id: "3", data: "plain" });
        },
      });
      const page = await open(browser(), server.origin);
      await listen(page, `${server.origin}/events`, ["message", "weather"]);
      expect(await waitForSeen(page, "message")).toEqual([
        "open",
        ["weather", '{"city":"Tromsø","sky":"雪"}', "1"],
        ["message", "plain", "3"],
      ]);
    });

    test("reconnects after a cut and reports the id of the last event", async () => {
      const server = await run({
        onStream(session, count) {
          if (count > 1) return void session.send({ event: "again", data: session.lastEventId });
          void session.send({ id: "a-1", data: "first" });
          void session.send({ id: "a-2", data: "second" });
        },
      });
      const page = await open(browser(), server.origin);
      await listen(page, `${server.origin}/events`, ["message", "again"]);
      await waitForSeen(page, "message", 2);
      server.requests[0]!.session.close();
      expect(await waitForSeen(page, "again")).toEqual([
        "open",
        ["message", "first", "a-1"],
        ["message", "second", "a-2"],
        "connecting",
        "open",
        ["again", "a-2", "a-2"],
      ]);
      expect(server.requests.map(({ headers }) => headers["last-event-id"])).toEqual([
        undefined,
        "a-2",
      ]);
    });

    test("stops for good after complete(): one more request, answered 204, and then none", async () => {
      const server = await run({
        onStream(session) {
          void session.send({ id: "last", data: "all there is" });
          void session.complete();
        },
      });
      const page = await open(browser(), server.origin);
      await listen(page, `${server.origin}/events`, ["message", "sse-complete"]);
      const seen = await waitForSeen(page, "closed");
      expect(seen).toEqual([
        "open",
        ["message", "all there is", "last"],
        ["sse-complete", "{}", "~end"],
        "connecting",
        "closed",
      ]);
      await vi.waitFor(() => expect(server.statuses).toEqual([200, 204]));
      expect(server.requests[1]!.headers["last-event-id"]).toBe("~end");
      // The absence of requests can only be waited for: twenty reconnection times.
      await page.waitForTimeout(2_000);
      expect(server.requests).toHaveLength(2);
      expect(await page.evaluate(() => window.source.readyState)).toBe(2);
    });

    test("has no false reset on a channel that was quiet while others were busy", async () => {
      const server = await run({
        hub: { ...HUB, heartbeatMs: 1_000, retention: { maxEvents: RETENTION } },
        onStream: (session) => void session.subscribe("quiet"),
      });
      const page = await open(browser(), server.origin);
      await listen(page, `${server.origin}/events`, [...RESERVED, "message"]);
      await waitForSeen(page, "sse-cursor");
      const last = await publishBusily(server.hub);
      await page.waitForFunction(
        (id) => window.seen.some((entry) => typeof entry !== "string" && entry[2] === id),
        last,
        { timeout: 10_000 },
      );
      server.cut();
      await server.hub.publish("quiet", "worth the wait");
      const seen = await waitForSeen(page, "message");
      expect(events(seen, "sse-reset")).toEqual([]);
      expect(events(seen, "message").map(([, data]) => data)).toEqual(["worth the wait"]);
      expect(server.requests.at(-1)!.headers["last-event-id"]).toBe(last);
    });

    test("loses nothing before its first event", async () => {
      const server = await run({ onStream: (session) => void session.subscribe("quiet") });
      const page = await open(browser(), server.origin);
      await listen(page, `${server.origin}/events`, [...RESERVED, "message"]);
      await waitForSeen(page, "sse-cursor");
      server.cut();
      await server.hub.publish("quiet", "first");
      await server.hub.publish("quiet", "second");
      const seen = await waitForSeen(page, "message", 2);
      expect(events(seen, "sse-reset")).toEqual([]);
      expect(events(seen, "message").map(([, data]) => data)).toEqual(["first", "second"]);
    });

    test("gets one reset for events that are no longer retained", async () => {
      const server = await run({
        hub: { ...HUB, retention: { maxEvents: RETENTION } },
        onStream: (session) => void session.subscribe("news"),
      });
      const page = await open(browser(), server.origin);
      await listen(page, `${server.origin}/events`, [...RESERVED, "message"]);
      await waitForSeen(page, "sse-cursor");
      server.cut();
      for (let n = 0; n < 3 * RETENTION; n++) await server.hub.publish("news", `missed ${n}`);
      await waitForSeen(page, "sse-reset");
      await server.hub.publish("news", "live again");
      const seen = await waitForSeen(page, "message");
      expect(events(seen, "sse-reset").map(([, data]) => JSON.parse(data))).toEqual([
        { reason: "trimmed", channels: ["news"] },
      ]);
      expect(events(seen, "message").map(([, data]) => data)).toEqual(["live again"]);
    });

    test("closes the session with the reason client when the page closes its source", async () => {
      const server = await run({ onStream: (session) => void session.send("hello") });
      const page = await open(browser(), server.origin);
      await listen(page, `${server.origin}/events`, ["message"]);
      await waitForSeen(page, "message");
      const left = new Promise((resolve) => server.requests[0]!.session.onClose(resolve));
      await page.evaluate(() => window.source.close());
      expect(await left).toBe("client");
    });
  });

  test.each([
    ["Express", "Fastify", startExpress, startFastify],
    ["Fastify", "Express", startFastify, startExpress],
  ])(
    "on a page of %s reads a stream of %s across origins, and the cookies arrive",
    async (_page, _stream, startHome, startAway) => {
      const home = await startHome({ onStream: () => {} });
      cleanups.push(() => home.close());
      const away = await startAway({
        hub: { ...HUB, cors: { origin: [home.origin], credentials: true } },
        onStream: (session) => void session.send({ id: "7", data: "hello" }),
      });
      cleanups.push(() => away.close());
      const page = await open(browser(), home.origin);
      await listen(page, `${away.origin}/events`, ["message"], true);
      expect(await waitForSeen(page, "message")).toEqual(["open", ["message", "hello", "7"]]);
      expect(away.requests[0]!.headers).toMatchObject({ cookie: COOKIE, origin: home.origin });

      // The reconnection is allowed to carry the id, too.
      away.requests[0]!.session.close();
      await waitForSeen(page, "message", 2);
      expect(away.requests[1]!.headers).toMatchObject({ cookie: COOKIE, "last-event-id": "7" });
    },
  );

  test("is refused a stream of an origin that does not allow the page's", async () => {
    const home = await startExpress({ onStream: () => {} });
    cleanups.push(() => home.close());
    const away = await startFastify({
      hub: { ...HUB, cors: { origin: ["http://elsewhere.example"], credentials: true } },
      onStream: (session) => void session.send("secret"),
    });
    cleanups.push(() => away.close());
    const page = await open(browser(), home.origin);
    await listen(page, `${away.origin}/events`, ["message"], true);
    expect(await waitForSeen(page, "closed")).toEqual(["closed"]);
  });
});

function events(seen: Seen, type: string): [string, string, string][] {
  return seen.filter((entry) => typeof entry !== "string").filter(([name]) => name === type);
}

async function open(browser: Browser, origin: string): Promise<Page> {
  const context = await browser.newContext();
  cleanups.push(() => context.close());
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  return page;
}

/** Opens an `EventSource` in the page that records everything it receives. */
async function listen(
  page: Page,
  url: string,
  types: string[],
  withCredentials = false,
): Promise<void> {
  await page.evaluate(
    (given) => {
      const source = new EventSource(given.url, { withCredentials: given.withCredentials });
      window.seen = [];
      window.source = source;
      source.addEventListener("open", () => window.seen.push("open"));
      source.addEventListener("error", () => {
        window.seen.push(source.readyState === EventSource.CLOSED ? "closed" : "connecting");
      });
      for (const type of given.types) {
        source.addEventListener(type, (event: MessageEvent<string>) => {
          window.seen.push([event.type, event.data, event.lastEventId]);
        });
      }
    },
    { url, types, withCredentials },
  );
}

/** Waits until the page has received a number of events of a type, or entered a state that often. */
async function waitForSeen(page: Page, what: string, times = 1): Promise<Seen> {
  await page.waitForFunction(
    (given) => {
      const names = window.seen.map((entry) => (typeof entry === "string" ? entry : entry[0]));
      return names.filter((name) => name === given.what).length >= given.times;
    },
    { what, times },
    { timeout: 10_000 },
  );
  return page.evaluate(() => window.seen);
}
