import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { RedisServer, describeWithRedis } from "../redis/redis-server.js";
import { crash, startRecipe } from "./start-recipe.js";

const dir = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-outbox-"));
afterAll(() => fs.rmSync(dir, { recursive: true }));

describeWithRedis("outbox", () => {
  test("publishes what was committed before a crash, once", { timeout: 60_000 }, async () => {
    const redis = await RedisServer.start();
    const env = { DATA_DIR: path.join(dir, "db"), REDIS_URL: redis.url };
    const first = await startRecipe("outbox", env);
    const client = await first.open("/orders");
    const [, position] = /sse-cursor\nid: (.+)\n/.exec(await client.until(/sse-cursor\nid: .+\n/))!;
    await first.ask("POST", "/orders", { item: "rope" });

    // The change is committed while the log is away. Then the process dies.
    await redis.kill();
    expect((await first.ask("POST", "/orders/1/pay")).status).toBe(204);
    await crash(first);
    await redis.run();

    const second = await startRecipe("outbox", env);
    const back = await second.open("/orders", { "last-event-id": position! });
    await back.until("event: paid\n");
    expect((await second.ask("POST", "/orders/1/pay")).status).toBe(404);
    const next = await second.ask("POST", "/orders", { item: "tar" });
    const { id } = JSON.parse(next.text) as { id: number };
    await second.ask("POST", `/orders/${id}/pay`);
    await back.until(`data: {"id":${id}}`);
    expect(back.text.match(/data: \{"id":\d+\}/g)).toEqual([
      'data: {"id":1}',
      `data: {"id":${id}}`,
    ]);
    expect(back.text).not.toContain("sse-reset");
  });
});
