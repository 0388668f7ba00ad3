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
