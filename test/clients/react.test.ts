/// <reference lib="dom" />
// The hooks for React in real browsers, over HTML of a server and under StrictMode.
import type http from "node:http";
import { createElement, StrictMode } from "react";
import { renderToString } from "react-dom/server";
import { beforeAll, expect, it, onTestFinished } from "vitest";
import { eventually } from "../client.js";
import { serve } from "../client/served.js";
import { bundleScript, describeInBrowsers } from "./in-browsers.js";
import { News } from "./react-news.js";
import type { ReactPage } from "./react-page.js";

declare const page: ReactPage;

describeInBrowsers((_name, browser) => {
  let script: string;

  beforeAll(async () => {
    script = await bundleScript("react-page.ts");
  });

  it("one stream for a component, every event once, and nothing that stays", async () => {
    const urls: string[] = [];
    const html = renderToString(
      createElement(StrictMode, null, createElement(News, { url: "/events?0", onNumber() {} })),
    );
    let cut = (): void => {};
    const served = await serve(({ sse, request, response }) => {
      const { url = "" } = request;
      if (url.startsWith("/events")) {
        urls.push(url);
        cut = () => void request.socket?.destroy();
        return void sse.subscribe("news");
      }
      response.setHeader("Content-Type", url === "/" ? "text/html" : "text/javascript");
      const document = `<!doctype html><div id="root">${html}</div><script type="module" src="/page.js"></script>`;
      (response as http.ServerResponse).end(url === "/" ? document : script);
    });
    const tab = await browser().newPage({ type: "window" });
    onTestFinished(() => tab.close());
    await tab.goto(`http://localhost:${served.port}/`);
    await tab.waitForFunction(() => "page" in globalThis);
    const read = (): Promise<{ text: string; numbers: number[]; left: number }> =>
      tab.evaluate(() => ({
        text: document.querySelector("#root")?.textContent ?? "",
        numbers: [...page.numbers],
        left: page.left.length,
      }));
    const streams = (): number => served.hub.stats().sessions.live;
    expect((await read()).text).toBe("connecting: ");
    expect(urls).toEqual([]);

    await tab.evaluate(() => page.render("/events?0"));
    await eventually("the stream", () => streams() === 1);
    const sent: number[] = [];
    const publish = async (): Promise<void> => {
      sent.push(sent.length);
      await served.hub.publish("news", { event: "n", data: sent.length - 1 });
    };
    const untilAll = async (): Promise<void> => {
      await expect.poll(async () => (await read()).numbers, { timeout: 10_000 }).toEqual(sent);
    };
    await publish();
    await untilAll();
    await expect.poll(async () => (await read()).text).toBe("open: 0");
    expect(urls).toEqual(["/events?0"]);

    // Other URLs and broken connections, while events are published.
    for (let round = 1; round <= 10; round++) {
      await publish();
      if (round % 3 === 0) cut();
      else await tab.evaluate((n) => page.render(`/events?${n}`), round);
      await publish();
    }
    await untilAll();
    await eventually(
      "one stream with the last URL",
      () => streams() === 1 && urls.at(-1) === "/events?10",
    );

    await tab.evaluate(() => page.render(null));
    await eventually("no stream", () => streams() === 0);
    await tab.evaluate(() => page.render("/events?last"));
    await eventually("the stream", () => streams() === 1);
    await publish();
    await untilAll();
    expect((await read()).left).toBeGreaterThan(0);
    await tab.evaluate(() => page.unmount());
    await eventually("no stream", () => streams() === 0);
    await expect.poll(async () => (await read()).left).toBe(0);
    const count = urls.length;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(urls).toHaveLength(count);
    expect(await tab.evaluate(() => page.complaints)).toEqual([]);
  });
});
