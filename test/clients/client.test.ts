/// <reference lib="dom" />
// `@tidewire/client` in real browsers: where a page differs from Node.
import { once } from "node:events";
import type http from "node:http";
import type { connect as Connect } from "@tidewire/client";
import type { Session } from "@tidewire/core";
import type { Page } from "puppeteer-core";
import { beforeAll, expect, it, onTestFinished } from "vitest";
import { eventually } from "../client.js";
import { BINDINGS } from "../contracts/bindings.js";
import type { Handler, Served } from "../contracts/bindings.js";
import { bundleScript, describeInBrowsers } from "./in-browsers.js";

declare const connect: typeof Connect;

/** Kept in a page for its test. */
interface Kept {
  data: unknown[];
  statuses: { state: string; reason?: string }[];
  stream: { readonly lastEventId: string };
}

const HTTP1 = BINDINGS.filter(({ protocol }) => protocol === "http1");

const PAGE = '<!doctype html><script type="module" src="/page.js"></script>';

describeInBrowsers((name, browser) => {
  let script: string;

  beforeAll(async () => {
    script = await bundleScript("client-page.ts");
  });

  /** Serves a page with the client, and streams at `/events`. */
  async function serve(
    handler: Handler,
    binding = HTTP1[0],
  ): Promise<{ page: Page; served: Served }> {
    const served = await binding!.serve(
      (exchange) => {
        const { url = "" } = exchange.request;
        if (url.startsWith("/events")) return void handler(exchange);
        const { response } = exchange;
        const isPage = url === "/";
        response.setHeader("Content-Type", isPage ? "text/html" : "text/javascript");
        (response as http.ServerResponse).end(isPage ? PAGE : script);
      },
      { reconnectionTimeMs: 100, heartbeatMs: 1_000 },
    );
    const page = await browser().newPage({ type: "window" });
    onTestFinished(async () => {
      await page.close();
      const closed = served.close();
      (served.server as http.Server).closeAllConnections();
      await closed;
    });
    await page.goto(`http://localhost:${served.port}/`);
    await page.waitForFunction(() => "connect" in globalThis);
    return { page, served };
  }

  /** Follows `/events` in the page. */
  async function follow(page: Page): Promise<void> {
    await page.evaluate(() => {
      const stream = connect<{ any: { n: unknown; message: unknown } }>("/events");
      const kept: Kept = { data: [], statuses: [], stream };
      stream.on("n", (data) => kept.data.push(data));
      stream.on("message", (data) => kept.data.push(data));
      stream.onStatus((status) => kept.statuses.push({ ...status }));
      Object.assign(globalThis, { kept });
    });
  }

  async function read(page: Page): Promise<{ data: unknown[]; states: string[]; id: string }> {
    return page.evaluate(() => {
      const { data, statuses, stream } = (globalThis as unknown as { kept: Kept }).kept;
      return { data, states: statuses.map(({ state }) => state), id: stream.lastEventId };
    });
  }

  async function untilData(page: Page, data: unknown[]): Promise<void> {
    await expect.poll(async () => (await read(page)).data, { timeout: 10_000 }).toEqual(data);
  }

  it.each(HTTP1.map((binding) => [binding.name, binding] as const))(
    "follows %s over broken connections, and stops on complete()",
    async (_, binding) => {
      let session: Session | undefined;
      let breakConnection = (): void => {};
      const { page, served } = await serve(({ sse, request }) => {
        session = sse;
        breakConnection = () => void request.socket?.destroy();
        void sse.subscribe("news");
      }, binding);
      await follow(page);
      await expect.poll(async () => (await read(page)).id).not.toBe("");
      for (const data of [1, 2, 3]) {
        breakConnection();
        await served.hub.publish("news", { event: "n", data });
        await untilData(page, [1, 2, 3].slice(0, data));
      }
      await session?.complete({ event: "n", data: "last" });
      await untilData(page, [1, 2, 3, "last"]);
      await expect.poll(async () => (await read(page)).states.at(-1)).toBe("closed");
    },
  );

  it("reports a position that is not Latin-1 as EventSource does", async () => {
    const headers: unknown[] = [];
    const { page } = await serve(async ({ sse, request }) => {
      headers.push(request.headers["last-event-id"]);
      await sse.send({ id: "ä€😀", data: headers.length });
      if (headers.length === 1) sse.close();
    });
    await follow(page);
    await untilData(page, [1, 2]);
    expect(Buffer.from(String(headers[1]), "latin1").toString("utf8")).toBe("ä€😀");
  });

  it("a token that expires is renewed once, for all streams, and no event is lost", async () => {
    let valid = "0";
    const sessions = new Set<Session>();
    const { page, served } = await serve(async ({ sse, request, answer }) => {
      if (request.headers.authorization !== valid) return answer(401, {});
      sessions.add(sse);
      await sse.subscribe("news");
    });
    await page.exposeFunction("fetchToken", () => valid);
    await page.evaluate(() => {
      let token = "0";
      const kept = { data: [[], [], []] as unknown[][], renewals: 0, states: [] as string[] };
      const options = {
        headers: () => ({ authorization: token }),
        onUnauthorized: async () => {
          kept.renewals += 1;
          token = await (globalThis as unknown as { fetchToken(): Promise<string> }).fetchToken();
        },
      };
      for (const list of kept.data) {
        const stream = connect<{ news: { n: number } }>("/events", options);
        stream.on("n", (data) => list.push(data));
        stream.onStatus(({ state }) => kept.states.push(state));
      }
      Object.assign(globalThis, { kept });
    });
    const readAll = (): Promise<{ data: unknown[][]; renewals: number; states: string[] }> =>
      page.evaluate(() => (globalThis as unknown as { kept: never }).kept);
    await eventually("all streams", () => served.hub.stats().sessions.live === 3);
    for (const round of [1, 2]) {
      valid = `${round}`;
      for (const session of sessions) session.close();
      sessions.clear();
      await served.hub.publish("news", { event: "n", data: round });
      const expected = [1, 2].slice(0, round);
      await expect
        .poll(async () => (await readAll()).data, { timeout: 10_000 })
        .toEqual([expected, expected, expected]);
    }
    const { renewals } = await readAll();
    // Streams come back at different times, and one that comes after the renewal has the new token already.
    expect(renewals).toBe(2);
  });

  it("coming back to the network or to the eye ends a wait, unless the server asks for time", async () => {
    let asked = 0;
    let headers: http.OutgoingHttpHeaders = {};
    const { page } = await serve(({ response }) => {
      asked += 1;
      (response as http.ServerResponse).writeHead(503, headers).end();
    });
    await page.evaluate(() => {
      connect("/events", { reconnectionTimeMs: 60_000 });
    });
    await eventually("the first request", () => asked === 1);
    const wake = async (target: "window" | "document", type: string): Promise<void> => {
      // Until the answer has arrived.
      await new Promise((resolve) => setTimeout(resolve, 200));
      await page.evaluate(
        (isWindow, event) => void (isWindow ? window : document).dispatchEvent(new Event(event)),
        target === "window",
        type,
      );
    };
    await wake("window", "online");
    await eventually("a request when online", () => asked === 2);
    headers = { "Retry-After": "60" };
    await wake("document", "visibilitychange");
    await eventually("a request when visible", () => asked === 3);
    await wake("window", "online");
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(asked).toBe(3);
  });

  it("close() leaves no listener on the page and no connection", async () => {
    const { page, served } = await serve(({ sse }) => void sse.subscribe("news"));
    const counts = await page.evaluate(async () => {
      const added: string[] = [];
      for (const target of [window, document]) {
        const { addEventListener, removeEventListener } = target;
        target.addEventListener = (type: string, ...rest: unknown[]) => {
          added.push(type);
          Reflect.apply(addEventListener, target, [type, ...rest]);
        };
        target.removeEventListener = (type: string, ...rest: unknown[]) => {
          added.splice(added.indexOf(type), 1);
          Reflect.apply(removeEventListener, target, [type, ...rest]);
        };
      }
      const stream = connect("/events");
      await new Promise((resolve) => {
        stream.onStatus(resolve);
      });
      const before = added.length;
      stream.close();
      return [before, added.length];
    });
    expect(counts).toEqual([4, 0]);
    await eventually("the session to end", () => served.hub.sessionCount === 0);
  });

  it("100 000 events leave no memory behind", async () => {
    const COUNT = 100_000;
    const { page } = await serve(({ response, request }) => {
      const answer = response as http.ServerResponse;
      answer.writeHead(200, { "Content-Type": "text/event-stream" });
      const from = Number(request.headers["last-event-id"] ?? 0);
      const block = (n: number): string =>
        `id: ${n}\ndata: {"n":${n},"text":"${"x".repeat(100)}"}\n\n`;
      void (async () => {
        for (let n = from + 1; n <= COUNT; n++) {
          if (!answer.write(block(n))) await once(answer, "drain");
        }
        answer.end("id: ~end\ndata: {}\n\n");
      })();
    });
    await page.evaluate(() => {
      const stream = connect<{ news: { message: { n: number } } }>("/events");
      Object.assign(globalThis, { loop: stream[Symbol.asyncIterator]() });
    });
    /** Reads events in order up to a number, and returns the last one. */
    const readTo = (number: number): Promise<number> =>
      page.evaluate(async (end) => {
        const { loop } = globalThis as unknown as {
          loop: AsyncIterator<{ data: { n: number } }, undefined>;
        };
        let last = 0;
        while (last < end) {
          const { value } = await loop.next();
          if (value === undefined || (last !== 0 && value.data.n !== last + 1)) break;
          last = value.data.n;
        }
        return last;
      }, number);
    expect(await readTo(10_000)).toBe(10_000);
    const before = await measureHeap(page);
    expect(await readTo(COUNT)).toBe(COUNT);
    // The events together have 13 MB.
    expect((await measureHeap(page)) - before).toBeLessThan(1_000_000);
  });

  it.runIf(name === "chromium")("a page that was frozen gets what it has missed", async () => {
    const { page, served } = await serve(({ sse }) => void sse.subscribe("news"));
    await follow(page);
    await expect.poll(async () => (await read(page)).id).not.toBe("");
    const publish = (data: number): Promise<unknown> =>
      served.hub.publish("news", { event: "n", data });
    await publish(1);
    await untilData(page, [1]);
    const cover = await browser().newPage();
    await cover.bringToFront();
    const session = await page.createCDPSession();
    await session.send("Page.setWebLifecycleState", { state: "frozen" });
    await publish(2);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await session.send("Page.setWebLifecycleState", { state: "active" });
    await page.bringToFront();
    await publish(3);
    await untilData(page, [1, 2, 3]);
    await cover.close();
  });

  /** Bytes on the heap after a collection of garbage; 0 in Firefox, which has no command for either. */
  async function measureHeap(page: Page): Promise<number> {
    if (name === "firefox") return 0;
    const session = await page.createCDPSession();
    await session.send("HeapProfiler.collectGarbage");
    return (await session.send("Runtime.getHeapUsage")).usedSize;
  }
});
