/// <reference lib="dom" />
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { describeInChromium } from "../browser/chromium.js";
import { startRecipe } from "./start-recipe.js";

test("forgets a job some time after its end", async () => {
  const { ask, open } = await startRecipe("job-progress", { SHEET_MS: "1", KEEP_MS: "1000" });
  const { id } = JSON.parse((await ask("POST", "/jobs")).text) as { id: string };
  const client = await open(`/jobs/${id}`);
  expect(await client.rest()).toMatch(/event: done\nid: ~end\ndata: .*All 40 sheets are charted/);

  // Until then also a client that comes later has the outcome.
  const late = await open(`/jobs/${id}`);
  const text = await late.rest();
  expect(text).toContain('data: {"done":40,"of":40}\n');
  expect(text).toContain("event: done\nid: ~end\n");
  await delay(1_200);
  expect((await open(`/jobs/${id}`)).status).toBe(404);
});

test("exits at once while a job runs and a client watches it", async () => {
  const { ask, open, program } = await startRecipe("job-progress");
  const { id } = JSON.parse((await ask("POST", "/jobs")).text) as { id: string };
  const client = await open(`/jobs/${id}`);
  await client.until('"done":1,');
  const { code, ms } = await program.terminate();
  expect(code).toBe(0);
  expect(ms).toBeLessThan(1_500);
  expect(client.text).not.toContain("failed");
});

describeInChromium("job-progress", (browser) => {
  test("goes on while its page is closed, and stops the page when it is done", async () => {
    const { origin } = await startRecipe("job-progress", { SHEET_MS: "50" });
    const context = await browser().newContext();
    const page = await context.newPage();
    await page.goto(origin);
    await page.click("text=Start a job");
    await page.waitForFunction(() =>
      document.querySelector("#state")!.textContent.includes("of 40"),
    );
    const address = page.url();
    await page.close();

    const back = await context.newPage();
    await back.goto(address);
    const isDone = (): boolean =>
      document.querySelector("#state")!.textContent === "All 40 sheets are charted.";
    await back.waitForFunction(isDone);
    await back.reload();
    await back.waitForFunction(isDone);
    await back.goto(`${origin}/#nonsense`);
    await expect.poll(() => back.textContent("#state")).toBe("There is no such job.");
    await context.close();
  });
});
