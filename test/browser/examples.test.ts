/// <reference lib="dom" />
import type { Browser, Page } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { describeInChromium } from "./chromium.js";
import { findPorts, startProgram } from "./program.js";
import type { Program } from "./program.js";

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

describeInChromium("the examples", (browser) => {
  test.each(["express", "fastify", "http"])(
    "%s shows the time each second and exits on SIGINT",
    async (name) => {
      const { page, program } = await start(browser(), `${name}.js`);
      await page.waitForFunction(() => /T.*Z$/.test(document.querySelector("#time")!.textContent));
      const before = await page.textContent("#time");
      await page.waitForFunction(
        (text) => document.querySelector("#time")!.textContent !== text,
        before,
      );
      expect((await program.interrupt()).code).toBe(0);
    },
  );
});

describeInChromium("the examples with channels", (browser) => {
  test("chat keeps rooms apart and shows later visitors earlier messages", async () => {
    const { page, program } = await start(browser(), "chat.js");
    await page.waitForURL("**/rooms/harbour");
    await say(page, "Is the ferry in?");
    await waitForText(page, "#messages", "Ada: Is the ferry in?");

    const other = await page.context().newPage();
    await other.goto(page.url());
    await waitForText(other, "#messages", "Ada: Is the ferry in?");
    await other.click("text=lighthouse");
    await other.waitForURL("**/rooms/lighthouse");
    await say(other, "Lamp lit");
    await waitForText(other, "#messages", "Ada: Lamp lit");
    expect(await other.textContent("#messages")).not.toContain("ferry");
    await say(page, "No");
    await waitForText(page, "#messages", "Ada: No");
    expect(await page.textContent("#messages")).not.toContain("Lamp");
    expect((await program.interrupt()).code).toBe(0);
  });

  test("ticker shows all prices and then how they change", async () => {
    const { page, program } = await start(browser(), "ticker.js");
    await page.waitForFunction(() => document.querySelectorAll("#prices tr").length === 4);
    const before = await page.textContent("#prices");
    await page.waitForFunction(
      (text) => document.querySelector("#prices")!.textContent !== text,
      before,
    );
    expect((await program.interrupt()).code).toBe(0);
  });
});

async function say(page: Page, text: string): Promise<void> {
  await page.fill("#text", text);
  await page.click("text=Say");
}

async function waitForText(page: Page, selector: string, text: string): Promise<void> {
  await page.waitForFunction(
    (given) => document.querySelector(given.selector)?.textContent?.includes(given.text),
    { selector, text },
    { timeout: 10_000 },
  );
}

async function start(browser: Browser, name: string): Promise<{ page: Page; program: Program }> {
  const port = await findPorts();
  const program = startProgram(name, port);
  cleanups.push(() => program.interrupt());
  await program.printed(`http://localhost:${port}`);
  const context = await browser.newContext();
  cleanups.push(() => context.close());
  const page = await context.newPage();
  await page.goto(`http://localhost:${port}/`);
  return { page, program };
}
