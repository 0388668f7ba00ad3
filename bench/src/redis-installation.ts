import { spawnSync } from "node:child_process";

/** The program, found through PATH. */
export const REDIS_PROGRAM = "redis-server";

/** @returns Why Redis subjects cannot be measured here; `undefined` if they can. */
export function whyNoRedis(): string | undefined {
  return readVersion() === undefined ? `${REDIS_PROGRAM} is not installed` : undefined;
}

/** @returns The version of Redis. */
export function readRedisVersions(): Record<string, string> {
  const version = readVersion();
  return version === undefined ? {} : { [REDIS_PROGRAM]: version };
}

function readVersion(): string | undefined {
  const { status, stdout } = spawnSync(REDIS_PROGRAM, ["--version"], { encoding: "utf8" });
  return status === 0 ? (/ v=(\S+)/.exec(stdout)?.[1] ?? "unknown") : undefined;
}
