import { defineConfig } from "vitest/config";

/**
 * Tests that mostly wait: for a browser, for an outage to be over. Two of these files at a time hardly touch each other;
 * the others fill both cores of a small machine.
 */
const WAITING = [
  "test/browser/**/*.test.ts",
  "test/redis/{half-dead,history,outages}.test.ts",
  "test/delivery/{authorize,http2,resume}.test.ts",
];

// Real servers, processes and browsers on a machine that others use too: where it hung for seconds a test may try once
// more. Properties and unit tests may not: a rare failure there is a bug.
const RETRIES = process.env["CI"] === "true" ? 1 : 0;

export default defineConfig({
  test: {
    setupFiles: ["test/setup.ts"],
    testTimeout: 20_000,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts", "test/{architecture,types}/**/*.test.ts"],
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/{contracts,delivery,faults,redis}/**/*.test.ts"],
          exclude: WAITING,
          retry: RETRIES,
          maxWorkers: 1,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "waiting",
          include: WAITING,
          retry: RETRIES,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
