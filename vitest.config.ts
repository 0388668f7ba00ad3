import { defineConfig } from "vitest/config";

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
        },
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/{contracts,delivery,faults,redis,browser}/**/*.test.ts"],
          // Real servers, processes and browsers on a machine that others use too: where it hung for seconds
          // a test may try once more. Properties and unit tests may not: a rare failure there is a bug.
          retry: process.env["CI"] === "true" ? 1 : 0,
        },
      },
    ],
  },
});
