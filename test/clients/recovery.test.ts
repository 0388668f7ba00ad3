// The client beside a bare `EventSource` in real browsers: how long each takes to be back after every kind of failure.
// RECOVERY=full has the failures last for as long as in practice, which takes six minutes.
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { FaultyProxy } from "./faulty-proxy.js";
import { bundleScript, describeInBrowsers } from "./in-browsers.js";
import type { Page, Seen } from "./recovery-page.js";

const IS_FULL = process.env["RECOVERY"] === "full";
const HEARTBEAT_MS = IS_FULL ? 15_000 : 2_000;
const OUTAGE_MS = IS_FULL ? 30_000 : 3_000;
const STOP_MS = IS_FULL ? 60_000 : 5_000;
/** After this time a stream counts as lost. */
const LOST_MS = IS_FULL ? 90_000 : 20_000;

interface Parts {
  readonly proxy: FaultyProxy;
  readonly server: ChildProcess;
  readonly browser: Browser;
}

interface Failure {
  readonly name: string;
  /** Begins, lasts and ends. */
  run(parts: Parts): Promise<void> | void;
  /** Longest time to recovery of the client, in milliseconds. */
  readonly withinMs: number;
}

/** A client that has failed a few times waits for up to this long. */
const BACKOFF_MS = 17_000;

const FAILURES: readonly Failure[] = [
  {
    name: `502 for ${OUTAGE_MS / 1_000} s`,
    withinMs: BACKOFF_MS,
    run: ({ proxy }) => outage(proxy, 502),
  },
  {
    name: `a page instead of a stream for ${OUTAGE_MS / 1_000} s`,
    withinMs: BACKOFF_MS,
    run: ({ proxy }) => outage(proxy, "text/html"),
  },
  {
    name: `connection refused for ${OUTAGE_MS / 1_000} s`,
    withinMs: BACKOFF_MS,
    async run({ proxy }) {
      proxy.shut();
      await delay(OUTAGE_MS);
      await proxy.listen();
    },
  },
  { name: "an orderly end", withinMs: 3_000, run: ({ server }) => void server.send("end") },
  { name: "RST in the middle of a frame", withinMs: 3_000, run: ({ proxy }) => proxy.reset() },
  {
    name: `the server stopped for ${STOP_MS / 1_000} s`,
    withinMs: 3_000,
    async run({ server }) {
      server.kill("SIGSTOP");
      await delay(STOP_MS);
      server.kill("SIGCONT");
    },
  },
  {
    name: "a link that swallows everything",
    // One and a half heartbeats, and a wait.
    withinMs: 1.5 * HEARTBEAT_MS + 2_000,
    run: ({ proxy }) => proxy.swallow(),
  },
];

/** Alone: it stops all pages. */
const STOPPED_BROWSER: Failure = {
  name: `the browser stopped for ${STOP_MS / 1_000} s`,
  withinMs: 3_000,
  async run({ browser }) {
    const pids = familyOf(browser.process()?.pid ?? NaN);
    signal(pids, "SIGSTOP");
    await delay(STOP_MS);
    signal(pids, "SIGCONT");
  },
};

const PAGE = '<!doctype html><title>Recovery</title><script type="module" src="/page.js"></script>';
const rows: string[][] = [];

