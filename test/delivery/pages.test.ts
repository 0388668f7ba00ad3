// The rule of positions: take the position first, then read the state. PAGES=… sets the number of pages.
import { createHub } from "@tidewire/core";
import type { Hub } from "@tidewire/core";
import { redisLog } from "@tidewire/redis";
import { expect, it, onTestFinished } from "vitest";
import { describeWithRedis, useRedis } from "../redis/redis-server.js";
import { renderPages } from "./pages.js";
import type { Outcome } from "./pages.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
const PAGES = Number(process.env["PAGES"] ?? 500);

/** Closes a hub after the test. */
function use(hub: Hub): Hub {
  onTestFinished(() => hub.close());
  return hub;
}

function tell(log: string, { missing, ...outcome }: Outcome): void {
  console.log(`${log}, seed ${SEED}: ${JSON.stringify(outcome)}, ${missing.length} rows missing`);
}

it(
  `no row is missing on ${PAGES} pages that are rendered in a storm, if the position is taken first`,
  { timeout: Math.max(30_000, PAGES * 20) },
  async () => {
    const outcome = await renderPages([use(createHub())], "position", PAGES, SEED);
    tell("memory", outcome);
    expect(outcome.missing.slice(0, 5)).toEqual([]);
    expect(outcome.resets).toBe(0);
    // Otherwise it was no storm.
    expect(outcome.doubles).toBeGreaterThan(PAGES / 10);
  },
);

it("rows are missing if the state is read first: the rule is needed, and the check finds them", async () => {
  const outcome = await renderPages([use(createHub())], "state", 200, SEED);
  tell("state first", outcome);
  expect(outcome.missing.length).toBeGreaterThan(0);
});

describeWithRedis("On Redis", () => {
  const redis = useRedis("suite");

  it(
    `no row is missing on ${PAGES} pages of one node whose clients are served by another`,
    { timeout: Math.max(30_000, PAGES * 20) },
    async () => {
      const { url } = await redis();
      const hubs = [1, 2].map(() => use(createHub({ log: redisLog({ url }) }))) as [Hub, Hub];
      const outcome = await renderPages(hubs, "position", PAGES, SEED);
      tell("Redis", outcome);
      expect(outcome.missing.slice(0, 5)).toEqual([]);
      expect(outcome.resets).toBe(0);
      expect(outcome.doubles).toBeGreaterThan(PAGES / 10);
    },
  );
});
