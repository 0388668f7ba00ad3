// Runs checks in sequence or in parallel, prints a line for each, and counts results.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Number of checks passed, failed and skipped so far. */
export const counts = { passed: 0, failed: 0, skipped: 0 };

/** Thrown by a check whose tool is not installed. With `CI=true` that is a failure. */
export class Missing extends Error {}

/** Runs one check and prints its line when it has ended. Resolves to "ok", "FAIL" or "skip". */
export async function check(title, test) {
  try {
    await test();
    counts.passed += 1;
    console.log(`ok   ${title}`);
    return "ok";
  } catch (error) {
    if (error instanceof Missing && process.env.CI !== "true") {
      counts.skipped += 1;
      console.log(`skip ${title}: ${error.message}`);
      return "skip";
    }
    counts.failed += 1;
    console.log(`FAIL ${title}\n${error.message}\n${error.stdout ?? ""}${error.stderr ?? ""}`);
    return "FAIL";
  }
}

/** Runs a program to completion. Resolves to its output; rejects if it fails or takes more than ten minutes. */
export async function run(command, args, cwd) {
  const { stdout } = await execute(command, args, {
    cwd,
    timeout: 600_000,
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout;
}

/** Prints rows with equal numbers of cells, the first one left-aligned. */
export function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] + 2))
        .join("")
        .trimEnd(),
    );
  }
}
