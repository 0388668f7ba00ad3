/// <reference lib="dom" />
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import http from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { connect, eventually, request } from "../client.js";
import { RedisServer, describeWithRedis } from "../redis/redis-server.js";
import { describeInChromium } from "./chromium.js";
import { findPorts, startProgram } from "./program.js";
import type { Program } from "./program.js";

const PROGRAM = "cluster/main.js";

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A directory for files that the program keeps while it runs. */
function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "tidewire-test-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

interface Cluster {
  readonly program: Program;
  readonly port: number;
  readonly directory: string;
}

async function startCluster(env: Record<string, string> = {}): Promise<Cluster> {
  const [port, directory] = [await findPorts(), makeDirectory()];
  const program = startProgram(PROGRAM, port, { REDIS_URL: "", TMPDIR: directory, ...env });
  cleanups.push(() => program.interrupt());
  await program.printed("Stop with Ctrl-C.");
  return { program, port, directory };
}

/** Process ids of Redis and of all nodes started so far. */
function processesOf(program: Program): number[] {
  return [...program.output().matchAll(/process (\d+)$/gm)].map(([, pid]) => Number(pid));
}

function parentOf(pid: number | undefined): number {
  return Number(execFileSync("ps", ["-o", "ppid=", "-p", String(pid)], { encoding: "utf8" }));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describeWithRedis("the cluster demo", () => {
  describeInChromium("in a browser", (browser) => {
    test("continues on another node whenever the tab's own is killed, with nothing missed or duplicated", async () => {
      const { program, port } = await startCluster();
      const context = await browser().newContext();
      cleanups.push(() => context.close());
      const page = await context.newPage();
      const faults: string[] = [];
      page.on("pageerror", (error) => faults.push(String(error)));
      await page.goto(`http://localhost:${port}`);
      await waitForTicks(page, 10);
      const other = await context.newPage();
      await other.goto(`http://localhost:${port}`);
      await expect.poll(() => page.textContent("#tabs"), { timeout: 5_000 }).toBe("2");

      for (const [kills, reader] of [
        [1, "client"],
        [2, "event-source"],
      ] as const) {
        // Another way to read the stream continues from where the other one was.
        if (reader === "event-source") {
          await page.click("text=EventSource >> visible=true");
          await waitForTicks(page, (await readCount(page, "received")) + 10);
        }
        const [before, received] = [await readNode(page), await readCount(page, "received")];
        await page.click("text=Kill the node that serves this tab");
        await program.printed(`process ${before.pid} has died`);
        await page.waitForFunction(
          (name) => document.querySelector("#node")?.textContent !== name,
          before.name,
          { timeout: 15_000 },
        );
        expect((await readNode(page)).pid).not.toBe(before.pid);
        await waitForTicks(page, received + 20);
        expect(await readCount(page, "reconnections")).toBe(kills);
        expect(await page.textContent("#state")).toBe("open");
        expect(await page.textContent("#tabs")).toBe("2");
        expect(await page.textContent("#reason")).toBe(
          reader === "client" ? "broken" : "EventSource does not say",
        );
      }
      expect(await readCount(page, "replayed")).toBeGreaterThan(0);
      // The story says so with the first new tick, which may follow the replayed ticks counted above.
      await expect
        .poll(() => page.textContent("#story"), { timeout: 5_000 })
        .toMatch(/replayed: 0 missed, 0 doubled/);
      for (const name of ["missed", "doubled", "resets"]) {
        expect(await readCount(page, name), name).toBe(0);
      }
      await other.close();
      // The killed node may have served it as well, so its lease counts too.
      await expect.poll(() => page.textContent("#tabs"), { timeout: 15_000 }).toBe("1");
      expect(faults).toEqual([]);
    }, 60_000);

    test.each([
      ["light", 360],
      ["dark", 1280],
    ] as const)(
      "fits a %s screen %i pixels wide without sideways scrolling",
      async (colorScheme, width) => {
        const { port } = await startCluster();
        const context = await browser().newContext({
          colorScheme,
          viewport: { width, height: 800 },
        });
        cleanups.push(() => context.close());
        const page = await context.newPage();
        await page.goto(`http://localhost:${port}`);
        await waitForTicks(page, 10);
        expect(await page.locator("#lanes li").count()).toBe(3);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      },
    );
  });

  test("uses nodes of both frameworks in turn, and restarts one that was killed", async () => {
    const { program, port } = await startCluster();
    const seen = new Map<string, number>();
    for (let each = 0; each < 3; each++) {
      const { name, framework, pid } = await askNode(port);
      seen.set(`${name} ${framework}`, pid);
    }
    expect([...seen.keys()].toSorted()).toEqual([
      "Node 1 Express",
      "Node 2 Fastify",
      "Node 3 Express",
    ]);

    // All of them: a client that arrives now waits for the first one that is back.
    for (const pid of seen.values()) expect(await post(port, `/kill?pid=${pid}`)).toBe(204);
    for (const pid of seen.values()) await program.printed(`process ${pid} has died`);
    expect([...seen.values()]).not.toContain((await askNode(port)).pid);
  });

  test("kills only its own nodes, and survives invalid requests", async () => {
    const { program, port } = await startCluster();
    const [redis] = processesOf(program);
    for (const pid of [process.pid, redis, 0, -1, "", "Node%201"]) {
      expect(await post(port, `/kill?pid=${pid}`), String(pid)).toBe(404);
    }
    expect((await request({ port, protocol: "http1" }, "/kill?pid=1")).status).toBe(405);

    const socket = await connect(port);
    socket.write("GET //\u00e9 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(socket.resume(), "close");
    await askNode(port);
  });

  test.each(["SIGINT", "SIGTERM"] as const)("leaves nothing behind after %s", async (signal) => {
    const { program, port, directory } = await startCluster();
    const stream = await request({ port, protocol: "http1" }, "/events");
    await stream.until("event: tick");
    const processes = processesOf(program);
    expect(processes).toHaveLength(4);
    expect(processes.every(isRunning)).toBe(true);
    expect(readdirSync(directory)).toHaveLength(1);

    const [node] = processes;
    const main = parentOf(node);
    process.kill(main, signal);
    expect(await program.exited).toBe(0);
    expect(processes.filter(isRunning)).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
    await stream.ended;
  });

  test("ends its nodes if it is killed itself", async () => {
    const { program } = await startCluster();
    const [redis, ...nodes] = processesOf(program);
    cleanups.push(() => redis !== undefined && isRunning(redis) && process.kill(redis, "SIGKILL"));
    const main = parentOf(redis);
    process.kill(main, "SIGKILL");
    await eventually("the nodes to end", () => !nodes.some(isRunning));
  });

  test("uses the Redis of REDIS_URL and removes its stream", async () => {
    const redis = await RedisServer.start();
    cleanups.push(() => redis.stop());
    // PATH has no redis-server that the program could start instead.
    const { program, port } = await startCluster({ REDIS_URL: redis.url, PATH: makeDirectory() });
    const stream = await request({ port, protocol: "http1" }, "/events");
    await stream.until("event: tick");
    expect(await redis.command("KEYS", "tidewire:cluster-demo:*")).toHaveLength(1);
    expect(program.output()).toContain("Redis   at REDIS_URL");
    expect((await program.interrupt()).code).toBe(0);
    expect(await redis.command("KEYS", "tidewire:cluster-demo:*")).toEqual([]);
  });
});

test("the cluster demo says what to install or set if Redis is missing, and exits with 1", async () => {
  const [PATH, TMPDIR] = [makeDirectory(), makeDirectory()];
  const program = startProgram(PROGRAM, await findPorts(), { PATH, TMPDIR, REDIS_URL: "" });
  expect(await program.exited).toBe(1);
  expect(program.output()).toBe(
    "The demo needs Redis: install redis-server (package redis-server in Debian and Ubuntu, redis in Homebrew), or set REDIS_URL to the address of one that runs.\n",
  );
  expect(readdirSync(TMPDIR)).toEqual([]);
});

test.each(["redis://127.0.0.1:1", "harbour"])(
  "the cluster demo says that Redis does not answer at %s and exits with 1",
  async (url) => {
    const program = startProgram(PROGRAM, await findPorts(), { REDIS_URL: url });
    expect(await program.exited).toBe(1);
    expect(program.output()).toBe(
      "Redis does not answer at the address in REDIS_URL: correct it, or leave it out and install redis-server.\n",
    );
  },
);

test("the cluster demo says that its port is taken and exits with 1", async () => {
  const port = await findPorts();
  const taken = createServer().listen(port);
  await once(taken, "listening");
  cleanups.push(() => taken.close());
  const program = startProgram(PROGRAM, port);
  expect(await program.exited).toBe(1);
  expect(program.output()).toBe(
    `Port ${port} is taken: stop what listens there, or set PORT to a port that is free.\n`,
  );
});

test("the cluster demo names the valid values of PORT and exits with 1", async () => {
  const program = startProgram(PROGRAM, "harbour");
  expect(await program.exited).toBe(1);
  expect(program.output()).toBe(
    'Expected PORT to be a whole number from 1 to 65535, got "harbour".\n',
  );
});

async function waitForTicks(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    (given) => Number(document.querySelector("#received")?.textContent) >= given,
    count,
    { timeout: 15_000 },
  );
}

async function readCount(page: Page, name: string): Promise<number> {
  return Number(await page.textContent(`#${name}`));
}

async function readNode(page: Page): Promise<{ name: string; pid: number }> {
  const what = (await page.textContent("#node-what")) ?? "";
  return {
    name: (await page.textContent("#node")) ?? "",
    pid: Number(/process (\d+)$/.exec(what)?.[1]),
  };
}

/** Opens a stream for long enough to learn which node serves it. */
async function askNode(port: number): Promise<{ name: string; framework: string; pid: number }> {
  const stream = await request({ port, protocol: "http1" }, "/events");
  const text = await stream.until(/event: node\n(?:retry: .*\n)?data: .*\n\n/);
  stream.cut();
  return JSON.parse(/event: node\n(?:retry: .*\n)?data: (.*)/.exec(text)?.[1] ?? "") as Awaited<
    ReturnType<typeof askNode>
  >;
}

async function post(port: number, path: string): Promise<number | undefined> {
  const outgoing = http.request({ port, host: "127.0.0.1", path, method: "POST", agent: false });
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [http.IncomingMessage];
  response.resume();
  return response.statusCode;
}
