/// <reference lib="dom" />
import { once } from "node:events";
import { createServer } from "node:net";
import { createParser } from "eventsource-parser";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { eventually, request } from "../client.js";
import { RedisServer, describeWithRedis } from "../redis/redis-server.js";
import { describeInChromium } from "./chromium.js";
import { findPorts, startProgram } from "./program.js";
import type { Program } from "./program.js";

const PROGRAM = "chat-llm/main.js";

/** Pace of the model for answers that are read to their end, in milliseconds per token: about a second. */
const QUICK = { TOKEN_MS: "4" };
/** For answers that are stopped or lost in the middle: about twenty seconds. */
const SLOW = { TOKEN_MS: "90" };
/** For tests that start several processes one after the other, in milliseconds. */
const STARTS_MS = 60_000;

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Chat {
  readonly program: Program;
  readonly port: number;
}

async function startChat(env: Record<string, string>, at?: number): Promise<Chat> {
  const port = at ?? (await findPorts());
  const program = startProgram(PROGRAM, port, { REDIS_URL: "", ...env });
  cleanups.push(() => program.interrupt());
  await program.printed("Stop with Ctrl-C.");
  return { program, port };
}

async function startRedis(): Promise<string> {
  const redis = await RedisServer.start();
  cleanups.push(() => redis.stop());
  return redis.url;
}

