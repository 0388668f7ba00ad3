/// <reference lib="dom" />
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { describeInChromium } from "../browser/chromium.js";
import { findPorts } from "../browser/program.js";
import { crash, startRecipe } from "./start-recipe.js";

describeInChromium("HTML over the stream", (browser) => {
  test.each(["htmx", "turbo"])(
    "%s shows what is published, and the whole list again after a restart",
    async (name) => {
      const port = await findPorts();
      const first = await startRecipe(name, {}, port);
      const context = await browser().newContext();
      const page = await context.newPage();
      const errors: unknown[] = [];
      page.on("pageerror", (error) => errors.push(error));
      await page.goto(first.origin);
      await publish(page, "<b>High</b> & low");
      await waitForItems(page, ["<b>High</b> & low"]);

      const other = await context.newPage();
      await other.goto(first.origin);
      await waitForItems(other, ["<b>High</b> & low"]);
      await publish(other, "Ferry is late");
      await waitForItems(page, ["<b>High</b> & low", "Ferry is late"]);
      await waitForItems(other, ["<b>High</b> & low", "Ferry is late"]);

      // The list was in memory, so the next process has none: the page must not keep the old one.
      await crash(first);
      await startRecipe(name, {}, port);
      await waitForItems(page, []);
      await publish(page, "Back again");
      await waitForItems(page, ["Back again"]);
      expect(errors).toEqual([]);
      await context.close();
    },
  );
});

async function publish(page: Page, title: string): Promise<void> {
  await page.fill("[name=title]", title);
  await page.click("text=Publish");
}

async function waitForItems(page: Page, expected: string[]): Promise<void> {
  await expect
    .poll(() => page.$$eval("#news li", (items) => items.map((item) => item.textContent)), {
      timeout: 12_000,
    })
    .toEqual(expected);
}
