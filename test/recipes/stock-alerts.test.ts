import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createRedisPublisher } from "@tidewire/redis";
import { afterAll, describe, expect, test } from "vitest";
import { RedisServer, describeWithRedis } from "../redis/redis-server.js";
import { crash, startRecipe } from "./start-recipe.js";
import type { Recipe } from "./start-recipe.js";

const dir = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-alerts-"));
afterAll(() => fs.rmSync(dir, { recursive: true }));

/** @returns The items with an alert, once they are as expected, or after a while. */
async function alertsOf(recipe: Recipe, expected: readonly string[]): Promise<string> {
  const end = performance.now() + 10_000;
  for (;;) {
    const { text } = await recipe.ask("GET", "/alerts");
    if (text === JSON.stringify(expected) || performance.now() > end) return text;
  }
}

describe("stock-alerts", () => {
  test("reads changes, and its page goes on where its rows end", { timeout: 60_000 }, async () => {
    const recipe = await startRecipe("stock-alerts");
    await recipe.ask("PUT", "/stock/rope", { count: 3 });
    await recipe.ask("PUT", "/stock/tar", { count: 50 });
    expect(await alertsOf(recipe, ["rope"])).toBe(JSON.stringify(["rope"]));
    const page = (await recipe.ask("GET", "/")).text;
    expect(page).toContain("<li>rope: 3</li><li>tar: 50</li>");
    const [, query] = /EventSource\("(.*)"\)/.exec(page) ?? [];
    await recipe.ask("PUT", "/stock/rope", { count: 9 });
    const client = await recipe.stream(query ?? "");
    expect(await client.next()).toMatchObject({ data: { item: "rope", count: 9 } });
    await client.quiet(50);
    expect(await alertsOf(recipe, [])).toBe(JSON.stringify([]));
  });
});

describeWithRedis("stock-alerts on Redis", () => {
  test("goes on after a crash with what was published meanwhile", { timeout: 60_000 }, async () => {
    const redis = await RedisServer.start();
    const env = { DATA_FILE: path.join(dir, "stock.json"), REDIS_URL: redis.url };
    const first = await startRecipe("stock-alerts", env);
    await first.ask("PUT", "/stock/rope", { count: 3 });
    expect(await alertsOf(first, ["rope"])).toBe(JSON.stringify(["rope"]));
    await crash(first);
    const publisher = createRedisPublisher({ url: redis.url, key: "stock-alerts-recipe" });
    await publisher.publish("stock", { event: "change", data: { item: "tar", count: 1 } });
    await publisher.close();
    const second = await startRecipe("stock-alerts", env);
    expect(await alertsOf(second, ["rope", "tar"])).toBe(JSON.stringify(["rope", "tar"]));
  });
});
