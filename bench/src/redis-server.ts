import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { freePort } from "./listen.js";
import { readCpuUs } from "./process-cpu.js";
import { REDIS_PROGRAM } from "./redis-installation.js";

/** Its description on the page. */
export const REDIS_SETTINGS = '--save "" --appendonly no';

/**
 * A `redis-server` of the benchmark that keeps nothing on disk.
 */
export class RedisServer {
  /** Called if the process ends by itself. */
  onCrash: (error: Error) => void = () => {};
  readonly url: string;
  readonly #directory: string;
  readonly #process: ChildProcess;
  #isStopping = false;

  private constructor(port: number, directory: string) {
    this.url = `redis://127.0.0.1:${port}`;
    this.#directory = directory;
    const where = ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory];
    this.#process = spawn(REDIS_PROGRAM, [...where, "--save", "", "--appendonly", "no"], {
      stdio: "ignore",
    });
    this.#process.once("exit", () => {
      if (!this.#isStopping) this.onCrash(new Error(`${REDIS_PROGRAM} ended by itself`));
    });
    process.once("exit", this.#kill);
  }

  /** Starts it on a free port. */
  static async start(): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), "tidewire-bench-redis-"));
    const port = await freePort();
    const server = new RedisServer(port, directory);
    for (let tries = 0; tries < 100; tries++) {
      await wait(50);
      if (await doesAnswer(port)) return server;
    }
    await server.stop();
    throw new Error(`${REDIS_PROGRAM} did not start`);
  }

  /** @returns Microseconds of CPU since it started. */
  cpuUs(): Promise<number> {
    return readCpuUs(this.#process.pid ?? NaN);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    process.off("exit", this.#kill);
    const exited = new Promise((resolve) => this.#process.once("exit", resolve));
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGTERM");
      await exited;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }

  readonly #kill = (): void => {
    this.#process.kill("SIGTERM");
    rmSync(this.#directory, { recursive: true, force: true });
  };
}

function doesAnswer(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ port, host: "127.0.0.1" });
    const settle = (isAlive: boolean): void => {
      probe.destroy();
      resolve(isAlive);
    };
    probe.once("error", () => settle(false));
    probe.once("data", (reply) => settle(reply.toString().startsWith("+PONG")));
    probe.write("PING\r\n");
  });
}
