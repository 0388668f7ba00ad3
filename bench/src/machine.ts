import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { cpus, release, totalmem, type as systemType } from "node:os";
import { CATALOGUE, REDIS_CATALOGUE } from "./catalogue.js";
import { readNchanVersions } from "./nchan-installation.js";
import { readRedisVersions } from "./redis-installation.js";

/** The machine and the versions, on which the figures depend besides the code. */
export interface Machine {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
}

export function describeMachine(): Machine {
  const all = cpus();
  return {
    node: process.version,
    cpu: all[0]?.model.trim() ?? "unknown",
    cores: all.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: `${systemType()} ${release()}`,
  };
}

/** @returns The versions of all measured packages, by name. */
export async function readVersions(): Promise<Record<string, string>> {
  const entries = [...Object.values(CATALOGUE), ...Object.values(REDIS_CATALOGUE)];
  const names = new Set(entries.flatMap(({ packages }) => [...packages]));
  const versions: Record<string, string> = {};
  for (const name of [...names].toSorted()) versions[name] = await readVersion(name);
  return { ...versions, ...readNchanVersions(), ...readRedisVersions() };
}

async function readVersion(name: string): Promise<string> {
  const require = createRequire(import.meta.url);
  // Some packages do not export their package.json, so it is looked for along Node's search path.
  for (const directory of require.resolve.paths(name) ?? []) {
    try {
      const text = await readFile(join(directory, name, "package.json"), "utf8");
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      continue;
    }
  }
  return "unknown";
}
