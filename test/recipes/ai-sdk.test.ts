/// <reference lib="dom" />
import fs from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { rolldown } from "rolldown";
import { afterEach, beforeAll, expect, test } from "vitest";
import { describeInChromium } from "../browser/chromium.js";
import { RedisProxy } from "../redis/proxy.js";
import { startRecipe } from "./start-recipe.js";

const ROOT = path.resolve(import.meta.dirname, "../..");
const ANSWER = "A tide rises and falls twice a day.";

/** Bundles the page that the recipe shows. */
async function bundlePage(): Promise<string> {
  const text = fs.readFileSync(path.join(ROOT, "docs/recipes/ai-sdk.md"), "utf8");
  const [, code] = /```tsx\n(.*?)```/s.exec(text)!;
  // In the root, so that packages are found.
  const file = path.join(ROOT, "page-of-the-recipe.tsx");
  const bundle = await rolldown({
    input: file,
    platform: "browser",
    logLevel: "silent",
    transform: { define: { "process.env.NODE_ENV": '"production"' } },
    plugins: [
      {
        name: "page",
        resolveId: (id) => (id === file ? id : undefined),
        load: (id) => (id === file ? code : undefined),
      },
    ],
  });
  const { output } = await bundle.generate({ format: "esm" });
  await bundle.close();
  return output[0].code;
}

describeInChromium("ai-sdk", (browser) => {
  let script: string;
  beforeAll(async () => {
    script = await bundlePage();
  }, 60_000);

  let proxy: RedisProxy | undefined;
  afterEach(() => proxy?.close());

  async function openPage(origin: string): Promise<Page> {
    const page = await browser().newPage();
    await page.route(`${origin}/`, (route) =>
      route.fulfill({
        contentType: "text/html",
        body: `<!doctype html><title>Chat</title><body><script type="module" src="/page.js"></script>`,
      }),
    );
    await page.route(`${origin}/page.js`, (route) =>
      route.fulfill({ contentType: "text/javascript", body: script }),
    );
    await page.goto(origin);
    await page.waitForSelector("main");
    return page;
  }

  test(
    "an answer goes on through a reload, and a second page follows it",
    { timeout: 60_000 },
    async () => {
      const { origin, ask } = await startRecipe("ai-sdk", { WORD_MS: "1000" });
      const page = await openPage(origin);
      await page.click("text=Ask");
      await waitForText(page, "A tide ");
      expect((await ask("POST", "/api/chat", { id: "1", messages: [] })).status).toBe(409);
      const second = await openPage(origin);
      await page.reload();
      await waitForText(page, ANSWER);
      await waitForText(second, ANSWER);
      // Its page has it now, and does not ask for it again.
      await page.reload();
      await waitForText(page, ANSWER);
      for (const each of [page, second]) expect(await each.textContent(".assistant")).toBe(ANSWER);
      expect((await ask("GET", "/api/chat/2/stream")).status).toBe(204);
    },
  );

  test(
    "an answer goes on where it was cut, without a word twice",
    { timeout: 60_000 },
    async () => {
      const { origin } = await startRecipe("ai-sdk");
      proxy = await RedisProxy.start(Number(new URL(origin).port));
      const page = await openPage(`http://127.0.0.1:${proxy.port}`);
      await page.click("text=Ask");
      await waitForText(page, "A tide ");
      proxy.shut();
      await page.waitForSelector("[data-status=error]");
      proxy.open();
      await page.evaluate(() => dispatchEvent(new Event("online")));
      await waitForText(page, ANSWER);
      await page.waitForSelector("[data-status=ready]");
      expect(await page.textContent(".assistant")).toBe(ANSWER);
    },
  );

  test("stops for every page", { timeout: 60_000 }, async () => {
    const { origin } = await startRecipe("ai-sdk", { WORD_MS: "1000" });
    const page = await openPage(origin);
    await page.click("text=Ask");
    await waitForText(page, "A tide ");
    const second = await openPage(origin);
    await waitForText(second, "A tide ");
    await page.click("text=Stop");
    for (const each of [page, second]) await each.waitForSelector("[data-status=ready]");
    const text = await page.textContent(".assistant");
    expect(text).not.toBe(ANSWER);
    expect(await second.textContent(".assistant")).toBe(text);
    await page.reload();
    await waitForText(page, "A tide ");
    expect(await page.textContent(".assistant")).toBe(text);
  });
});

async function waitForText(page: Page, text: string): Promise<void> {
  await page.waitForFunction(
    (part) => document.querySelector(".assistant")?.textContent.includes(part),
    text,
  );
}
