// What .ci/run does once everything is installed: every step, whatever became of those before it.
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const report = path.join(os.tmpdir(), `tidewire-tests-${process.pid}.json`);
const ownVersion = process.versions.node.split(".")[0];
let passed = 0;
let failed = 0;

step("build and types", pnpm("build"));
step("format", pnpm("format:check"));
// After the build: the rules that ask for types read those of the packages from dist.
step("lint", pnpm("lint"));
step("unused code", pnpm("knip"));
testStep("tests", [
  ...pnpm("test"),
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
]);
// The same bytes by the other way: see packages/core/src/outlet/direct-write.ts. Beside the steps that follow: both mostly wait.
const withoutDirectWrites = beside(
  "tests without direct writes",
  [
    ["node", "node_modules/vitest/vitest.mjs", "run", "--reporter=dot"],
    ["packages/core/test/outlet/direct-write", "test/contracts/"],
    ["test/delivery/exactly-once", "test/delivery/resume", "test/delivery/stalled"],
  ].flat(),
  { TIDEWIRE_DIRECT_WRITE: "off" },
);
step("examples", ["node", "scripts/check-examples.mjs"]);
// By hand, not by their scripts, which build first: a type error in a test is to fail one step, not all.
step("packed packages", ["node", "scripts/check-packages.mjs"]);
for (const version of ["20", "22", "24", "26"].filter((other) => other !== ownVersion)) {
  step(`tests under Node ${version}`, ["node", "scripts/test-node-versions.mjs", version]);
}
await withoutDirectWrites;
// No figures, only whether it runs and every byte arrives: the machine is shared.
step(
  "benchmark",
  [
    ["node", "bench/dist/main.js", "burst", "catch-up", "--quick", "--rounds", "1"],
    ["--subjects", "tidewire-http,tidewire-express,tidewire-fastify,socket-write"],
  ].flat(),
);

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function pnpm(script) {
  return ["npx", "-y", "pnpm@10", script];
}

/** Counts as one. */
function step(name, command, env = {}) {
  if (run(name, command, env)) passed += 1;
  else failed += 1;
}

/** Counts as one, and runs beside what follows. What it says is shown when it is over. */
function beside(name, [command, ...args], env) {
  const start = performance.now();
  const output = path.join(os.tmpdir(), `tidewire-beside-${process.pid}.log`);
  const file = fs.openSync(output, "w");
  const child = spawn(command, args, {
    stdio: ["ignore", file, file],
    env: { ...process.env, ...env },
  });
  return new Promise((resolve) => {
    child.once("close", (status) => {
      console.log(`--- ${name}\n${fs.readFileSync(output, "utf8")}`);
      fs.rmSync(output);
      const seconds = ((performance.now() - start) / 1_000).toFixed(1);
      console.log(`${status === 0 ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
      if (status === 0) passed += 1;
      else failed += 1;
      resolve();
    });
  });
}

/** Counts each test of the suite; as one failure if it failed without one, for example in its compilation. */
function testStep(name, command) {
  const isPassed = run(name, command);
  const { numPassedTests = 0, numFailedTests = 0 } = fs.existsSync(report)
    ? JSON.parse(fs.readFileSync(report, "utf8"))
    : {};
  fs.rmSync(report, { force: true });
  passed += numPassedTests;
  failed += isPassed ? numFailedTests : Math.max(1, numFailedTests);
}

function run(name, [command, ...args], env = {}) {
  console.log(`--- ${name}`);
  const start = performance.now();
  const { status } = spawnSync(command, args, {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  console.log(`${status === 0 ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
  return status === 0;
}
