import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { StartError } from "./start-error.js";

/** Time that Redis has to answer, in milliseconds. */
const START_MS = 5_000;

/** The Redis of the demo. */
export interface Redis {
  readonly url: string;
  /** Description for the user, without a password. */
  readonly description: string;
  /** Cleans up: stops our own Redis and its directory, or deletes the stream in a foreign one. */
  stop(): Promise<void>;
}

/**
 * Connects to the Redis in `REDIS_URL`, or starts one.
 *
 * @param key - Key of the stream that the demo will create.
 * @param onStop - Receives the cleanup function as soon as there is something to clean up, even before Redis answers.
 * @throws {StartError} If Redis is missing or does not answer.
 */
export function openRedis(key: string, onStop: (stop: Redis["stop"]) => void): Promise<Redis> {
  const url = process.env["REDIS_URL"];
  return url === undefined || url === "" ? startServer(onStop) : useServer(url, key, onStop);
}

async function useServer(
  url: string,
  key: string,
  onStop: (stop: Redis["stop"]) => void,
): Promise<Redis> {
  if (!(await answers(url))) {
    throw new StartError(
      "Redis does not answer at the address in REDIS_URL: correct it, or leave it out and install redis-server.",
    );
  }
  const stop = async (): Promise<void> => {
    const client = createClient({ url, socket: { reconnectStrategy: false } });
    client.on("error", () => {});
    await client
      .connect()
      .then(() => client.del(key))
      .catch(() => {});
    client.destroy();
  };
  onStop(stop);
  return { url, description: "at REDIS_URL", stop };
}

async function startServer(onStop: (stop: Redis["stop"]) => void): Promise<Redis> {
  const port = await findPort();
  // In the same turn as `onStop`: a Ctrl-C in between would leave them behind.
  const directory = mkdtempSync(join(tmpdir(), "tidewire-cluster-"));
  const child = spawn(
    "redis-server",
    [
      ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory],
      ["--save", "", "--appendonly", "no"],
    ].flat(),
    // In a separate process group: Ctrl-C reaches only main, which ends Redis after the nodes.
    { stdio: "ignore", detached: true },
  );
  const failed = once(child, "error").then(() => false);
  const stop = async (): Promise<void> => {
    await end(child);
    await rm(directory, { recursive: true, force: true });
  };
  onStop(stop);

  const url = `redis://127.0.0.1:${port}`;
  if (!(await Promise.race([answers(url), failed]))) {
    throw new StartError(
      child.pid === undefined
        ? "The demo needs Redis: install redis-server (package redis-server in Debian and Ubuntu, redis in Homebrew), or set REDIS_URL to the address of one that runs."
        : "redis-server was started but does not answer: set REDIS_URL to the address of a Redis that runs.",
    );
  }
  return { url, description: `${url}, process ${child.pid}`, stop };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  // Its content is not needed any more.
  child.kill("SIGKILL");
  await exited;
}

/** @returns Whether the Redis at an address answers in time. */
export async function answers(url: string): Promise<boolean> {
  const deadline = performance.now() + START_MS;
  try {
    const client = createClient({
      url,
      socket: { reconnectStrategy: () => performance.now() < deadline && 50 },
    });
    client.on("error", () => {});
    await client.connect();
    await client.ping();
    client.destroy();
    return true;
  } catch {
    return false;
  }
}

async function findPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