describeInChromium("the chat with a model", (browser) => {
  test("shows an answer as it is written, and all of it once", async () => {
    const { port } = await startChat(QUICK);
    const { page, faults } = await open(browser(), `http://localhost:${port}/`);
    await page.click("#suggestions button");
    await waitForTokens(page, 5);
    expect(await page.isVisible("#stop")).toBe(true);
    await waitForState(page, "done");
    const text = await readText(page);
    expect(text).toMatch(/^You asked: “Why does the tide rise\?”\n\nThe tide rises and falls/);
    expect(text).toMatch(/none of its words is missing or there twice\.$/);
    expect(text).toBe(await readTape(page));
    expect(await page.isVisible("#send")).toBe(true);
    expect(faults).toEqual([]);
  });

  test("goes on with the answer when the page is reloaded in the middle", async () => {
    const { port } = await startChat(SLOW);
    const { page } = await open(browser(), `http://localhost:${port}/`);
    await ask(page, "What is a tide?");
    await waitForTokens(page, 10);
    const before = await countTokens(page);
    const text = await readText(page);
    await page.reload();
    await waitForTokens(page, before + 5);
    expect((await readText(page)).startsWith(text)).toBe(true);
    await expectWhole(page);
  });

  test("catches up with the answer after airplane mode", async () => {
    const { port } = await startChat(SLOW);
    const { page } = await open(browser(), `http://localhost:${port}/`);
    await ask(page, "What is a tide?");
    await waitForTokens(page, 5);
    await page.context().setOffline(true);
    await waitForState(page, "away");
    const before = await countTokens(page);
    const other = await request({ port, protocol: "http1" }, await answerPath(page));
    await other.until(`.${before + 10}\n`);
    expect(await countTokens(page)).toBe(before);
    await page.context().setOffline(false);
    await waitForTokens(page, before + 11);
    expect(await page.textContent(".outcome")).toMatch(/ · back once · nothing missed$/);
    await expectWhole(page);
  });

  test("goes on after the button has cut the tab off", async () => {
    const { port } = await startChat(SLOW);
    const { page } = await open(browser(), `http://localhost:${port}/`);
    await page.clock.install();
    await ask(page, "What is a tide?");
    await waitForTokens(page, 5);
    await page.click("#cut");
    await waitForState(page, "away");
    const before = await countTokens(page);
    const other = await request({ port, protocol: "http1" }, await answerPath(page));
    await other.until(`.${before + 5}\n`);
    expect(await countTokens(page)).toBe(before);
    await page.clock.fastForward(5_000);
    await waitForTokens(page, before + 6);
    await expectWhole(page);
  });

  test("shows an answer in a second tab from its beginning, and stops it there for both", async () => {
    const { port } = await startChat(SLOW);
    const { page: first } = await open(browser(), `http://localhost:${port}/`);
    await ask(first, "What is a tide?");
    await waitForTokens(first, 5);
    const { page: second } = await open(browser(), first.url());
    await waitForTokens(second, 5);
    expect(await readText(second)).toMatch(/^You asked/);

    await second.click("#stop");
    for (const page of [first, second]) await waitForState(page, "stopped");
    expect(await readText(first)).toBe(await readText(second));
    expect(await readText(first)).toBe(await readTape(first));

    await second.click("button:text-is('Ask again')");
    for (const page of [first, second]) {
      await waitForState(page, "writing", 1);
      expect(await page.locator(".question").allTextContents()).toEqual([
        "What is a tide?",
        "What is a tide?",
      ]);
    }
  });

  test("says that the model has failed, without its error", async () => {
    const { port, program } = await startChat(QUICK);
    const { page } = await open(browser(), `http://localhost:${port}/`);
    await ask(page, "Give me an error");
    await waitForState(page, "failed");
    expect(await page.content()).not.toContain("overloaded");
    await program.printed("The model is overloaded");
  });

  test(
    "calls the answer lost if its only process dies, and answers again with the next one",
    async () => {
      const { program, port } = await startChat(SLOW);
      const { page } = await open(browser(), `http://localhost:${port}/`);
      await ask(page, "What is a tide?");
      await waitForTokens(page, 5);
      await program.kill();
      await waitForState(page, "reconnecting");
      await startChat(QUICK, port);
      await waitForState(page, "lost");
      await waitForText(page, "#messages", "The server no longer has all questions of this chat.");
      await page.click("button:text-is('Ask again')");
      await waitForState(page, "done", 1);
      expect(await page.locator(".question").count()).toBe(2);
    },
    STARTS_MS,
  );

  test("fits a phone and a desktop, light and dark, without scrolling the page", async () => {
    const { port } = await startChat(SLOW);
    const light = { colorScheme: "light", viewport: { width: 360, height: 640 } } as const;
    const { page: phone } = await open(browser(), `http://localhost:${port}/`, light);
    await ask(phone, "long".repeat(50));
    await waitForTokens(phone, 10);
    const dark = { colorScheme: "dark", viewport: { width: 1280, height: 800 } } as const;
    const { page: desktop } = await open(browser(), phone.url(), dark);
    await waitForTokens(desktop, 10);
    for (const [page, { width, height }] of [
      [phone, light.viewport],
      [desktop, dark.viewport],
    ] as const) {
      const size = await page.evaluate(() => {
        const { scrollWidth, scrollHeight } = document.documentElement;
        return { width: scrollWidth, height: scrollHeight };
      });
      expect(size).toEqual({ width, height });
    }
  });

  describeWithRedis("with two nodes on Redis", () => {
    test(
      "calls the answer of a killed node lost in every tab, and answers again on the other",
      async () => {
        const { port } = await startChat({ ...SLOW, REDIS_URL: await startRedis() });
        const { page: first } = await open(browser(), `http://localhost:${port}/`);
        await ask(first, "What is a tide?");
        await waitForTokens(first, 5);
        const { page: second } = await open(browser(), first.url());
        await waitForTokens(second, 5);
        await first.click("#kill");
        for (const page of [first, second]) {
          await waitForState(page, "lost");
          expect(await readText(page)).toBe(await readTape(page));
        }
        await second.click("button:text-is('Ask again')");
        for (const page of [first, second]) await waitForState(page, "writing", 1);
      },
      STARTS_MS,
    );

    test(
      "goes on with the answer when the node that serves a tab is killed, but not the one that writes",
      async () => {
        const { program, port } = await startChat({ ...SLOW, REDIS_URL: await startRedis() });
        const { page } = await open(browser(), `http://localhost:${port}/`);
        await ask(page, "What is a tide?");
        await waitForTokens(page, 5);
        // Of two streams in a row each node serves one.
        const path = await answerPath(page);
        const streams = [
          await request({ port, protocol: "http1" }, path),
          await request({ port, protocol: "http1" }, path),
        ];
        const writer = /process (\d+)/.exec((await page.textContent(".outcome")) ?? "")?.[1];
        const [other] = [...program.output().matchAll(/process (\d+)$/gm)]
          .map(([, pid]) => pid)
          .filter((pid) => pid !== writer);
        const killed = await fetch(`http://localhost:${port}/kill?pid=${other}`, {
          method: "POST",
        });
        expect(killed.status).toBe(204);
        await eventually("a stream to break", () => streams.some(({ isBroken }) => isBroken));
        await waitForTokens(page, (await countTokens(page)) + 5);
        await expectWhole(page);
        for (const stream of streams) await stream.ended;
        expect(streams.filter(({ isBroken }) => isBroken)).toHaveLength(1);
      },
      STARTS_MS,
    );

    test(
      "keeps its chats when all of its processes are stopped and started again",
      async () => {
        const REDIS_URL = await startRedis();
        const { program, port } = await startChat({ ...QUICK, REDIS_URL });
        const { page } = await open(browser(), `http://localhost:${port}/`);
        await ask(page, "What is a tide?");
        await waitForState(page, "done");
        const text = await readText(page);
        expect((await program.interrupt()).code).toBe(0);
        await startChat({ ...QUICK, REDIS_URL }, port);
        await page.reload();
        await waitForState(page, "done");
        expect(await readText(page)).toBe(text);
      },
      STARTS_MS,
    );
  });
});

