import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe } from "vitest";

/** Path of Chromium; `undefined` if it is not installed. */
export const CHROMIUM: string | undefined = [
  process.env["CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
].find((path) => path !== undefined && existsSync(path));

const MISSING =
  "Chromium is not installed: set CHROMIUM to its path or install the package chromium.";

/** Lets Chromium run as root in a container, and stops its own network requests. */
export const CHROMIUM_ARGS: readonly string[] = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * A suite with its own Chromium. Without Chromium it is skipped with a notice; under `CI=true` the file fails.
 *
 * @param name - Name of the suite.
 * @param define - Defines the tests. The browser is available only inside them.
 */
export function describeInChromium(name: string, define: (browser: () => Browser) => void): void {
  if (CHROMIUM === undefined) {
    if (process.env["CI"] === "true") throw new Error(MISSING);
    console.warn(MISSING);
  }
  describe.skipIf(CHROMIUM === undefined)(name, () => {
    let browser: Browser | undefined;
    beforeAll(async () => {
      browser = await chromium.launch({
        executablePath: CHROMIUM ?? missing(MISSING),
        headless: true,
        args: [...CHROMIUM_ARGS],
      });
    }, 60_000);
    afterAll(() => browser?.close());
    define(() => browser ?? missing("Chromium has not started"));
  });
}

function missing(message: string): never {
  throw new Error(message);
}
