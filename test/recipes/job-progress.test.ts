/// <reference lib="dom" />
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { describeInChromium } from "../browser/chromium.js";
import { startRecipe } from "./start-recipe.js";

test("forgets a job some time after its end", async () => {
  const { ask, stream } = await startRecipe("job-progress", { SHEET_MS: "1", KEEP_MS: "1000" });
  const { id } = JSON.parse((await ask("POST", "/jobs")).text) as { id: string };
  // Until then also a client that comes later has the outcome.
  for (const client of [await stream(`/jobs/${id}`), await stream(`/jobs/${id}`)]) {
    expect((await client.next("done")).text).toContain("All 40 sheets are charted");
    expect(await client.ended()).toBe("end");
    expect(client.completed).toBe(true);
    expect(client.events.at(-2)).toMatchObject({ data: { done: 40, of: 40 } });
  }
  await delay(1_200);
  await expect(stream(`/jobs/${id}`)).rejects.toMatchObject({ status: 404 });
});

test("exits at once while a job runs and a client watches it", async () => {
  const { ask, stream, program } = await startRecipe("job-progress");
  const { id } = JSON.parse((await ask("POST", "/jobs")).text) as { id: string };
  const client = await stream(`/jobs/${id}`);
  await client.next();
  const { code, ms } = await program.terminate();
  expect(code).toBe(0);
  expect(ms).toBeLessThan(1_500);
  expect(client.events.map(({ event }) => event)).not.toContain("failed");
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
