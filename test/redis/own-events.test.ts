/** Events of a process that the log has accepted but not delivered back yet. */

import http from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createHub } from "@tidewire/core";
import type { Session } from "@tidewire/core";
import { redisLog } from "@tidewire/redis";
import { expect, it } from "vitest";
import { eventually, request } from "../client.js";
import { describeWithRedis, useRedis } from "./redis-server.js";

describeWithRedis("except on a shared log", () => {
  const server = useRedis("suite");

  it("skips only that session, and loses nothing, while others publish continuously", async () => {
    const redis = await server();
    const hub = createHub({ log: redisLog({ url: redis.url }) });
    const sessions: Session[] = [];
    const node = http.createServer((incoming, response) => {
      const session = hub.createSession({ request: incoming, response });
      sessions.push(session);
      void session.subscribe("chat");
    });
    await new Promise<void>((resolve) => {
      node.listen(0, "127.0.0.1", resolve);
    });
    const { port } = node.address() as AddressInfo;
    await eventually("the log to start", () => hub.stats().log.state === "live");
    const clients = [
      await request({ port, protocol: "http1" }, "/"),
      await request({ port, protocol: "http1" }, "/"),
    ];
    for (const client of clients) await client.until("sse-cursor");
    const expected: [string[], string[]] = [[], []];
    for (let count = 0; count < 300; count++) {
      const except = count % 3 === 0 ? sessions[0] : undefined;
      void hub.publish("chat", `m${count}`, { except });
      if (except === undefined) expected[0].push(`m${count}`);
      expected[1].push(`m${count}`);
      if (count % 10 === 0) await delay(1);
    }
    for (const [index, client] of clients.entries()) {
      const text = await client.until(/^data: m299$/m);
      const data = [...text.matchAll(/^data: (m\d+)$/gm)].map(([, one]) => one);
      expect(data).toEqual(expected[index]);
    }
    expect(hub.stats().sessions).toMatchObject({ live: 2 });
    await hub.close();
    node.close();
  });
});

describeWithRedis("complete() on a shared log", () => {
  const server = useRedis("suite");

  it("does not end a stream before an event whose publish has resolved", async () => {
    const redis = await server();
    const hub = createHub({ log: redisLog({ url: redis.url }) });
    let session: Session | undefined;
    const node = http.createServer((incoming, response) => {
      session = hub.createSession({ request: incoming, response });
      void session.subscribe("job");
    });
    await new Promise<void>((resolve) => {
      node.listen(0, "127.0.0.1", resolve);
    });
    const { port } = node.address() as AddressInfo;
    await eventually("the log to start", () => hub.stats().log.state === "live");
    for (let round = 0; round < 20; round++) {
      const client = await request({ port, protocol: "http1" }, "/", {
        headers: { accept: "text/event-stream" },
      });
      await client.until("sse-cursor");
      await hub.publish("job", "progress");
      // The log is read at most every ten milliseconds.
      await delay(round);
      await hub.publish("job", `result ${round}`);
      void session?.complete();
      expect(await client.rest()).toMatch(
        new RegExp(`data: result ${round}\\n\\nevent: sse-complete\\n`),
      );
    }
    await hub.close();
    node.close();
  });
});
