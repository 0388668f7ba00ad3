/// <reference lib="dom" />
import { expect, test } from "vitest";
import { describeInChromium } from "../browser/chromium.js";
import { startRecipe } from "./start-recipe.js";

const LINES = [
  "You asked about harbours.",
  "",
  "- A tide rises and falls twice a day.",
  "- The moon pulls the water.",
  "",
];

describeInChromium("llm-answer", (browser) => {
  test("shows tokens with line breaks, fails in words, and stops the model when the client leaves", async () => {
    const { origin, program } = await startRecipe("llm-answer");
    const page = await browser().newPage();
    await page.goto(origin);
    await page.fill("#prompt", "harbours");
    await page.click("text=Write");
    await page.waitForFunction(
      (end) => document.querySelector("#text")!.textContent.endsWith(end),
      LINES.slice(-2).join("\n"),
    );
    expect(await page.textContent("#text")).toBe(LINES.join("\n"));
    expect(program.output()).not.toContain("The client left");

    await page.fill("#prompt", "an error");
    await page.click("text=Write");
    await page.waitForFunction(
      () => document.querySelector("#text")!.textContent === " (The answer failed)",
    );

    await page.fill("#prompt", "harbours");
    await page.click("text=Write");
    await page.waitForFunction(() => document.querySelector("#text")!.textContent !== "");
    await page.click("text=Stop");
    await program.printed("The client left after");
    await page.click("text=Write");
    await page.waitForFunction(() => document.querySelector("#text")!.textContent !== "");
    await page.close();
    await expect
      .poll(() => program.output().match(/The client left/g), { timeout: 5_000 })
      .toHaveLength(2);
  });
});

test("answers a request without a prompt with 400", async () => {
  const { ask } = await startRecipe("llm-answer");
  expect((await ask("POST", "/text", {})).status).toBe(400);
});
