// All clients of the matrix by family, and which of them can run here.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { BROWSERS } from "./browsers.js";
import type { Client } from "./client.js";
import { EVENT_SOURCES } from "./event-source.js";
import { FETCHES } from "./fetch.js";
import { MODELS } from "./models.js";
import { PAGES } from "./pages.js";
import { PYTHON, PYTHON_PATH } from "./python.js";

export const FAMILIES: readonly (readonly [
  title: string,
  file: string,
  clients: readonly Client[],
])[] = [
  ["`EventSource`", "event-source.ts", EVENT_SOURCES],
  ["Readers on `fetch`", "fetch.ts", FETCHES],
  ["Libraries for pages", "pages.ts", PAGES],
  ["Language models and MCP", "models.ts", MODELS],
  ["Python", "python.ts", PYTHON],
];

export const CLIENTS: readonly Client[] = FAMILIES.flatMap(([, , clients]) => clients);

const hasHttpxSse =
  spawnSync(PYTHON_PATH, ["-c", "import httpx_sse"], { stdio: "ignore" }).status === 0;

/** Name of a missing requirement of a client; `undefined` if it can run. */
export function missingFor({ runsIn }: Client): string | undefined {
  if (runsIn === "node") return undefined;
  if (runsIn === "python") {
    return hasHttpxSse ? undefined : "httpx-sse: set PYTHON to a Python that has it";
  }
  if (BROWSERS[runsIn] !== undefined) return undefined;
  return runsIn === "chromium"
    ? "Chromium: set CHROMIUM to its path or install the package chromium"
    : "Firefox: set FIREFOX to its path or install the package firefox-esr";
}

/** The version of a client's package. */
export function versionOf({ from }: Client): string | undefined {
  if (from === undefined) return undefined;
  const path = new URL(`node_modules/${from}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}
