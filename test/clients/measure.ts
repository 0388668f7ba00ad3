// Runs clients against scenarios in parallel and returns the cells of the table.
import { setTimeout as delay } from "node:timers/promises";
import type { Browser } from "puppeteer-core";
import { bundlePages, launch, makePage, openWindow } from "./browsers.js";
import { textOf } from "./client.js";
import type { Client } from "./client.js";
import { Run } from "./run.js";
import { BACKGROUND, SCENARIOS } from "./scenarios.js";
import type { Scenario } from "./scenarios.js";

/** One cell: its text, and the run it describes. */
export interface Cell {
  readonly text: string;
  readonly run: Run;
}

/** The cells by client name and scenario name. */
export type Measured = ReadonlyMap<string, ReadonlyMap<string, Cell>>;

/** Folder for screenshots of the windows; unset by default. */
const SCREENSHOTS = process.env["SCREENSHOTS"];

/**
 * Measures clients. Starts browsers as needed.
 *
 * @returns Their cells, and the versions of the browsers.
 */
export async function measure(
  clients: readonly Client[],
): Promise<{ measured: Measured; versions: ReadonlyMap<string, string> }> {
  const measured = new Map<string, Map<string, Cell>>(clients.map(({ name }) => [name, new Map()]));
  const versions = new Map<string, string>();
  const record = (run: Run, text: string): void => {
    measured.get(run.client.name)?.set(run.scenario.name, { text, run });
  };
  const scripts = await bundlePages();
  const browsers: Browser[] = [];
  const start = async (client: Client, scenario: Scenario): Promise<Run> => {
    const title = scenario === BACKGROUND ? client.name : scenario.name;
    const run = new Run(client, scenario, makePage(client.name, title, scripts));
    await run.listen();
    await scenario.prepare?.(run);
    return run;
  };

  const measureHere = async (queue: Queue, client: Client, scenario: Scenario): Promise<void> => {
    const { run, stop } = await queue(async () => {
      const started = await start(client, scenario);
      const close = await client.connect(`${started.origin}/stream`, {
        open: () => started.hear({ kind: "open" }),
        message: (text, type) => started.hear({ kind: "message", text, type: type || "message" }),
        error: (error) => started.hear({ kind: "error", text: textOf(error) }),
        end: () => started.hear({ kind: "end" }),
      });
      await started.until(() => started.asked.length > 0, START_MS);
      return { run: started, stop: close };
    });
    record(run, await scenario.play(run));
    stop();
    await run.shutDown(0);
  };

  const measureInWindow = async (queue: Queue, browser: Browser, client: Client): Promise<void> => {
    const { runs, page } = await queue(async () => {
      const started = await Promise.all(SCENARIOS.map((scenario) => start(client, scenario)));
      const opened = await openWindow(browser, client.name, started);
      const isOpen = (): boolean => started.every(({ asked }) => asked.length > 0);
      await started[0]?.until(isOpen, START_MS);
      return { runs: started, page: opened };
    });
    await Promise.all(runs.map(async (run) => record(run, await run.scenario.play(run))));
    await photograph(page, client.name);
    await page.close();
    await Promise.all(runs.map((run) => run.shutDown(0)));
  };

  /** Measures all clients of `browser` in one hidden tab. */
  const measureBackground = async (browser: Browser, of: readonly Client[]): Promise<void> => {
    const runs = await Promise.all(of.map((client) => start(client, BACKGROUND)));
    const page = await openWindow(browser, BACKGROUND.name, runs);
    await Promise.all(runs.map((run) => BACKGROUND.begin(run)));
    const cover = await browser.newPage();
    await cover.bringToFront();
    await delay(500);
    const isChromium = of[0]?.runsIn === "chromium";
    const setState = async (state: "frozen" | "active"): Promise<void> => {
      if (!isChromium) return;
      const session = await page.createCDPSession();
      await session.send("Page.setWebLifecycleState", { state });
      await session.detach();
    };
    await setState("frozen");
    await Promise.all(runs.map((run) => BACKGROUND.publishUnseen(run)));
    await delay(2_000);
    await setState("active");
    await page.bringToFront();
    await Promise.all(runs.map(async (run) => record(run, await BACKGROUND.play(run))));
    await photograph(page, `${of[0]?.runsIn}-background`);
    await page.close();
    await Promise.all(runs.map((run) => run.shutDown(0)));
  };

  const measureIn = async (name: "chromium" | "firefox"): Promise<void> => {
    const of = clients.filter(({ runsIn }) => runsIn === name);
    if (of.length === 0) return;
    const windows = await launch(name);
    browsers.push(windows);
    const background = await launch(name);
    browsers.push(background);
    const queue = makeQueue();
    versions.set(name, await windows.version());
    await Promise.all([
      measureBackground(background, of),
      ...of.map((client) => measureInWindow(queue, windows, client)),
    ]);
  };

  const measureWithout = async (name: "node" | "python"): Promise<void> => {
    const queue = makeQueue();
    const of = clients.filter(({ runsIn }) => runsIn === name);
    await Promise.all(
      of.flatMap((client) => SCENARIOS.map((scenario) => measureHere(queue, client, scenario))),
    );
  };

  const settled = await Promise.allSettled([
    measureIn("chromium"),
    measureIn("firefox"),
    measureWithout("node"),
    measureWithout("python"),
  ]);
  await Promise.all(browsers.map((browser) => browser.close()));
  for (const each of settled) if (each.status === "rejected") throw each.reason;
  return { measured, versions };
}

/** Time that a client has for its first request, in milliseconds. */
const START_MS = 20_000;

type Queue = <T>(begin: () => Promise<T>) => Promise<T>;

/** Starts tasks one after another: beside too many others a client would be late and counted as gone. */
function makeQueue(): Queue {
  let last: Promise<unknown> = Promise.resolve();
  return (begin) => {
    const next = last.then(begin);
    last = next;
    return next;
  };
}

async function photograph(
  page: { screenshot(options: object): Promise<unknown> },
  name: string,
): Promise<void> {
  if (SCREENSHOTS === undefined) return;
  await page.screenshot({ path: `${SCREENSHOTS}/matrix-${name.replace(/[^\w-]+/g, "-")}.png` });
}
