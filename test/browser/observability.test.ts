/// <reference lib="dom" />
import { spawnSync } from "node:child_process";
import { afterEach, expect, test } from "vitest";
import { describeInChromium } from "./chromium.js";
import { findPorts, startProgram } from "./program.js";
import type { Program } from "./program.js";

const hasPrometheus = spawnSync("prometheus", ["--version"]).error === undefined;
if (!hasPrometheus && process.env["CI"] === "true") throw new Error("CI needs prometheus");

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function start(
  env: Record<string, string> = {},
): Promise<{ program: Program; origin: string }> {
  const port = await findPorts();
  const program = startProgram("observability/main.js", port, env);
  cleanups.push(() => program.terminate());
  await program.printed("Stop with Ctrl-C.");
  return { program, origin: `http://127.0.0.1:${port}` };
}

describeInChromium("The example of observability", (browser) => {
  test.skipIf(!hasPrometheus)(
    "shows the graphs of a real Prometheus, and ends it with itself",
    async () => {
      const { program, origin } = await start();
      const page = await browser().newPage();
      const errors: unknown[] = [];
      page.on("pageerror", (error) => errors.push(error));
      await page.goto(origin);
      const graph = page.locator("figure", { hasText: "Events delivered" });
      await expect.poll(() => graph.locator("polyline").count(), { timeout: 40_000 }).toBe(2);
      await expect
        .poll(() => graph.locator("li").first().textContent(), { timeout: 20_000 })
        .toMatch(/^published events [1-9]/);
      expect(await page.locator("figure").count()).toBeGreaterThan(20);
      await page.close();
      const [, prometheus] = /Prometheus {2}(\S+)/.exec(program.output())!;
      expect((await fetch(`${prometheus}/-/ready`)).status).toBe(200);
      expect((await program.terminate()).code).toBe(0);
      await expect(fetch(`${prometheus}/-/ready`)).rejects.toThrow("fetch failed");
      expect(errors).toEqual([]);
      expect(program.output()).not.toContain("Prometheus has ended");
    },
    90_000,
  );

  test("says so where Prometheus is not installed", async () => {
    const { program, origin } = await start({ PATH: "/nonexistent" });
    expect(program.output()).toContain("Prometheus is not installed");
    const page = await browser().newPage();
    await page.goto(origin);
    await expect
      .poll(() => page.locator("#state").textContent())
      .toContain("Prometheus is not installed");
    await page.close();
    expect(await (await fetch(`${origin}/metrics`)).text()).toContain("tidewire_sessions{");
    expect((await program.terminate()).code).toBe(0);
  });
});
