import { execFile } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { setTimeout as delay } from "node:timers/promises";
import { createRedisPublisher, createRedisReader, redisTapes } from "@tidewire/redis";
import { createRuns } from "@tidewire/runs";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { Faucet } from "../runs/faucet.js";
import { describeWithRedis, freePort, useRedis } from "./redis-server.js";

const { resolve } = createRequire(import.meta.url);
const REDIS = resolve("@tidewire/redis");
const RUNS = resolve("@tidewire/runs");

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

describeWithRedis("A worker that only reads", () => {
  const redis = useRedis("suite");

  it("stays alive while its loop waits, and ends when the loop does", async () => {
    const { url } = await redis();
    const program = `
      const { createRedisReader } = require(${JSON.stringify(REDIS)});
      const reader = createRedisReader({ url: ${JSON.stringify(url)} });
      (async () => {
        console.log("position " + (await reader.position()));
        for await (const item of reader.read("orders", { latest: 1 })) {
          console.log(item.data);
          if (item.data === "last") break;
        }
        await reader.close();
      })();`;
    const child = execFile(process.execPath, ["-e", program]);
    closers.push(() => child.kill("SIGKILL"));
    let output = "";
    child.stdout?.on("data", (text: string) => (output += text));
    const publisher = createRedisPublisher({ url });
    closers.push(() => publisher.close());
    const exit = once(child, "exit");
    await once(child.stdout as NonNullable<typeof child.stdout>, "data");
    await publisher.publish("orders", "first");
    await publisher.publish("orders", "last");
    expect(await exit).toEqual([0, null]);
    expect(output.split("\n").slice(1)).toEqual(["first", "last", ""]);
  });

  it("stays alive while its loop over a run waits, and ends when the run does", async () => {
    const { url } = await redis();
    const runs = createRuns({ tapes: redisTapes({ url }) });
    closers.push(() => runs.close());
    const faucet = new Faucet().give("first");
    await runs.start("a", () => faucet);
    const program = `
      const { redisTapes } = require(${JSON.stringify(REDIS)});
      const { createRuns } = require(${JSON.stringify(RUNS)});
      const runs = createRuns({ tapes: redisTapes({ url: ${JSON.stringify(url)} }) });
      (async () => {
        for await (const event of runs.read("a")) console.log(event.data ?? event.outcome);
        await runs.close();
      })();`;
    const child = execFile(process.execPath, ["-e", program]);
    closers.push(() => child.kill("SIGKILL"));
    let output = "";
    child.stdout?.on("data", (text: string) => (output += text));
    const exit = once(child, "exit");
    await eventually("the first item", () => output !== "");
    await delay(500);
    faucet.give("last").end();
    expect(await exit).toEqual([0, null]);
    expect(output.split("\n")).toEqual(["first", "last", "done", ""]);
  });

  it("does not end because Redis is away when it starts or stops a run without an await", async () => {
    const port = await freePort();
    const program = `
      const { redisTapes } = require(${JSON.stringify(REDIS)});
      const { createRuns } = require(${JSON.stringify(RUNS)});
      const stages = [];
      const runs = createRuns({
        tapes: redisTapes({ url: "redis://127.0.0.1:${port}" }),
        onError: (error, { stage, key }) => {
          if (stage !== "tapes") stages.push(stage + " " + key + " " + error.code);
        },
      });
      void runs.start("a", () => ["1"]);
      void runs.stop("b");
      const awaited = runs.stop("c").then(() => "resolved", () => "rejected");
      setTimeout(async () => {
        console.log(JSON.stringify([await awaited, ...stages.sort()]));
        await runs.close();
      }, 4_000);`;
    const child = execFile(process.execPath, ["-e", program]);
    closers.push(() => child.kill("SIGKILL"));
    let output = "";
    child.stdout?.on("data", (text: string) => (output += text));
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(JSON.parse(output)).toEqual([
      "rejected",
      "start a ERR_SSE_TAPES_UNAVAILABLE",
      "stop b ERR_SSE_TAPES_UNAVAILABLE",
      "stop c ERR_SSE_TAPES_UNAVAILABLE",
    ]);
  });

  it("reads what others publish, from a position on", async () => {
    const { url } = await redis();
    const publisher = createRedisPublisher({ url });
    closers.push(() => publisher.close());
    const { id } = await publisher.publish("orders", { data: { n: 1 } });
    await publisher.publish("orders", { data: { n: 2 } });
    const reader = createRedisReader({ url });
    closers.push(() => reader.close());
    const reading = reader.read("orders", { after: id });
    expect((await reading.next()).value).toMatchObject({ type: "event", data: { n: 2 } });
  });
});
