/// <reference lib="dom" />
// Chromium and Firefox: a window for each client, with a frame for each run.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { launch as launchBrowser } from "puppeteer-core";
import type { Browser, Page } from "puppeteer-core";
import { rolldown } from "rolldown";
import { CHROMIUM, CHROMIUM_ARGS } from "../browser/chromium.js";
import type { PageFiles, Run } from "./run.js";

const FIREFOX = [process.env["FIREFOX"], "/usr/bin/firefox-esr", "/usr/bin/firefox"].find(
  (path) => path !== undefined && existsSync(path),
);

/** Paths of the browsers by name; `undefined` if missing. */
export const BROWSERS = { chromium: CHROMIUM, firefox: FIREFOX };

export async function launch(name: keyof typeof BROWSERS): Promise<Browser> {
  const executablePath = BROWSERS[name];
  if (executablePath === undefined) throw new Error(`${name} is not installed`);
  return launchBrowser(
    name === "chromium"
      ? { browser: "chrome", executablePath, args: [...CHROMIUM_ARGS] }
      : { browser: "firefox", executablePath },
  );
}

/** Packages that only run in Node and are not loaded by a page. */
const NODE_ONLY = /^(eventsource\d|undici|launchdarkly-eventsource)$/;

/** Builds the scripts of all pages, one file per package. */
export async function bundlePages(): Promise<ReadonlyMap<string, string>> {
  const pathOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  const bundle = await rolldown({
    input: { page: pathOf("page.ts") },
    platform: "browser",
    external: NODE_ONLY,
    resolve: { alias: { "~": pathOf("node_modules/@starfederation/datastar/dist") } },
    logLevel: "silent",
  });
  const { output } = await bundle.generate({ format: "esm" });
  await bundle.close();
  return new Map(
    output.flatMap((file) => (file.type === "chunk" ? [[file.fileName, file.code] as const] : [])),
  );
}

/** Builds the page of a client in one scenario, with a title for human viewers. */
export function makePage(
  client: string,
  title: string,
  scripts: ReadonlyMap<string, string>,
): PageFiles {
  return {
    scripts,
    html: `<!doctype html>
      <html data-client="${client}">
      <title>${title}</title>
      <style>
        body { margin: 4px; font: 11px/1.3 sans-serif; }
        h1 { margin: 0; font-size: 12px; }
        ol { margin: 0; padding-left: 20px; }
        p { margin: 0; }
      </style>
      <h1>${title}</h1><ol></ol>
      <script type="module" src="/scripts/page.js"></script>`,
  };
}

/** Opens a window with a frame for each run. */
export async function openWindow(
  browser: Browser,
  title: string,
  runs: readonly Run[],
): Promise<Page> {
  const page = await browser.newPage({ type: "window" });
  await page.setViewport({ width: 1_000, height: 90 + 260 * Math.ceil(runs.length / 5) });
  const frames = runs.map(({ origin }) => `<iframe src="${origin}/"></iframe>`).join("");
  // Not with `setContent`, which waits for the frames: streams of some clients never open.
  await page.evaluate(
    (html) => {
      document.documentElement.innerHTML = html;
    },
    `<style>
      h1 { font: bold 16px sans-serif; }
      iframe { width: 180px; height: 240px; border: 1px solid #888; margin: 2px; }
    </style><h1>${title}</h1>${frames}`,
  );
  return page;
}
