// Which test belongs to which tier, and which files may run beside each other.
//
//   test     what every change has to pass                          at most 3 minutes on two cores
//   soak     long chaos, properties with many runs, leaks, memory   at most 4 minutes; SOAK=full has no limit
//   recipes  the programs of examples/recipes                       about a minute
//   clients  real browsers and the client packages that people use  at most 6 minutes, with the packed packages
import { defineConfig } from "vitest/config";
import type { TestProjectConfiguration } from "vitest/config";
import { BaseSequencer } from "vitest/node";
import type { TestSpecification } from "vitest/node";

const SOAK = [
  "test/soak/{cluster-channel-sets,identity,oracle,sleeping-readers}.test.ts",
  "test/faults/{channels-memory,leaks,memory,runs-memory}.test.ts",
  "test/delivery/{backlog,drain,stalled}.test.ts",
  "test/redis/stampede.test.ts",
];

/** Wait for elections, restarts and leases most of the time, and measure nothing: run beside the properties. */
const SOAK_WAITING = [
  "test/redis/{failover,runs-failover}.test.ts",
  "test/soak/{channel-sets,cluster-runs,presence,restart}.test.ts",
];

/** Run in the tier `test` too, with few runs. */
const PROPERTIES = [
  "packages/*/test/**/*.property.test.ts",
  "packages/core/test/delivery/{channel-set,window}.test.ts",
  "packages/core/test/wire/shared-frames.test.ts",
];

/** Tests that mostly wait: for an outage to be over, for a heartbeat. */
const WAITING = [
  "test/client/**/*.test.ts",
  "test/contracts/{adapter,hosts,identity,presence,reconnect-after,turned-away}.test.ts",
  "test/delivery/{async-context,authorize,exactly-once,idle-trim,quiet-channels,resume,shutdown}.test.ts",
  "test/redis/{clients,cluster,half-dead,history,identity,outages,presence,runs,runs-clients,runs-outages,slow-links,unknown,worker}.test.ts",
  "test/metrics/**/*.test.ts",
  "test/runs/{cuts,follow}.test.ts",
];

/** Suites on replay, in which clients can be served by `hub.read` instead of a session: see test/delivery/follow.mjs. */
const REPLAY = ["test/delivery/resume.test.ts", "test/redis/{foreign,forks,paging}.test.ts"];
/** The same, which wait for outages or move millions of events. */
const LONG_REPLAY = [
  "test/delivery/{backlog,exactly-once}.test.ts",
  "test/redis/{cluster,half-dead,history,outages,slow-links,stampede}.test.ts",
];

/** Tests that measure: memory, how late a heartbeat is, how long a turn takes. */
const ALONE = [
  "test/contracts/direct-write-pressure.test.ts",
  "test/delivery/{heartbeats,http2,memory,turns}.test.ts",
];

/** Files that take longest, in the order in which they start: one that starts last would run with nothing beside it. */
const LONG = [
  "test/redis/failover.test.ts",
  "packages/core/test/delivery/state.property.test.ts",
  "test/redis/slow-links.test.ts",
  "test/redis/outages.test.ts",
  "test/redis/history.test.ts",
  "test/redis/runs-outages.test.ts",
  "test/redis/runs.test.ts",
  "test/delivery/exactly-once.test.ts",
  "test/contracts/adapter.test.ts",
  "test/runs/follow.test.ts",
  "test/redis/half-dead.test.ts",
  "test/redis/cluster.test.ts",
  "test/redis/clients.test.ts",
  "test/contracts/identity.test.ts",
  "test/contracts/presence.test.ts",
  "test/client/recovery.test.ts",
  "test/redis/unknown.test.ts",
  "test/contracts/hosts.test.ts",
  "test/contracts/turned-away.test.ts",
  "test/client/servers.test.ts",
  "test/redis/runs-clients.test.ts",
  "test/metrics/telemetry.test.ts",
  "test/contracts/reconnect-after.test.ts",
  "test/redis/presence.test.ts",
  "test/types/channels.test.ts",
  "packages/core/test/delivery/window.test.ts",
];

/** Starts long files first, also where no earlier run has left its times: in CI. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((file) => moduleId.endsWith(`/${file}`));
      return at === -1 ? LONG.length : at;
    };
    const group = ({ project }: TestSpecification): number => project.config.sequence.groupOrder;
    // oxlint-disable-next-line unicorn/no-array-sort -- a method of the class, which copies
    const sorted = await super.sort(files);
    return sorted.toSorted((left, right) => group(left) - group(right) || rank(left) - rank(right));
  }
}

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
    maxWorkers: 4,
    sequence: { groupOrder: 6 },
  },
};

const SOAK_OF_READERS: TestProjectConfiguration = {
  extends: true,
  test: {
    name: "soak/readers",
    include: [...REPLAY, ...(isFull ? LONG_REPLAY : []), "test/delivery/pages.test.ts"],
    env: { FOLLOW: "read", PAGES: isFull ? "10000" : "2000" },
    testTimeout: isFull ? 0 : 60_000,
    maxWorkers: 3,
    sequence: { groupOrder: 7 },
  },
};

// A test of the promise runs once and passes: nothing is tried again.
export default defineConfig(({ mode }) => ({
  test: {
    setupFiles: ["test/setup.ts"],
    // The built packages are CommonJS: Node loads them, as it does for an application.
    server: { deps: { external: [/\/packages\/[^/]+\/dist\//] } },
    testTimeout: 20_000,
    sequence: { sequencer: LongFirst },
    projects: [
      {
        extends: true,
        test: {
          name: "test/waiting",
          include: WAITING,
          maxWorkers: 7,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "test/alone",
          include: ALONE,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "test/integration",
          include: ["test/{contracts,delivery,faults,redis,runs,testing}/**/*.test.ts"],
          exclude: [...WAITING, ...ALONE, ...SOAK, ...SOAK_WAITING],
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: "test/unit",
          include: ["packages/*/test/**/*.test.ts", "test/{architecture,types}/**/*.test.ts"],
          env: runs(2_000),
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: "clients",
          include: ["test/{browser,clients}/**/*.test.ts"],
          // Tabs and outages mostly wait.
          maxWorkers: 3,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: "recipes",
          include: ["test/recipes/**/*.test.ts"],
          // They mostly wait: for programs to start, and for clients to reconnect.
          maxWorkers: 3,
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        test: {
          name: "soak/alone",
          include: SOAK,
          testTimeout: isFull ? 0 : 60_000,
          maxWorkers: 1,
          sequence: { groupOrder: 5 },
        },
      },
      {
        extends: true,
        test: {
          name: "soak/telemetry",
          include: ["test/metrics/telemetry.test.ts"],
          env: { STREAMS: "100", STREAM_MS: isFull ? "60000" : "5000" },
          testTimeout: 120_000,
          maxWorkers: 4,
          sequence: { groupOrder: 6 },
        },
      },
      {
        extends: true,
        test: {
          name: "soak/waiting",
          include: SOAK_WAITING,
          testTimeout: isFull ? 0 : 60_000,
          maxWorkers: 4,
          sequence: { groupOrder: 6 },
        },
      },
      // Only by `--mode=soak`: a plain `vitest run` of one of these files is to run it once.
      ...(mode === "soak" ? [SOAK_OF_PROPERTIES, SOAK_OF_READERS] : []),
    ],
  },
}));
