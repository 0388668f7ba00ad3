/// <reference lib="dom" />
// A deployment: the server shuts down as the documentation says, and the next one starts on its port, under clients
// that rely on EventSource alone. Measured is the silence for each of them, and the events they miss.
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createHub } from "@tidewire/core";
import { redisLog } from "@tidewire/redis";
import { EventSource } from "eventsource";
import type { Page } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { describeInChromium } from "../browser/chromium.js";
import { findPorts } from "../browser/program.js";
import { eventually, within } from "../client.js";
import { RedisServer, describeWithRedis } from "../redis/redis-server.js";

const CLIENTS = 500;
const PAGES = 5;
const TICK_MS = 100;

/** A published number and its time of arrival. */
type Tick = readonly [count: number, at: number];

/** Everything that one client received. */
interface Heard {
  readonly ticks: readonly Tick[];
  /** Resets, and whether the client has given up. */
  readonly faults: readonly string[];
}

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** Loads a server that starts listening on command, because loading Node and an application does not count. */
async function loadServer(framework: string, port: number, url: string): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL("restart-server.mjs", import.meta.url)), [
    JSON.stringify({ framework, port, url }),
  ]);
  cleanups.push(() => child.kill("SIGKILL"));
  await within("the server to be loaded", once(child, "message"));
  return child;
}

async function listen(server: ChildProcess): Promise<void> {
  server.send("listen");
  await within("the server to listen", once(server, "message"));
}

function openSource(url: string): Heard {
  const ticks: Tick[] = [];
  const faults: string[] = [];
  const source = new EventSource(url);
  cleanups.push(() => source.close());
  source.addEventListener("message", ({ data }) => ticks.push([Number(data), Date.now()]));
  source.addEventListener("sse-reset", ({ data }) => faults.push(`reset ${data as string}`));
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) faults.push("given up");
  });
  return { ticks, faults };
}

const hearPage = (page: Page): Promise<Heard> =>
  page.evaluate(() => {
    const { ticks, faults } = window as unknown as { ticks: Tick[]; faults: string[] };
    return { ticks, faults };
  });

/** Longest time without an event, in milliseconds. */
function silenceOf({ ticks }: Heard): number {
  let longest = 0;
  for (const [index, [, at]] of ticks.entries()) {
    longest = Math.max(longest, at - (ticks[index - 1]?.[1] ?? at));
  }
  return longest;
}

/** How many numbers are missing between the client's first one and `last`, and how many arrived twice. */
function holesOf({ ticks }: Heard, last: number): { missed: number; doubled: number } {
  const counts = new Set(ticks.map(([count]) => count));
  const first = ticks[0]?.[0] ?? 0;
  return { missed: last - first + 1 - counts.size, doubled: ticks.length - counts.size };
}

describeWithRedis("a restart at the same port", () => {
  describeInChromium("under clients and pages", (browser) => {
    test.each(["Express", "Fastify"])(
      `loses nothing for ${CLIENTS} clients and ${PAGES} pages, and is over for all of them within seconds (%s)`,
      async (framework) => {
        const redis = await RedisServer.start();
        cleanups.push(() => redis.stop());
        const port = await findPorts();
        const hub = createHub({ log: redisLog({ url: redis.url }) });
        cleanups.push(() => hub.close());
        const server = await loadServer(framework, port, redis.url);
        await listen(server);
        const next = await loadServer(framework, port, redis.url);
        const origin = `http://localhost:${port}`;

        const clients = Array.from({ length: CLIENTS }, () => openSource(`${origin}/events`));
        const context = await browser().newContext();
        cleanups.push(() => context.close());
        const pages = await Promise.all(
          Array.from({ length: PAGES }, async () => {
            const page = await context.newPage();
            await page.goto(origin);
            return page;
          }),
        );

        let last = 0;
        const publishing = setInterval(() => void hub.publish("ticks", String(++last)), TICK_MS);
        cleanups.push(() => clearInterval(publishing));
        const hearAll = async (): Promise<Heard[]> => [
          ...clients,
          ...(await Promise.all(pages.map(hearPage))),
        ];
        const allHave = async (count: number): Promise<boolean> =>
          (await hearAll()).every(({ ticks }) => (ticks.at(-1)?.[0] ?? 0) >= count);
        await expect.poll(() => allHave(1), { timeout: 20_000 }).toBe(true);
        await delay(1_000);

        const start = performance.now();
        const exited = once(server, "exit");
        server.kill("SIGTERM");
        await within("the server to exit", exited);
        const exitMs = performance.now() - start;
        await listen(next);
        const readyMs = performance.now() - start;
        const after = last;
        await expect.poll(() => allHave(after), { timeout: 20_000 }).toBe(true);
        clearInterval(publishing);
        await eventually("the last event", () =>
          clients.every(({ ticks }) => ticks.at(-1)?.[0] === last),
        );
        await expect.poll(() => allHave(last)).toBe(true);

        const heard = await hearAll();
        expect(heard.flatMap(({ faults }) => faults)).toEqual([]);
        const holes = heard.map((each) => holesOf(each, last));
        expect(holes.filter(({ missed, doubled }) => missed + doubled > 0)).toEqual([]);
        const silences = heard.map(silenceOf).toSorted((a, b) => a - b);
        const p99 = silences[Math.floor(silences.length * 0.99)] ?? Infinity;
        console.log(
          `${framework}: silence ${silences[Math.floor(silences.length / 2)]} ms (median), ${p99} ms (99 %), ${silences.at(-1)} ms at most;`,
          `the process had exited after ${exitMs.toFixed()} ms, the next was ready after ${readyMs.toFixed()} ms`,
        );
        expect(p99).toBeLessThan(6_000);
        expect(silences.at(-1)).toBeLessThan(8_000);
      },
      60_000,
    );
  });
});
