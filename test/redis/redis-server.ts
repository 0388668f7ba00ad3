import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { createClient } from "redis";
import { afterAll, afterEach, describe } from "vitest";
import { within } from "../client.js";

const MISSING = "redis-server is not installed: install the package redis-server.";
const IS_INSTALLED = spawnSync("redis-server", ["--version"]).status === 0;

/**
 * A suite that starts its own Redis servers. Without Redis it is skipped with a notice; under `CI=true` the file fails.
 *
 * @param name - Name of the suite.
 * @param define - Defines the tests.
 */
export function describeWithRedis(name: string, define: () => void): void {
  if (!IS_INSTALLED) {
    if (process.env["CI"] === "true") throw new Error(MISSING);
    console.warn(MISSING);
  }
  describe.skipIf(!IS_INSTALLED)(name, () => {
    define();
  });
}

/** Ports given out in this process: a server may not have bound its port yet when the next one is found. */
const given = new Set<number>();

/** Finds a free port below the range of ephemeral ports, from which any connection of another test may take one. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 10_000);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** A `redis-server` process for the test, with an append-only file in its own directory. */
export class RedisServer {
  readonly port: number;
  readonly dir: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, dir: string, args: readonly string[]) {
    this.port = port;
    this.dir = dir;
    this.#args = args;
  }

  /** @param args - Further arguments of `redis-server`. */
  static async start(...args: string[]): Promise<RedisServer> {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-redis-"));
    const server = new RedisServer(await freePort(), dir, args);
    await server.run();
    return server;
  }

  /** The URL, including the password that it was started with. */
  get url(): string {
    const at = this.#args.indexOf("--requirepass");
    const password = at === -1 ? "" : `:${this.#args[at + 1]}@`;
    return `redis://${password}127.0.0.1:${this.port}`;
  }

  /** Starts the process; after `kill`, with the data of the append-only file. */
  async run(): Promise<void> {
    const process = spawn(
      "redis-server",
      [
        ["--port", String(this.port), "--bind", "127.0.0.1", "--save", ""],
        // Redis writes to the file before it replies, which a killed process does not undo. To wait for the disk as well would
        // only serve after a power cut, and may take seconds on a machine with other work.
        ["--appendonly", "yes", "--appendfsync", "no", "--dir", this.dir],
        this.#args,
      ].flat(),
      { stdio: "ignore" },
    );
    this.#process = process;
    await within("redis-server to answer", this.#answers(process));
  }

  /** Stops it abruptly: connections stay open, but it does not reply. */
  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** Resumes it. */
  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Kills it without warning. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined || process.exitCode !== null || process.signalCode !== null) return;
    const exit = once(process, "exit");
    process.kill("SIGKILL");
    await exit;
  }

  /** Stops it and removes its directory. */
  async stop(): Promise<void> {
    await this.kill();
    fs.rmSync(this.dir, { recursive: true, force: true });
  }

  /** Sends one command over a separate connection. */
  async command(...args: string[]): Promise<unknown> {
    const client = createClient({
      url: this.url,
      RESP: 2,
      socket: { reconnectStrategy: false },
    });
    client.on("error", () => {});
    await client.connect();
    try {
      return await client.sendCommand(args);
    } finally {
      client.destroy();
    }
  }

  async #answers(process: ChildProcess): Promise<void> {
    for (;;) {
      if (process.exitCode !== null) throw new Error("redis-server has exited");
      try {
        if ((await this.command("PING")) === "PONG") return;
      } catch {
        // Not yet.
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 10);
      });
    }
  }
}

/**
 * Provides a server to the suite, started on first use and stopped at the end of the suite.
 *
 * @param scope - `"suite"` for one server shared by all tests, `"test"` for one per test.
 */
export function useRedis(scope: "suite" | "test", ...args: string[]): () => Promise<RedisServer> {
  let server: Promise<RedisServer> | undefined;
  const stop = async (): Promise<void> => {
    const started = server;
    server = undefined;
    await (await started)?.stop();
  };
  if (scope === "suite") afterAll(stop);
  else afterEach(stop);
  return () => (server ??= RedisServer.start(...args));
}
