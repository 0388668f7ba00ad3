// Suites that run in each browser, and the scripts of their pages.
import { fileURLToPath } from "node:url";
import type { Browser } from "puppeteer-core";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe } from "vitest";
import { BROWSERS, launch } from "./browsers.js";

type Name = keyof typeof BROWSERS;

/**
 * A suite in each browser. Without the browser it is skipped with a notice; under `CI=true` the file fails.
 *
 * @param define - Defines the tests. The browser is available only inside them.
 */
export function describeInBrowsers(define: (name: Name, browser: () => Browser) => void): void {
  for (const name of ["chromium", "firefox"] as const) {
    const isMissing = BROWSERS[name] === undefined;
    if (isMissing) {
      if (process.env["CI"] === "true") throw new Error(`${name} is not installed`);
      console.warn(`${name} is not installed: its tests are skipped`);
    }
    describe.skipIf(isMissing)(`In ${name}`, () => {
      let browser: Browser | undefined;
      beforeAll(async () => {
        browser = await launch(name);
      }, 60_000);
      afterAll(() => browser?.close());
      define(name, () => {
        if (browser === undefined) throw new Error(`${name} has not started`);
        return browser;
      });
    });
  }
}

/** Bundles a file of this folder, with the client that it imports, as the script of a page. */
export async function bundleScript(file: string): Promise<string> {
  const files = await bundle(file, false);
  return files.get("page.js") ?? "";
}

/** Bundles a file of this folder as the script `page.js` of a page, and what it loads on use as further files. */
export async function bundleFiles(file: string): Promise<ReadonlyMap<string, string>> {
  return bundle(file, true);
}

async function bundle(file: string, codeSplitting: boolean): Promise<ReadonlyMap<string, string>> {
  const bundled = await rolldown({
    input: { page: fileURLToPath(new URL(file, import.meta.url)) },
    platform: "browser",
    logLevel: "silent",
  });
  const { output } = await bundled.generate({ format: "esm", codeSplitting });
  await bundled.close();
  return new Map(
    output.flatMap((part) => (part.type === "chunk" ? [[part.fileName, part.code] as const] : [])),
  );
}
