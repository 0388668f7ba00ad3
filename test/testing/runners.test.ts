// Runs the kit under node:test. `check:packages` runs test/packed/testing.ts under Jest 29 and 30, on Node 20.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const PROGRAM = fileURLToPath(new URL("node-test.mjs", import.meta.url));

function runNodeTest(env: Record<string, string>): Promise<{ code: unknown; output: string }> {
  return new Promise((resolve) => {
    const args = ["--test", "--test-reporter=tap", PROGRAM];
    const options = { env: { PATH: process.env["PATH"], ...env } };
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, output: stdout + stderr });
    });
  });
}

it("works under node:test, which skips tests that do not apply", async () => {
  const { code, output } = await runNodeTest({});
  expect(code, output).toBe(0);
  expect(output).toMatch(/^# fail 0$/m);
  expect(output).toMatch(/^# skipped 9$/m);
  expect(output).toContain("# SKIP The log has one follower");
});

it("prints a readable failure with the line of the test under node:test", async () => {
  const { code, output } = await runNodeTest({ FAIL: "on purpose" });
  expect(code, output).toBe(1);
  expect(output).toMatch(
    /No event "headline" within 50 ms\n\s*\n.*GET \/news\n.*200 text\/event-stream\n.*sse-cursor id=\S+ \{"heartbeatMs":15000\}\n.*message id=\S+ High water\n/,
  );
  expect(output).toMatch(/node-test\.mjs:\d+:\d+/);
});