describeInBrowsers((name, browser) => {
  let script: string;

  beforeAll(async () => {
    script = await bundleScript("recovery-page.ts");
  });

  it.concurrent.each(FAILURES.map((each) => [each.name, each] as const))(
    "the client is back after %s, with every event once",
    (_, failure) => expectRecovery(failure),
    2 * (STOP_MS + LOST_MS),
  );

  it(
    `the client is back after ${STOPPED_BROWSER.name}, with every event once`,
    () => expectRecovery(STOPPED_BROWSER),
    2 * (STOP_MS + LOST_MS),
  );

  async function expectRecovery(failure: Failure): Promise<void> {
    const server = fork(fileURLToPath(new URL("recovery-server.mjs", import.meta.url)), {
      env: { ...process.env, HEARTBEAT_MS: `${HEARTBEAT_MS}` },
    });
    const [port] = (await once(server, "message")) as [number];
    const proxy = new FaultyProxy(port, PAGE, script);
    await proxy.listen();
    const page = await browser().newPage({ type: "window" });
    try {
      await page.goto(proxy.origin);
      const read = (): Promise<State> =>
        page.evaluate(() => {
          const { client, source, statuses, hasGivenUp } = (
            globalThis as unknown as { recovery: Page }
          ).recovery;
          return { client, source, statuses, hasGivenUp: hasGivenUp() };
        });
      await until(read, (state) => isAfter(state.client, 0) && isAfter(state.source, 0), 10_000);
      await failure.run({ proxy, server, browser: browser() });
      const healedAt = Date.now();
      const isBack = ({ numbers }: Seen): boolean =>
        isAfter({ numbers, resets: 0 }, healedAt + 700);
      await until(read, ({ client }) => isBack(client), LOST_MS);
      const state = await until(
        read,
        ({ source, hasGivenUp }) => isBack(source) || hasGivenUp,
        LOST_MS,
        false,
      );
      const clientMs = timeToRecovery(state.client, healedAt);
      const sourceMs = isBack(state.source) ? timeToRecovery(state.source, healedAt) : undefined;
      rows.push([
        name,
        failure.name,
        seconds(clientMs),
        sourceMs === undefined ? (state.hasGivenUp ? "gave up" : "not noticed") : seconds(sourceMs),
      ]);
      const numbers = state.client.numbers.map(([number]) => number);
      const [first = NaN] = numbers;
      expect(numbers, state.statuses.join(", ")).toEqual(
        numbers.map((_number, index) => first + index),
      );
      expect(state.client.resets).toBe(0);
      expect(clientMs, state.statuses.join(", ")).toBeLessThanOrEqual(failure.withinMs);
    } finally {
      await page.close();
      proxy.shut();
      server.kill("SIGKILL");
    }
  }
});

afterAll(() => {
  const table = [["browser", "after", "@tidewire/client", "EventSource"], ...rows];
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...table.map((row) => row[column]?.length ?? 0)),
  );
  const lines = table.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "),
  );
  console.log(`Time to recovery\n${lines.join("\n")}`);
});

interface State extends Pick<Page, "client" | "source" | "statuses"> {
  readonly hasGivenUp: boolean;
}

/** Whether an event has arrived after a time. */
function isAfter({ numbers }: Seen, time: number): boolean {
  return (numbers.at(-1)?.[1] ?? -1) > time;
}

/** How long after the end of a failure the longest silence has ended; no time if there was no silence. */
function timeToRecovery({ numbers }: Seen, healedAt: number): number {
  const times = numbers.map(([, at]) => at);
  const gaps = times
    .map((at, index) => ({ at, gapMs: at - (times[index - 1] ?? at) }))
    .filter(({ at, gapMs }) => at > healedAt && gapMs > 250);
  const [longest] = gaps.toSorted((left, right) => right.gapMs - left.gapMs);
  return longest === undefined ? 0 : longest.at - healedAt;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

async function until(
  read: () => Promise<State>,
  isTrue: (state: State) => boolean,
  ms: number,
  isRequired = true,
): Promise<State> {
  const end = Date.now() + ms;
  for (;;) {
    const state = await read();
    if (isTrue(state)) return state;
    if (Date.now() > end) {
      if (!isRequired) return state;
      throw new Error(`Not back after ${ms} ms: ${state.statuses.join(", ")}`);
    }
    await delay(50);
  }
}

async function outage(proxy: FaultyProxy, mode: 502 | "text/html"): Promise<void> {
  proxy.mode = mode;
  proxy.cut();
  await delay(OUTAGE_MS);
  proxy.mode = "pass";
}

/** Sends a signal to those of the processes that have not ended. The first, the browser itself, must not have. */
function signal([browser = NaN, ...others]: readonly number[], name: "SIGSTOP" | "SIGCONT"): void {
  process.kill(browser, name);
  for (const pid of others) {
    try {
      process.kill(pid, name);
    } catch (error) {
      // Browsers end processes of pages that were closed at any time.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** A process and all that it has started. */
function familyOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")")).split(" ")[2]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const children = (of: number): number[] =>
    [...parents]
      .filter(([, parent]) => parent === of)
      .flatMap(([child]) => [child, ...children(child)]);
  return [pid, ...children(pid)];
}
