import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import type { McpSubscription } from "@modelcontextprotocol/client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RedisProxy } from "../redis/proxy.js";
import { RedisServer, describeWithRedis } from "../redis/redis-server.js";
import { crash, startRecipe } from "./start-recipe.js";
import type { Recipe } from "./start-recipe.js";

const NEWS = "news://headlines";

/** A client that reads the headlines whenever they may have changed. */
class Reader {
  readonly client: Client = new Client(
    { name: "test", version: "1.0.0" },
    { versionNegotiation: { mode: "auto" } },
  );
  readonly ends: string[] = [];
  notified = 0;
  text: string | undefined;
  subscription: McpSubscription | undefined;

  async connect(port: number): Promise<void> {
    this.client.setNotificationHandler("notifications/resources/updated", async () => {
      this.notified += 1;
      await this.read();
    });
    const url = new URL(`http://127.0.0.1:${port}/mcp`);
    await this.client.connect(new StreamableHTTPClientTransport(url));
    await this.listen();
  }

  /** First the subscription, then the state. */
  async listen(): Promise<void> {
    this.subscription = await this.client.listen({ resourceSubscriptions: [NEWS] });
    void this.subscription.closed.then((how) => this.ends.push(how));
    await this.read();
  }

  async read(): Promise<void> {
    const { contents } = await this.client.readResource({ uri: NEWS });
    const [content] = contents;
    this.text = content !== undefined && "text" in content ? content.text : undefined;
  }
}

let proxy: RedisProxy | undefined;
let reader: Reader;
beforeEach(() => {
  reader = new Reader();
});
afterEach(async () => {
  await reader.client.close();
  await proxy?.close();
});

/** Two processes, and a reader at the first of them. */
async function start(): Promise<{ redis: RedisServer; here: Recipe; there: Recipe }> {
  const redis = await RedisServer.start();
  const env = { REDIS_URL: redis.url };
  const [here, there] = await Promise.all([startRecipe("mcp", env), startRecipe("mcp", env)]);
  proxy = await RedisProxy.start(Number(new URL(here.origin).port));
  await reader.connect(proxy.port);
  return { redis, here, there };
}

async function waitFor(text: string): Promise<void> {
  await expect.poll(() => reader.text, { timeout: 10_000 }).toBe(text);
}

describeWithRedis("mcp", () => {
  test(
    "a subscription at one process hears of changes in all, and of lost changes",
    { timeout: 60_000 },
    async () => {
      const { redis, here, there } = await start();
      expect(reader.client.getNegotiatedProtocolVersion()).toBe("2026-07-28");
      expect(reader.text).toBe("");
      await there.ask("POST", "/news", { title: "High water" });
      await waitFor("High water");
      await here.ask("POST", "/news", { title: "Low water" });
      await waitFor("High water\nLow water");
      expect(reader.notified).toBe(2);

      await redis.command("FLUSHALL");
      await waitFor("");
    },
  );

  test(
    "a client that was cut, or whose process died, subscribes again and reads what it missed",
    { timeout: 60_000 },
    async () => {
      const { redis, here, there } = await start();
      proxy?.shut();
      await there.ask("POST", "/news", { title: "Fog" });
      await expect.poll(() => reader.ends, { timeout: 10_000 }).toEqual(["remote"]);
      proxy?.open();
      await reader.listen();
      expect(reader.text).toBe("Fog");

      await crash(here);
      await expect.poll(() => reader.ends, { timeout: 10_000 }).toEqual(["remote", "remote"]);
      await there.ask("POST", "/news", { title: "Ebb" });
      await startRecipe("mcp", { REDIS_URL: redis.url }, Number(new URL(here.origin).port));
      await reader.listen();
      expect(reader.text).toBe("Fog\nEbb");
      await there.ask("POST", "/news", { title: "Flood" });
      await waitFor("Fog\nEbb\nFlood");
    },
  );
});
