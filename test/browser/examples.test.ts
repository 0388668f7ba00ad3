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

  test("model-stream writes a text to its end", async () => {
    const { page, program } = await start(browser(), "model-stream.js");
    await page.fill("#prompt", "harbours");
    await page.click("text=Write");
    await page.waitForFunction(() =>
      document.querySelector("#text")!.textContent.endsWith("what a stream is for. "),
    );
    expect(await page.textContent("#text")).toMatch(/^You asked about harbours\. There is /);
    expect(program.output()).not.toContain("The client left");
  });

  test("model-stream stops writing when the client leaves", async () => {
    const { page, program } = await start(browser(), "model-stream.js");
    await page.click("text=Write");
    await page.waitForFunction(() => document.querySelector("#text")!.textContent !== "");
    await page.click("text=Stop");
    await program.printed("The client left: stopped after ");

    await page.click("text=Write");
    await page.waitForFunction(() => document.querySelector("#text")!.textContent !== "");
    await page.close();
    await expect
      .poll(() => program.output().match(/The client left/g), { timeout: 5_000 })
      .toHaveLength(2);
    expect((await program.interrupt()).code).toBe(0);
  });
});

describeInChromium("the examples with channels", (browser) => {
  test("chat keeps rooms apart and shows who comes later what was said", async () => {
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

  test("job-progress goes on while its page is closed, and stops the page when it is done", async () => {
    const { page, program } = await start(browser(), "job-progress.js", { SHEET_MS: "75" });
    await page.click("text=Start a job");
    await waitForText(page, "#state", "of 40 sheets charted");
    const address = page.url();
    await page.close();

    const context = await browser().newContext();
    cleanups.push(() => context.close());
    const back = await context.newPage();
    const statuses: number[] = [];
    back.on("response", (response) => {
      if (response.url().includes("/jobs/")) statuses.push(response.status());
    });
    await back.goto(address);
    await back.waitForFunction(
      () => (document.querySelector("#progress") as HTMLProgressElement).value > 1,
    );
    await waitForText(back, "#state", "All 40 sheets are charted.");
    await expect.poll(() => statuses, { timeout: 10_000 }).toEqual([200, 204]);

    // Who comes when all is over has the end at once.
    await back.reload();
    await waitForText(back, "#state", "All 40 sheets are charted.");
    expect((await program.interrupt()).code).toBe(0);
  });

  test("job-progress exits on SIGINT while a job runs", async () => {
    const { page, program } = await start(browser(), "job-progress.js");
    await page.click("text=Start a job");
    await waitForText(page, "#state", "of 40 sheets charted");
    const { code, ms } = await program.interrupt();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(1_000);
    expect(program.output()).not.toMatch(/error/i);
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

async function start(
  browser: Browser,
  name: string,
  env: Record<string, string> = {},
): Promise<{ page: Page; program: Program }> {
  const port = await findPorts();
  const program = startProgram(name, port, env);
  cleanups.push(() => program.interrupt());
  await program.printed(`http://localhost:${port}`);
  const context = await browser.newContext();
  cleanups.push(() => context.close());
  const page = await context.newPage();
  await page.goto(`http://localhost:${port}/`);
  return { page, program };
}
