// Which test belongs to which tier, and which files may run beside each other.
//
//   test     what every change has to pass                          at most 3 minutes on two cores
//   soak     long chaos, properties with many runs, leaks, memory   at most 4 minutes; SOAK=full has no limit
//   clients  real browsers and the client packages that people use  at most 6 minutes, with the packed packages
import { defineConfig } from "vitest/config";
import type { TestProjectConfiguration } from "vitest/config";

const SOAK = [
  "test/soak/**/*.test.ts",
  "test/faults/{channels-memory,leaks,memory}.test.ts",
  "test/delivery/{backlog,drain,stalled}.test.ts",
  "test/redis/{failover,stampede}.test.ts",
];

/** Run in the tier `test` too, with few runs. */
const PROPERTIES = [
  "packages/*/test/**/*.property.test.ts",
  "packages/core/test/delivery/{channel-set,window}.test.ts",
  "packages/core/test/wire/shared-frames.test.ts",
];

/** Tests that mostly wait: for an outage to be over, for a heartbeat. Three of these files at a time hardly touch each other. */
const WAITING = [
  "test/contracts/{adapter,hosts,reconnect-after,turned-away}.test.ts",
  "test/delivery/{authorize,exactly-once,http2,resume}.test.ts",
  "test/redis/{clients,cluster,half-dead,history,outages,slow-links,unknown}.test.ts",
];

const isFull = process.env["SOAK"] === "full";

/** The runs of each property, unless the caller says how many. */
function runs(count: number): Record<string, string> {
  return { FAST_CHECK_RUNS: process.env["FAST_CHECK_RUNS"] ?? String(count) };
}

const SOAK_OF_PROPERTIES: TestProjectConfiguration = {
  extends: true,
  test: {
    name: "soak/properties",
    include: PROPERTIES,
    env: runs(isFull ? 1_000_000 : 20_000),
    // For a run that hangs: these take some ten seconds, and several times that on a machine with other work.
    testTimeout: isFull ? 0 : 240_000,
    maxWorkers: 2,
    sequence: { groupOrder: 5 },
  },
};

// A test of the promise runs once and passes: nothing is tried again.
export default defineConfig(({ mode }) => ({
  test: {
    setupFiles: ["test/setup.ts"],
    // The built packages are CommonJS: Node loads them, as it does for an application.
    server: { deps: { external: [/\/packages\/[^/]+\/dist\//] } },
    testTimeout: 20_000,
    projects: [
      {
        extends: true,
        test: {
          name: "test/waiting",
          include: WAITING,
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "test/alone",
          include: ["test/{contracts,delivery,faults,redis}/**/*.test.ts"],
          exclude: [...WAITING, ...SOAK],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "test/unit",
          include: ["packages/*/test/**/*.test.ts", "test/{architecture,types}/**/*.test.ts"],
          env: runs(2_000),
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: "clients",
          include: ["test/{browser,clients}/**/*.test.ts"],
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: "soak/alone",
          include: SOAK,
          testTimeout: isFull ? 0 : 60_000,
          maxWorkers: 1,
          sequence: { groupOrder: 4 },
        },
      },
      // Only by `--mode=soak`: a plain `vitest run` of one of these files is to run it once.
      ...(mode === "soak" ? [SOAK_OF_PROPERTIES] : []),
    ],
  },
}));
