/// <reference lib="dom" />
import { once } from "node:events";
import { createServer } from "node:net";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { describeInChromium } from "./chromium.js";
import { findPorts, startProgram } from "./program.js";
import type { Program } from "./program.js";

const PROGRAM = "showcase/main.js";

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Showcase {
  readonly program: Program;
  readonly express: string;
  readonly fastify: string;
}

async function startShowcase(): Promise<Showcase> {
  const port = await findPorts();
  const program = startProgram(PROGRAM, port);
  cleanups.push(() => program.interrupt());
  const express = `http://localhost:${port}`;
  const fastify = `http://localhost:${port + 1}`;
  await program.printed(express);
  await program.printed(fastify);
  return { program, express, fastify };
}

describeInChromium("the showcase", (browser) => {
  test("opens from both servers with a clock that ticks and the weather of six cities", async () => {
    const { express, fastify } = await startShowcase();
    for (const [name, url] of [
      ["Express", express],
      ["Fastify", fastify],
    ] as const) {
      const { page, faults } = await open(browser(), url);
      await waitForText(page, "#server", name);
      await waitForText(page, "#state", "open");
      const before = await page.textContent("#clock");
      await page.waitForFunction((text) => {
        const clock = document.querySelector("#clock")?.textContent ?? "";
        return /^\d\d:\d\d:\d\d$/.test(clock) && clock !== text;
      }, before);
      expect(await page.locator("#weather li").count()).toBe(6);
      expect(await page.textContent("#last-id")).toMatch(/^\d+$/);
      expect(faults).toEqual([]);
    }
  });

  test("switches to the server of the other origin, with the cookie and the last event ID", async () => {
    const { express } = await startShowcase();
    const { page, context, faults } = await open(browser(), express);
    await waitForText(page, "#server", "Express");
    await page.waitForFunction(() =>
      /\d/.test(document.querySelector("#last-id")?.textContent ?? ""),
    );
    await page.click("#switch");
    await waitForText(page, "#server", "Fastify");
    await waitForText(page, "#state", "open");
    const [cookie] = await context.cookies(express);
    expect(await page.textContent("#visitor")).toBe(cookie?.value);
    expect(await page.textContent("#resumed")).toMatch(/^\d+$/);

    // A text over POST now needs a preflight, and it comes from the other server as well.
    await page.fill("#prompt", "a far shore");
    await page.click("#write");
    await waitForText(page, "#text", "On “a far shore”, in few words.");
    await page.click("#stop");
    await waitForText(page, "#text-note", "Stopped after");
    await page.click("#switch");
    await waitForText(page, "#server", "Express");
    expect(faults).toEqual([]);
  });

  test("comes back with the last event ID after the button has cut the connection", async () => {
    const { fastify } = await startShowcase();
    const { page } = await open(browser(), fastify);
    await page.waitForFunction(() =>
      /\d/.test(document.querySelector("#last-id")?.textContent ?? ""),
    );
    expect(await page.textContent("#resumed")).toBe("none");
    await page.click("#cut");
    await waitForText(page, "#reconnections", "1");
    await waitForText(page, "#state", "open");
    await page.waitForFunction(() =>
      /\d/.test(document.querySelector("#resumed")?.textContent ?? ""),
    );
  });

  test("stays closed after Finish until Connect opens a new stream", async () => {
    const { express } = await startShowcase();
    const { page } = await open(browser(), express);
    await waitForText(page, "#state", "open");
    await page.click("#finish");
    await waitForText(page, "#state", "closed, the server said it is complete");
    await page.click("#connect");
    await waitForText(page, "#state", "open");
  });

  test("shows a text in full, its line breaks included", async () => {
    const { express } = await startShowcase();
    const { page } = await open(browser(), express);
    await page.fill("#prompt", "<b>tides</b>");
    await page.click("#write");
    await waitForText(page, "#text-note", "tokens, complete");
    const text = (await page.textContent("#text")) ?? "";
    expect(text).toMatch(/^On “<b>tides<\/b>”, in few words\.\n\nWhoever waits/);
    expect(text).toMatch(/\n– a client that leaves stops it\.\n\n.* written the rest\.$/);
  });

  test.each([
    ["light", 360],
    ["dark", 360],
    ["light", 1280],
  ] as const)(
    "fits a %s screen %i pixels wide without sideways scrolling",
    async (colorScheme, width) => {
      const { express } = await startShowcase();
      const { page } = await open(browser(), express, {
        colorScheme,
        viewport: { width, height: 800 },
      });
      await waitForText(page, "#state", "open");
      await page.waitForFunction(() => document.querySelectorAll("#log li").length > 8);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
    },
  );

  test("exits within a second of SIGINT with streams open", async () => {
    const { program, express, fastify } = await startShowcase();
    for (const url of [express, fastify]) {
      const { page } = await open(browser(), url);
      await waitForText(page, "#state", "open");
      await page.click("#write");
      await page.waitForFunction(() => document.querySelector("#text")?.textContent !== "");
    }
    const { code, ms } = await program.interrupt();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(1_000);
  });
});

test.each([0, 1])(
  "the showcase says which port is taken and exits with 1 (PORT + %i)",
  async (offset) => {
    const port = await findPorts();
    const taken = createServer().listen(port + offset);
    await once(taken, "listening");
    cleanups.push(async () => taken.close());
    const program = startProgram(PROGRAM, port);
    expect(await program.exited).toBe(1);
    expect(program.output()).toBe(
      `Port ${port + offset} is taken: stop what listens there, or set PORT to a port that is free and whose next one is too.\n`,
    );
  },
);

test("the showcase says what PORT may be and exits with 1", async () => {
  const program = startProgram(PROGRAM, "harbour");
  expect(await program.exited).toBe(1);
  expect(program.output()).toBe(
    'Expected PORT to be a whole number from 1 to 65534, got "harbour".\n',
  );
});

async function open(
  browser: Browser,
  url: string,
  options: Parameters<Browser["newContext"]>[0] = {},
): Promise<{ page: Page; context: BrowserContext; faults: string[] }> {
  const context = await browser.newContext(options);
  cleanups.push(() => context.close());
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text());
  });
  await page.goto(url);
  return { page, context, faults };
}

async function waitForText(page: Page, selector: string, text: string): Promise<void> {
  await page.waitForFunction(
    (given) => document.querySelector(given.selector)?.textContent?.includes(given.text),
    { selector, text },
    { timeout: 15_000 },
  );
}
