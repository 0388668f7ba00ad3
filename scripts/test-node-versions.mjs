// Runs the unit tests and the contracts under other Node versions: all of them, or those given as arguments.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const VERSIONS = ["20", "22", "24", "26"];
/** Tests that depend on the version of Node. The browser and the rest of the integration tests do not. */
const TESTS = ["packages/", "test/client/", "test/contracts/", "test/redis/log"];

const root = path.resolve(import.meta.dirname, "..");
const named = process.argv.slice(2);
const results = (named.length > 0 ? named : VERSIONS).map(testUnder);
process.exitCode = results.every(Boolean) ? 0 : 1;

function testUnder(version) {
  const report = path.join(os.tmpdir(), `tidewire-node-${version}-${process.pid}.json`);
  const start = performance.now();
  const { status } = spawnSync(
    "npx",
    ["-y", `node@${version}`, "node_modules/vitest/vitest.mjs", "run", ...TESTS]
      // One report for counting, and one for reading along.
      .concat("--reporter=json", `--outputFile.json=${report}`, "--reporter=dot"),
    {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      env: { FAST_CHECK_RUNS: "2000", ...process.env },
    },
  );
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  let counts = "no report";
  if (fs.existsSync(report)) {
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(
      fs.readFileSync(report, "utf8"),
    );
    counts = `${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`;
    fs.rmSync(report);
  }
  console.log(`Node ${version}: ${status === 0 ? "ok" : "FAIL"}, ${counts}, ${seconds} s`);
  return status === 0;
}
