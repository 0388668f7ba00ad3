import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createClient } from "redis";
import { afterAll } from "vitest";
import type { Place } from "./clients.mjs";
import { until } from "./redis-cluster.js";
import { RedisServer, freePort } from "./redis-server.js";

const NAME = "tidewire-master";
const PASSWORD = "secret";
/** Time after which a master that does not answer counts as down, in milliseconds. */
const DOWN_AFTER_MS = 2_000;

/** A master and a replica, watched by three sentinels. */
export class RedisSentinel {
  readonly #servers: readonly [RedisServer, RedisServer];
  readonly #sentinels: readonly Sentinel[];

  private constructor(
    servers: readonly [RedisServer, RedisServer],
    sentinels: readonly Sentinel[],
  ) {
    this.#servers = servers;
    this.#sentinels = sentinels;
  }

  static async start(): Promise<RedisSentinel> {
    const args = ["--requirepass", PASSWORD, "--masterauth", PASSWORD];
    args.push("--repl-diskless-sync-delay", "0");
    const master = await RedisServer.start(...args);
    const replica = await RedisServer.start(...args, "--replicaof", `127.0.0.1 ${master.port}`);
    await until("the replica to be in sync", async () =>
      String(await replica.command("INFO", "replication")).includes("master_link_status:up"),
    );
    const sentinels = await Promise.all([1, 2, 3].map(() => Sentinel.start(master.port)));
    const sentinel = new RedisSentinel([master, replica], sentinels);
    try {
      await sentinel.#isReady();
    } catch (error) {
      await sentinel.stop();
      throw error;
    }
    return sentinel;
  }

  async #isReady(): Promise<void> {
    await until("the sentinels to know each other", async () => {
      const replies = await Promise.all(
        this.#sentinels.map((one) => one.command("SENTINEL", "MASTER", NAME)),
      );
      return replies.every((reply) => {
        const fields = reply as string[];
        const countOf = (name: string): number => Number(fields[fields.indexOf(name) + 1]);
        return countOf("num-other-sentinels") === 2 && countOf("num-slaves") === 1;
      });
    });
  }

  /** Address for clients. The third sentinel is learnt from the others. */
  get place(): Place {
    const sentinels = this.#sentinels.slice(0, 2).map(({ port }) => port);
    return { name: NAME, sentinels, password: PASSWORD };
  }

  get master(): RedisServer {
    return this.#servers[0];
  }

  /** The replica that takes its place. */
  get replica(): RedisServer {
    return this.#servers[1];
  }

  /** Silences one sentinel. */
  pauseSentinel(): void {
    this.#sentinels[0]?.pause();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sentinels.map((sentinel) => sentinel.stop()));
    await Promise.all(this.#servers.map((server) => server.stop()));
  }
}

/** Provides a watched master to the suite, started on first use and stopped at the end of the suite. */
export function useRedisSentinel(): () => Promise<RedisSentinel> {
  let sentinel: Promise<RedisSentinel> | undefined;
  afterAll(async () => (await sentinel)?.stop());
  return () => (sentinel ??= RedisSentinel.start());
}

/** A `redis-server --sentinel` process. */
class Sentinel {
  readonly port: number;
  readonly #dir: string;
  readonly #process: ChildProcess;

  private constructor(port: number, dir: string, process: ChildProcess) {
    this.port = port;
    this.#dir = dir;
    this.#process = process;
  }

  static async start(masterPort: number): Promise<Sentinel> {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-sentinel-"));
    const port = await freePort();
    const file = path.join(dir, "sentinel.conf");
    fs.writeFileSync(
      file,
      [
        `port ${port}`,
        "bind 127.0.0.1",
        `dir ${dir}`,
        `sentinel monitor ${NAME} 127.0.0.1 ${masterPort} 2`,
        `sentinel auth-pass ${NAME} ${PASSWORD}`,
        `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
        `sentinel failover-timeout ${NAME} 6000`,
      ].join("\n"),
    );
    const process = spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" });
    const sentinel = new Sentinel(port, dir, process);
    await until("the sentinel to answer", async () => {
      try {
        return (await sentinel.command("PING")) === "PONG";
      } catch {
        // Not yet.
        return false;
      }
    });
    return sentinel;
  }

  pause(): void {
    this.#process.kill("SIGSTOP");
  }

  async command(...args: string[]): Promise<unknown> {
    const client = createClient({
      RESP: 2,
      socket: { host: "127.0.0.1", port: this.port, reconnectStrategy: false },
    });
    client.on("error", () => {});
    await client.connect();
    try {
      return await client.sendCommand(args);
    } finally {
      client.destroy();
    }
  }

  async stop(): Promise<void> {
    const exit = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exit;
    fs.rmSync(this.#dir, { recursive: true, force: true });
  }
}