test.each([
  ["SIGINT", "interrupt"],
  ["SIGTERM", "terminate"],
] as const)(
  "the chat exits within a second of %s, and tells its readers that the answer is lost",
  async (_signal, end) => {
    const { program, port } = await startChat(SLOW);
    const chat = `http://localhost:${port}/chats/a-quiet-harbour`;
    await post(`${chat}/questions`, { text: "What is a tide?" });
    const questions = await request(
      { port, protocol: "http1" },
      "/chats/a-quiet-harbour/questions",
    );
    const id = /"id":"(\w+)"/.exec(await questions.until("event: asked"))?.[1];
    const answer = await request(
      { port, protocol: "http1" },
      `/chats/a-quiet-harbour/answers/${id}`,
    );
    await answer.until("data: You");
    const { code, ms } = await program[end]();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(1_000);
    expect(answer.text).toMatch(/event: end\n(?:.*\n)*data: lost\n\n$/);
  },
);

test("the chat refuses questions and addresses that it cannot use", async () => {
  const { port } = await startChat(SLOW);
  const chat = `http://localhost:${port}/chats/a-quiet-harbour`;
  expect(await post(`${chat}/questions`, {})).toBe(400);
  expect(await post(`${chat}/questions`, { text: "x".repeat(201) })).toBe(400);
  expect(await post(`http://localhost:${port}/chats/short/questions`, { text: "x" })).toBe(404);
  const headers = { Accept: "text/event-stream" };
  expect((await fetch(`${chat}/answers/${"x".repeat(41)}`, { headers })).status).toBe(404);
  expect((await fetch(`${chat}/answers/never-asked`, { headers })).status).toBe(204);
  expect((await fetch(`${chat}/answers/never-asked`, { method: "DELETE" })).status).toBe(204);
});

test("the chat says that Redis does not answer and exits with 1", async () => {
  const program = startProgram(PROGRAM, await findPorts(), { REDIS_URL: "harbour" });
  expect(await program.exited).toBe(1);
  expect(program.output()).toBe(
    "Redis does not answer at the address in REDIS_URL: correct it, or leave it out to keep the chats in memory.\n",
  );
});

