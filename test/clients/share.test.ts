/// <reference lib="dom" />
// One stream for all tabs, in real browsers: tabs that lead are closed, crash and freeze, and no other tab loses an event.
// SHARE=full has 200 leaders go, which takes ten minutes.
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { createHub } from "@tidewire/core";
import type { Hub } from "@tidewire/core";
import type { Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../client.js";
import { bundleFiles, describeInBrowsers } from "./in-browsers.js";
import type { SharingTab } from "./share-page.js";

const ROUNDS = process.env["SHARE"] === "full" ? 50 : 5;
const TABS = 5;
const PER_SECOND = 200;

/** A server with one channel, which counts the connections of streams. */
class Server {
  readonly #http: http.Server;
  readonly #timer: NodeJS.Timeout;
  readonly #hub: Hub = createHub({ heartbeatMs: 2_000, reconnectionTimeMs: 100 });
  /** Streams that are open now, and the most that were open at a time. */
  open = 0;
  most = 0;
  published = 0;

  constructor(scripts: ReadonlyMap<string, string>) {
    this.#http = http.createServer((request, response) => {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      if (pathname.startsWith("/events")) {
        this.open += 1;
        this.most = Math.max(this.most, this.open);
        response.on("close", () => (this.open -= 1));
        void this.#hub.createSession({ request, response }).subscribe("news");
        return;
      }
      const script = scripts.get(pathname.slice(1));
      response.setHeader("Content-Type", script === undefined ? "text/html" : "text/javascript");
      response.end(
        script ?? '<!doctype html><title>Tab</title><script type="module" src="/page.js"></script>',
      );
    });
    this.#timer = setInterval(() => {
      this.published += 1;
      void this.#hub.publish("news", { event: "n", data: this.published });
    }, 1_000 / PER_SECOND);
  }

  async listen(): Promise<string> {
    this.#http.listen(0, "127.0.0.1");
    await once(this.#http, "listening");
    return `http://localhost:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#http.close();
    await this.#hub.close();
    this.#http.closeAllConnections();
  }
}

const rows: string[] = [];

describeInBrowsers((name, browser) => {
  let scripts: ReadonlyMap<string, string>;

  beforeAll(async () => {
    scripts = await bundleFiles("share-page.ts");
  });

  /** Starts a server and opens tabs, and closes them afterwards. */
  async function withTabs(
    query: string,
    run: (tabs: Page[], server: Server, openTab: () => Promise<Page>) => Promise<void>,
  ): Promise<void> {
    const server = new Server(scripts);
    const origin = await server.listen();
    const tabs: Page[] = [];
    const openTab = async (): Promise<Page> => {
      const page = await browser().newPage({ type: "window" });
      await page.goto(`${origin}/?${query}`);
      await page.waitForFunction(() => "tab" in globalThis);
      return page;
    };
    try {
      for (let index = 0; index < TABS; index++) tabs.push(await openTab());
      await run(tabs, server, openTab);
    } finally {
      await Promise.all(tabs.map((page) => page.close()));
      await server.close();
    }
  }

  async function read(page: Page): Promise<SharingTab> {
    return page.evaluate(() => (globalThis as unknown as { tab: SharingTab }).tab);
  }

  /** Waits until all tabs have the event with a number, and checks that every tab has every event. */
  async function expectAllUpToDate(
    tabs: readonly Page[],
    number: number,
    withinMs: number,
  ): Promise<void> {
    for (const page of tabs) {
      await expect
        .poll(async () => (await read(page)).last, { timeout: withinMs, interval: 20 })
        .toBeGreaterThanOrEqual(number);
      const { faults, resets } = await read(page);
      expect({ faults, resets }).toEqual({ faults: [], resets: 0 });
    }
  }

  async function untilAsked(tabs: readonly Page[], from: number): Promise<void> {
    const hasAsked = async (page: Page): Promise<boolean> => (await read(page)).askedAt >= from;
    await expect
      .poll(async () => (await Promise.all(tabs.map(hasAsked))).includes(true), { timeout: 15_000 })
      .toBe(true);
  }

  /** Takes the tab that has asked the server last out of the list. */
  async function takeLeader(tabs: Page[]): Promise<Page> {
    const asked = await Promise.all(tabs.map(async (page) => (await read(page)).askedAt));
    const [leader] = tabs.splice(asked.indexOf(Math.max(...asked)), 1);
    return leader as Page;
  }

  /**
   * Leaders go, one after the other; new tabs take their place.
   *
   * @param go - Makes a leader go, and calls `takeOver`, which waits until others have its place. Returns the leader if
   *   it is back.
   */
  async function expectHandOvers(
    kind: string,
    go: (leader: Page, takeOver: () => Promise<void>) => Promise<Page | undefined>,
    rounds = ROUNDS,
  ): Promise<void> {
    await withTabs("", async (tabs, server, openTab) => {
      await expectAllUpToDate(tabs, server.published, 10_000);
      expect(server.most).toBe(1);
      const times: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const leader = await takeLeader(tabs);
        const from = Date.now();
        const back = await go(leader, async () => {
          await untilAsked(tabs, from);
          await expectAllUpToDate(tabs, server.published, 15_000);
          times.push(Date.now() - from);
        });
        tabs.push(back ?? (await openTab()));
        await expectAllUpToDate(tabs, server.published, 15_000);
        await eventually("one connection", () => server.open === 1);
      }
      expect(server.most).toBeLessThanOrEqual(2);
      times.sort((left, right) => left - right);
      const [median = NaN, longest = NaN] = [times[times.length >> 1], times.at(-1)];
      rows.push(
        `${name}: the tab that leads ${kind} ${rounds} times: the others are up to date after ${median} ms ` +
          `(median; longest ${longest} ms); at most ${server.most} connections at a time`,
      );
    });
  }

  it("five tabs that share have one connection", async () => {
    await withTabs("", async (tabs, server) => {
      await expectAllUpToDate(tabs, server.published, 10_000);
      expect(server.most).toBe(1);
    });
    rows.push(`${name}: ${TABS} tabs that share: 1 connection`);
  });

  it("five tabs with EventSource have five connections", async () => {
    await withTabs("client=EventSource", async (tabs, server) => {
      await expectAllUpToDate(tabs, server.published, 10_000);
      rows.push(`${name}: ${TABS} tabs with EventSource: ${server.open} connections`);
      expect(server.open).toBe(TABS);
    });
  });

  it(
    "when the tab that leads is closed, the others miss nothing",
    () =>
      expectHandOvers("is closed", async (leader, takeOver) => {
        await leader.close();
        await takeOver();
        return undefined;
      }),
    ROUNDS * 30_000,
  );

  it.runIf(name === "chromium")(
    "when the tab that leads crashes, the others miss nothing",
    () =>
      expectHandOvers("crashes", async (leader, takeOver) => {
        const crashed = new Promise((resolve) => leader.once("error", resolve));
        const session = await leader.createCDPSession();
        // Never answered: it rejects when the page is closed.
        void session.send("Page.crash").catch(() => {});
        await crashed;
        await takeOver();
        await leader.close();
        return undefined;
      }),
    ROUNDS * 30_000,
  );

  it.runIf(name === "chromium")(
    "when the tab that leads freezes, the others miss nothing, and it misses nothing either once it thaws",
    () =>
      expectHandOvers("freezes", async (leader, takeOver) => {
        const session = await leader.createCDPSession();
        await session.send("Page.setWebLifecycleState", { state: "frozen" });
        await takeOver();
        await session.send("Page.setWebLifecycleState", { state: "active" });
        return leader;
      }),
    ROUNDS * 40_000,
  );

  it.runIf(name === "chromium")(
    "when the tab that leads hangs, the others miss nothing, and it misses nothing either once it goes on",
    () =>
      expectHandOvers(
        "hangs",
        async (leader, takeOver) => {
          const session = await leader.createCDPSession();
          const hung = session.send("Runtime.evaluate", {
            expression: "{ const end = Date.now() + 8_000; while (Date.now() < end); }",
          });
          await takeOver();
          await hung;
          return leader;
        },
        Math.ceil(ROUNDS / 5),
      ),
    ROUNDS * 40_000,
  );
});

afterAll(() => console.log(rows.join("\n")));
