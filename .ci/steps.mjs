// The steps of .ci/run once everything is installed. Each step runs, even if one before it has failed. They are run by the
// oldest Node that is supported and have 20 minutes: newer ones are in the matrix of .github/workflows/ci.yml.
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

/** Finished steps: `{ name, isOk, seconds, tests? }`. */
const steps = JSON.parse(process.env.CI_STEPS ?? "[]");
let passed = steps.length;
let failed = 0;
/** Failed tests, repeated at the end of the output, because its beginning may be cut off. */
const failures = [];

const WITHOUT_DIRECT_WRITES = { TIDEWIRE_DIRECT_WRITE: "off" };

step("build and types", pnpm("build"));
step("format", pnpm("format:check"));
// After the build, because type-aware rules read the packages' types from dist.
step("lint", pnpm("lint"));
step("unused code", pnpm("knip"));
step("size of the client", ["node", "scripts/check-size.mjs"]);
step("words", ["node", "scripts/check-words.mjs"]);
step("code in the docs", ["node", "scripts/check-docs.mjs"]);
step("documentation site", ["node", "scripts/build-docs.mjs"]);
// Runs the tiers directly: their scripts build first, and a type error in one test would fail every step.
testStep("tests", ["--project=test/*"]);
testStep("soak", ["--mode=soak", "--project=soak/*"]);
// The same tests through `response.write`: see packages/core/src/outlet/direct-write.ts. The files that depend on it most; the
// workflow runs all contracts. Beside the next steps, because both mostly wait.
const withoutDirectWrites = beside(
  "tests without direct writes",
  [
    ["node", "node_modules/vitest/vitest.mjs", "run", "--reporter=dot"],
    ["packages/core/test/outlet/direct-write", "test/contracts/direct-write"],
    ["test/contracts/plain-streams", "test/delivery/exactly-once"],
  ].flat(),
  // The browsers beside it take what they can get.
  { ...WITHOUT_DIRECT_WRITES, VITEST_MAX_WORKERS: "2" },
);
testStep("clients", ["--project=clients"]);
await withoutDirectWrites;
const packed = beside("packed packages", ["node", "scripts/check-packages.mjs"]);
testStep("recipes", ["--project=recipes"]);
await packed;
step("release, dry run", ["node", "scripts/release.mjs", "--dry-run"]);
step("examples", ["node", "scripts/check-examples.mjs"]);
// Alone: other clients of this test must keep up while one stalls.
step(
  "stalled readers without direct writes",
  ["node", "node_modules/vitest/vitest.mjs", "run", "test/delivery/stalled"],
  WITHOUT_DIRECT_WRITES,
);
// No timings, because the machine is shared: only checks that it runs and that every byte arrives.
step(
  "benchmark",
  [
    ["node", "bench/dist/main.js", "burst", "catch-up", "--quick", "--rounds", "1"],
    ["--subjects", "tidewire-http,tidewire-express,tidewire-fastify,socket-write"],
  ].flat(),
);

console.log(`\n${table()}\n`);
for (const failure of failures) console.log(`FAIL ${failure}\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function pnpm(script) {
  return ["npx", "-y", "pnpm@10", script];
}

/** Runs a step that counts as one test. */
function step(name, command, env = {}) {
  const start = begin(name);
  ended(name, run(command, env), start);
}

/** Runs a step that counts as one test beside the steps that follow. Its output is shown when it has ended. */
function beside(name, [command, ...args], env = {}) {
  const start = performance.now();
  const output = path.join(os.tmpdir(), `tidewire-beside-${process.pid}-${steps.length}.log`);
  const file = fs.openSync(output, "w");
  const child = spawn(command, args, {
    stdio: ["ignore", file, file],
    env: { ...process.env, ...env },
  });
  return new Promise((resolve) => {
    child.once("close", (status) => {
      console.log(`--- ${name}\n${fs.readFileSync(output, "utf8")}`);
      fs.rmSync(output);
      ended(name, status === 0, start);
      resolve();
    });
  });
}

/** Runs a tier and counts its tests. A failure outside of tests, such as in compilation, counts as one failure. */
function testStep(name, args) {
  const report = path.join(os.tmpdir(), `tidewire-tests-${process.pid}.json`);
  const start = begin(name);
  const isOk = run(
    [
      ["node", "node_modules/vitest/vitest.mjs", "run", ...args],
      ["--reporter=default", "--reporter=./.ci/failures.mjs"],
    ].flat(),
    { CI_REPORT: report },
  );
  const tests = fs.existsSync(report)
    ? JSON.parse(fs.readFileSync(report, "utf8"))
    : { passed: 0, failed: 0, failures: [] };
  fs.rmSync(report, { force: true });
  failures.push(...tests.failures);
  ended(name, isOk, start, {
    passed: tests.passed,
    failed: isOk ? tests.failed : Math.max(1, tests.failed),
  });
}

function begin(name) {
  console.log(`--- ${name}`);
  return performance.now();
}

/** @param tests - Number of tests in the step; absent for a step that counts as one. */
function ended(name, isOk, start, tests) {
  const seconds = (performance.now() - start) / 1_000;
  console.log(`${isOk ? "ok  " : "FAIL"} ${name} (${seconds.toFixed(1)} s)`);
  steps.push({ name, isOk, seconds, tests });
  passed += tests?.passed ?? (isOk ? 1 : 0);
  failed += tests?.failed ?? (isOk ? 0 : 1);
}

/** One line for each step, in the order of completion. */
function table() {
  const width = Math.max(...steps.map(({ name }) => name.length));
  const lines = steps.map(({ name, isOk, seconds, tests }) => {
    const counts = tests === undefined ? "" : `  ${tests.passed} passed, ${tests.failed} failed`;
    return `${isOk ? "ok  " : "FAIL"} ${name.padEnd(width)} ${seconds.toFixed(1).padStart(7)} s${counts}`;
  });
  return lines.join("\n");
}

function run([command, ...args], env) {
  const { status } = spawnSync(command, args, {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
  return status === 0;
}