test("the chat says that its port is taken and exits with 1", async () => {
  const port = await findPorts();
  const taken = createServer().listen(port, "127.0.0.1");
  await once(taken, "listening");
  cleanups.push(() => taken.close());
  const program = startProgram(PROGRAM, port, { REDIS_URL: "" });
  expect(await program.exited).toBe(1);
  expect(program.output()).toBe(
    `Port ${port} is taken: stop what listens there, or set PORT to a port that is free.\n`,
  );
});

test("the chat names the valid values of PORT and TOKEN_MS and exits with 1", async () => {
  const badPort = startProgram(PROGRAM, "harbour", { REDIS_URL: "" });
  expect(await badPort.exited).toBe(1);
  expect(badPort.output()).toBe(
    'Expected PORT to be a whole number from 1 to 65535, got "harbour".\n',
  );
  const badPace = startProgram(PROGRAM, await findPorts(), { REDIS_URL: "", TOKEN_MS: "0" });
  expect(await badPace.exited).toBe(1);
  expect(badPace.output()).toBe(
    'Expected TOKEN_MS to be a whole number from 1 to 10000, got "0".\n',
  );
});

async function open(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; faults: string[] }> {
  const context = await browser.newContext(options);
  cleanups.push(() => context.close());
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text());
  });
  await page.goto(url);
  return { page, faults };
}

async function ask(page: Page, question: string): Promise<void> {
  await page.fill("#question", question);
  await page.click("#send");
}

/** Stops the page's answer, and expects it to be the same on the page as on the server. */
async function expectWhole(page: Page): Promise<void> {
  await page.click("#stop");
  await waitForState(page, "stopped");
  expect(await readText(page)).toBe(await readTape(page));
  expect(await page.textContent(".outcome")).not.toContain("missing");
}

/** Number of tokens of the first answer. */
async function countTokens(page: Page): Promise<number> {
  return Number(/(\d+) tokens/.exec((await page.textContent(".outcome")) ?? "")?.[1]);
}

/** Waits until the last answer has at least so many tokens. */
async function waitForTokens(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    (given) => {
      const outcome = document.querySelector("li:last-child .outcome")?.textContent ?? "";
      return Number(/(\d+) tokens/.exec(outcome)?.[1]) >= given;
    },
    count,
    { timeout: 15_000 },
  );
}

/** Waits for the state of an answer, by default the first. */
async function waitForState(page: Page, state: string, index = 0): Promise<void> {
  await page.waitForFunction(
    (given) => {
      const answer = document.querySelectorAll(".answer")[given.index];
      return answer?.getAttribute("data-state") === given.state;
    },
    { state, index },
    { timeout: 15_000 },
  );
}

async function waitForText(page: Page, selector: string, text: string): Promise<void> {
  await page.waitForFunction(
    (given) => document.querySelector(given.selector)?.textContent?.includes(given.text),
    { selector, text },
    { timeout: 15_000 },
  );
}

/** Text of the first answer on the page. */
async function readText(page: Page): Promise<string> {
  return (await page.textContent(".answer .text")) ?? "";
}

/** Path of the stream of the page's first answer. */
async function answerPath(page: Page): Promise<string> {
  const id = await page.getAttribute("#messages li", "id");
  return `${new URL(page.url()).pathname}/answers/${id}`;
}

/** The same answer from the server, which is read to its end. */
async function readTape(page: Page): Promise<string> {
  const response = await fetch(new URL(await answerPath(page), page.url()), {
    headers: { Accept: "text/event-stream" },
  });
  const tokens: string[] = [];
  const parser = createParser({
    onEvent: ({ event, data }) => event === undefined && tokens.push(data),
  });
  parser.feed(await response.text());
  return tokens.join("");
}

async function post(url: string, body: unknown): Promise<number> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return response.status;
}
