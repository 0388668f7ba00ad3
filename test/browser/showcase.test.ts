/// <reference lib="dom" />
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { describeInChromium } from "./chromium.js";
import { findPorts, startProgram } from "./program.js";
import type { Program } from "./program.js";

const PROGRAM = "showcase/main.js";

/** An ID of any log, whatever its format. */
const LOG_ID = /^[\w.~-]{1,128}$/;

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** The positions of the switch. */
const READERS = ["client", "event-source"] as const;

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
      expect(await page.textContent("#last-id")).toMatch(LOG_ID);
      expect(faults).toEqual([]);
    }
  });

  test.each(READERS)(
    "switches to the server of the other origin, with the cookie and the last event ID: %s",
    async (reader) => {
      const { express } = await startShowcase();
      const { page, context, faults } = await open(browser(), express, {}, reader);
      await waitForText(page, "#server", "Express");
      await page.waitForFunction(() =>
        /\d/.test(document.querySelector("#last-id")?.textContent ?? ""),
      );
      await page.click("#switch");
      await waitForText(page, "#server", "Fastify");
      await waitForText(page, "#state", "open");
      const [cookie] = await context.cookies(express);
      expect(await page.textContent("#visitor")).toBe(cookie?.value);
      expect(await page.textContent("#resumed")).toMatch(LOG_ID);

      // A text over POST now needs a preflight, and comes from the other server as well.
      await page.fill("#prompt", "a far shore");
      await page.click("#write");
      await waitForText(page, "#text", "On “a far shore”, in few words.");
      await page.click("#stop");
      await waitForText(page, "#text-note", "tokens, stopped");
      await page.click("#switch");
      await waitForText(page, "#server", "Express");
      expect(faults).toEqual([]);
    },
  );

  test.each(READERS)(
    "comes back with the last event ID after the button has cut the connection: %s",
    async (reader) => {
      const { fastify } = await startShowcase();
      const { page } = await open(browser(), fastify, {}, reader);
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
      expect(await page.textContent("#reason")).toBe(
        reader === "client" ? "ended" : "EventSource does not say",
      );
    },
  );

  test("comes back from a 502 with the client, which says why and when", async () => {
    const { express } = await startShowcase();
    const { page } = await open(browser(), express);
    await waitForText(page, "#state", "open");
    await page.click("#refuse");
    await waitForText(page, "#state", "waiting (status 502), again in ");
    expect(await page.textContent("#next")).toMatch(/^in \d\.\d s$/);
    expect(await page.textContent("#failures")).toBe("2");
    expect(await page.isVisible("#retry")).toBe(true);
    await page.click("#retry");
    await waitForText(page, "#notice-text", "events replayed: nothing was missed.");
    expect(await page.textContent("#reason")).toBe("status 502");
    expect(await page.textContent("#failures")).toBe("0");
  });

  test("stays closed after a 502 with EventSource, until the client takes over where it was", async () => {
    const { express } = await startShowcase();
    const { page } = await open(browser(), express, {}, "event-source");
    await waitForText(page, "#state", "open");
    await page.click("#refuse");
    await waitForText(page, "#state", "closed, EventSource has given up");
    expect(await page.textContent("#reason")).toBe("EventSource does not say");
    await page.click("text=Tidewire client");
    await waitForText(page, "#notice-text", "events replayed: nothing was missed.");
    for (const count of ["#missed", "#doubled", "#resets"]) {
      expect(await page.textContent(count)).toBe("0");
    }
    await page.reload();
    expect(await page.isChecked("[value=client]")).toBe(true);
  });

  test.each(READERS)(
    "stays closed after the stream was ended for good, until a button opens a new one: %s",
    async (reader) => {
      const { express } = await startShowcase();
      const { page } = await open(browser(), express, {}, reader);
      await waitForText(page, "#state", "open");
      await page.fill("#headline", "Seen once");
      await page.click("#publish button");
      await waitForText(page, "#news", "Seen once");
      await page.click("#finish");
      await waitForText(page, "#state", "closed, the server said it is complete");
      await page.click("#connect");
      await waitForText(page, "#state", "open");
      await waitForText(page, "#resumed", "none");
      await waitForText(page, "#notice-text", "A new stream is open, from a snapshot.");
      expect(await page.getAttribute("#notice", "data-kind")).toBe("good");
      await waitForText(page, "#news", "Seen once");
      expect(await page.locator("#news li", { hasText: "Seen once" }).count()).toBe(1);
      expect(await page.locator("#weather li").count()).toBe(6);
    },
  );

  test("begins with a snapshot, and says so, if the client takes over a complete stream", async () => {
    const { express } = await startShowcase();
    const { page } = await open(browser(), express, {}, "event-source");
    await waitForText(page, "#state", "open");
    await page.click("#finish");
    await waitForText(page, "#state", "closed, the server said it is complete");
    await page.click("text=Tidewire client");
    await waitForText(page, "#notice-text", "A new stream is open, from a snapshot.");
    const story = await page.textContent("#story");
    expect(story).toContain("The client reads this tab's stream now, without a last event ID.");
    expect(story).not.toContain("from the same last event ID");
  });

  test("says that the server is down, in the notice and under the forms", async () => {
    const { program, express } = await startShowcase();
    const { page } = await open(browser(), express);
    await waitForText(page, "#state", "open");
    await program.kill();
    await waitForText(page, "#state", "waiting (unreachable)");
    await waitForText(page, "#notice-text", "An attempt has failed (unreachable).");
    await page.fill("#headline", "Nobody hears this");
    await page.click("#publish button");
    await waitForText(page, "#news-note", "Failed");
    expect(await page.textContent("#news-note")).toBe("Failed: the server is down");
  });

  test("shows a headline in every tab of both servers, and a new tab the last five", async () => {
    const { express, fastify } = await startShowcase();
    const { page: here } = await open(browser(), express);
    const { page: there } = await open(browser(), fastify);
    await waitForText(there, "#state", "open");
    for (let n = 1; n <= 6; n++) {
      const page = n % 2 === 0 ? here : there;
      await page.fill("#headline", `Headline <${n}>`);
      await page.click("#publish button");
      await waitForText(here, "#news", `Headline <${n}>`);
      await waitForText(there, "#news", `Headline <${n}>`);
    }
    const { page: late } = await open(browser(), fastify);
    await waitForText(late, "#news", "Headline <2>");
    expect(await late.locator("#news .words").allTextContents()).toEqual(
      [6, 5, 4, 3, 2].map((n) => `Headline <${n}>`),
    );
    expect(await late.textContent("#news li")).toMatch(/by Express$/);
  });

  test("shows a notification only in the tabs of one user", async () => {
    const { express, fastify } = await startShowcase();
    const { page: ada } = await open(browser(), express);
    const { page: bruno } = await open(browser(), fastify);
    for (const [page, name] of [
      [ada, "Åsa"],
      [bruno, "Bruno"],
    ] as const) {
      await page.fill("#user", name);
      await page.click("#rename button");
      await waitForText(page, "#state", "open");
    }
    await bruno.fill("#to", "åsa");
    await bruno.fill("#message", "Tea at four?");
    await bruno.click("#notify button");
    await waitForText(ada, "#notifications", "Tea at four?");
    expect(await ada.textContent("#notifications")).toContain("from Bruno");
    await bruno.fill("#to", "Bruno");
    await bruno.fill("#message", "to myself");
    await bruno.click("#notify button");
    await waitForText(bruno, "#notifications", "to myself");
    expect(await bruno.textContent("#notifications")).not.toContain("Tea");
    expect(await ada.textContent("#notifications")).not.toContain("to myself");
  });

  test("shows who is here, on both servers, and who has left", async () => {
    const { express, fastify } = await startShowcase();
    const { page: ada } = await open(browser(), express, {}, "client", "Ada");
    await waitForText(ada, "#people .self", "ada");
    const { page: bruno } = await open(browser(), fastify, {}, "event-source", "Bruno");
    for (const page of [ada, bruno]) await waitForText(page, "#people", "adabruno");
    expect(await bruno.textContent("#people .self")).toBe("bruno");
    await bruno.close();
    await waitForText(ada, "#log", '{"channel":"news","identities":["bruno"]}');
    await expect
      .poll(() => ada.locator("#people li").allTextContents(), { timeout: 10_000 })
      .toEqual(["ada"]);
  });

  test("shows no change in who is here while a tab reloads, changes the server or is cut", async () => {
    const { express } = await startShowcase();
    const { page: ada } = await open(browser(), express, {}, "client", "Ada");
    await waitForText(ada, "#people .self", "ada");
    const { page: bruno } = await open(browser(), express, {}, "client", "Bruno");
    await waitForText(ada, "#people", "adabruno");
    await ada.evaluate(() => {
      const people = document.querySelector<HTMLElement>("#people")!;
      const watcher = new MutationObserver(() => (people.dataset["changed"] = "yes"));
      watcher.observe(people, { childList: true });
    });
    await bruno.reload();
    await waitForText(bruno, "#people", "adabruno");
    await bruno.click("#switch");
    await waitForText(bruno, "#server", "Fastify");
    await bruno.click("#cut");
    await waitForText(bruno, "#reconnections", "1");
    await waitForText(bruno, "#people", "adabruno");
    // Longer than an identity lingers.
    await ada.waitForTimeout(5_500);
    expect(await ada.getAttribute("#people", "data-changed")).toBeNull();
    expect(await ada.locator("#people li").allTextContents()).toEqual(["ada", "bruno"]);
  });

  test("says that no tab is open under the name that a notification is sent to", async () => {
    const { express, fastify } = await startShowcase();
    for (const url of [express, fastify]) {
      const { page } = await open(browser(), url);
      await waitForText(page, "#state", "open");
      await page.fill("#to", "Nemo");
      await page.fill("#message", "Where are you?");
      await page.click("#notify button");
      await waitForText(page, "#notifications-note", "Published");
      const note = await page.textContent("#notifications-note");
      expect(note).toMatch(/: no tab is open under this name$/);
    }
  });

  test("draws the open streams and the deliveries", async () => {
    const { express, fastify } = await startShowcase();
    const { page } = await open(browser(), express);
    const { page: other } = await open(browser(), fastify);
    await waitForText(page, "#sessions", "2");
    await page.waitForFunction(() => Number(document.querySelector("#events")?.textContent) > 0);
    for (const chart of ["#sessions-chart", "#events-chart"]) {
      // A line needs two samples.
      await expect
        .poll(() => page.locator(`${chart} .line`).getAttribute("d"), { timeout: 5_000 })
        .toMatch(/^M[\d.]+ [\d.]+[HL]/);
    }
    await other.close();
    await waitForText(page, "#sessions", "1");
  });

  test.each(READERS)(
    "replays to the page what it missed while cut off for ten seconds: %s",
    async (reader) => {
      const { express, fastify } = await startShowcase();
      const { page, faults } = await open(browser(), express, {}, reader);
      const { page: other } = await open(browser(), fastify);
      await waitForText(page, "#state", "open");
      await waitForText(other, "#state", "open");
      await page.click("#away");
      await waitForText(page, "#state", "cut off, back in");
      for (const button of ["#away", "#cut", "#refuse", "#switch", "#restart", "#finish"]) {
        expect(await page.isDisabled(button)).toBe(true);
      }
      await other.fill("#headline", "While you were away");
      await other.click("#publish button");
      await waitForText(other, "#news", "While you were away");
      expect(await page.textContent("#news")).not.toContain("While you were away");

      await waitForText(page, "#notice-text", "events replayed: nothing was missed.");
      const notice = await page.textContent("#notice-text");
      // Ten ticks of the clock, about as many statistics, six weather events, and the headline.
      expect(Number.parseInt(notice ?? "", 10)).toBeGreaterThan(20);
      expect(await page.textContent("#news")).toContain("While you were away");
      await waitForText(page, "#log", "events replayed");
      expect(await page.locator("#log .mark").count()).toBeGreaterThan(20);
      for (const count of ["#missed", "#doubled", "#resets"]) {
        expect(await page.textContent(count)).toBe("0");
      }
      expect(await page.locator("#ticks .replayed").getAttribute("d")).not.toBe("");
      expect(await page.locator("#ticks .missed").getAttribute("d")).toBe("");
      expect(await page.textContent("#log")).not.toContain("sse-reset");
      expect(faults).toEqual([]);
    },
  );

  test("says in every page that events were missed after the servers were restarted", async () => {
    const { program, express, fastify } = await startShowcase();
    const { page: here } = await open(browser(), express);
    const { page: there } = await open(browser(), fastify);
    for (const page of [here, there]) await waitForText(page, "#state", "open");
    await here.fill("#headline", "Of the time before");
    await here.click("#publish button");
    await waitForText(there, "#news", "Of the time before");
    const before = await there.textContent("#last-id");

    await here.click("#restart");
    await program.printed("Restarted.");
    for (const page of [here, there]) {
      await waitForText(page, "#notice-text", "Events were missed: the servers were restarted.");
      await waitForText(page, "#state", "open");
      await waitForText(page, "#log", '{"reason":"unknown"');
      expect(await page.locator("#weather li").count()).toBe(6);
      expect(await page.textContent("#news")).toBe("");
      // A page that is back before anything was published has no position until the first event.
      await expect.poll(() => page.textContent("#last-id"), { timeout: 5_000 }).toMatch(LOG_ID);
      expect(await page.textContent("#last-id")).not.toBe(before);
    }

    // They serve as before, including each other's pages.
    await there.fill("#headline", "Of the time after");
    await there.click("#publish button");
    for (const page of [here, there]) await waitForText(page, "#news", "Of the time after");
    const { code, ms } = await program.interrupt();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(1_000);
  });

  test("shows a text in full, its line breaks included", async () => {
    const { express } = await startShowcase();
    const { page } = await open(browser(), express);
    await page.fill("#prompt", "<b>tides</b>");
    await page.click("#write");
    await waitForText(page, "#text-note", "tokens, complete");
    const text = (await page.textContent("#text")) ?? "";
    expect(text).toMatch(/^On “<b>tides<\/b>”, in few words\.\n\nA whole answer/);
    expect(text).toMatch(/ and the text goes on\.\n\n.* does not write the rest\.$/);
  });

  test("goes on with its text when the page is reloaded in the middle, on both servers", async () => {
    const { express, fastify } = await startShowcase();
    for (const url of [express, fastify]) {
      const { page, faults } = await open(browser(), url);
      await page.fill("#prompt", "a long way");
      await page.click("#write");
      await waitForText(page, "#text", "On “a long way”, in few words.");
      const before = (await page.textContent("#text")) ?? "";
      await page.reload();
      await page.waitForFunction((given) => {
        const text = document.querySelector("#text")?.textContent ?? "";
        return text.startsWith(given) && text.length > given.length;
      }, before);
      expect(await page.getAttribute("#text", "aria-busy")).toBe("true");
      await page.click("#stop");
      await waitForText(page, "#text-note", "tokens, stopped");
      expect((await page.textContent("#text"))?.match(/a long way/g)).toHaveLength(1);
      expect(faults).toEqual([]);
    }
  });

  test("says that its text was lost when the servers restart", async () => {
    const { express } = await startShowcase();
    const { page } = await open(browser(), express);
    await waitForText(page, "#state", "open");
    await page.waitForFunction(() => document.querySelector("#text")?.textContent !== "");
    await page.click("#restart");
    await waitForText(page, "#text-note", "tokens, then the servers restarted");
    expect(await page.getAttribute("#text", "aria-busy")).toBe("false");
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

  test("has something to show in every list when the first page opens", async () => {
    const { express } = await startShowcase();
    const { page, faults } = await open(browser(), express);
    await waitForText(page, "#text-note", "tokens");
    for (const list of ["#people", "#news", "#notifications", "#weather", "#story", "#log"]) {
      await page.waitForSelector(`${list} li`);
    }
    expect(await page.textContent("#sessions")).toMatch(/\d/);
    await page.waitForFunction(() =>
      /\d/.test(document.querySelector("#clock")?.textContent ?? ""),
    );
    await expect.poll(() => page.locator("#ticks .live").getAttribute("d")).toMatch(/^M/);
    expect(faults).toEqual([]);
  });

  test("shows a new page the ticks of before it was opened", async () => {
    const { express, fastify } = await startShowcase();
    const { page: first } = await open(browser(), express);
    await first.waitForFunction(
      () =>
        (document.querySelector("#ticks .live")?.getAttribute("d")?.match(/M/g) ?? []).length > 2,
    );
    const { page } = await open(browser(), fastify);
    await page.waitForFunction(
      () =>
        (document.querySelector("#ticks .live")?.getAttribute("d")?.match(/M/g) ?? []).length > 2,
    );
    expect(await page.textContent("#doubled")).toBe("0");
    expect(await page.textContent("#missed")).toBe("0");
  });

  test("shows the result of each button inside a phone's screen", async () => {
    const { express } = await startShowcase();
    const { page } = await open(browser(), express, { viewport: { width: 390, height: 844 } });
    await waitForText(page, "#state", "open");
    for (const [button, result] of [
      ["#cut", "nothing was missed."],
      ["#switch", "nothing was missed."],
      ["#restart", "Events were missed: the servers were restarted."],
      ["#finish", "The client does not come back."],
    ] as const) {
      await page.click(button);
      await waitForText(page, "#notice-text", result);
      expect(await isInView(page, "#notice-text")).toBe(true);
      expect(await isInView(page, button === "#finish" ? "#connect" : button)).toBe(true);
    }
  });

  test("breaks JSON between its members, not inside a word", async () => {
    const { express } = await startShowcase();
    const { page } = await open(browser(), express, { viewport: { width: 360, height: 800 } });
    await waitForText(page, "#log", '"temperature":');
    const lines = await page
      // Text with spaces may take several lines.
      .locator("#log .member", { hasNotText: / / })
      .evaluateAll((members) =>
        members.map((member) => {
          const range = document.createRange();
          range.selectNodeContents(member);
          return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size;
        }),
      );
    expect(lines.length).toBeGreaterThan(6);
    expect(new Set(lines)).toEqual(new Set([1]));
  });

  test.each([
    ["SIGINT", "interrupt"],
    ["SIGTERM", "terminate"],
  ] as const)("exits within a second of %s with streams open", async (_signal, end) => {
    const { program, express, fastify } = await startShowcase();
    for (const url of [express, fastify]) {
      const { page } = await open(browser(), url);
      await waitForText(page, "#state", "open");
      await page.click("#write");
      await page.waitForFunction(() => document.querySelector("#text")?.textContent !== "");
    }
    const { code, ms } = await program[end]();
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

test("the showcase listens on the loopback interface only", async () => {
  const port = await findPorts();
  const program = startProgram(PROGRAM, port);
  cleanups.push(() => program.interrupt());
  await program.printed(`:${port + 1}`);
  const others = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family }) => !internal && family === "IPv4")
    .map(({ address }) => address);
  // On Linux every address of 127.0.0.0/8 is this machine. A server on all interfaces would answer there too.
  if (process.platform === "linux") others.push("127.0.0.2");
  for (const each of [port, port + 1]) {
    expect(await isRefused("127.0.0.1", each)).toBe(false);
    for (const address of others) expect(await isRefused(address, each)).toBe(true);
  }
});

test("the showcase names the valid values of PORT and exits with 1", async () => {
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
  reader: (typeof READERS)[number] = "client",
  user?: string,
): Promise<{ page: Page; context: BrowserContext; faults: string[] }> {
  const context = await browser.newContext(options);
  cleanups.push(() => context.close());
  await context.addInitScript((name) => {
    if (sessionStorage.getItem("reader") === null) sessionStorage.setItem("reader", name);
  }, reader);
  if (user !== undefined) {
    await context.addInitScript((name) => {
      if (sessionStorage.getItem("user") === null) sessionStorage.setItem("user", name);
    }, user);
  }
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text());
  });
  await page.goto(url);
  return { page, context, faults };
}

async function isInView(page: Page, selector: string): Promise<boolean> {
  return page.evaluate((given) => {
    const box = document.querySelector(given)?.getBoundingClientRect();
    return box !== undefined && box.height > 0 && box.top >= 0 && box.bottom <= innerHeight;
  }, selector);
}

async function isRefused(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", () => resolve(true));
  });
}

async function waitForText(page: Page, selector: string, text: string): Promise<void> {
  await page.waitForFunction(
    (given) => document.querySelector(given.selector)?.textContent?.includes(given.text),
    { selector, text },
    { timeout: 15_000 },
  );
}
