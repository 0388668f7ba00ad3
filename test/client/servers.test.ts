/** The client against Tidewire on every framework, and against a server written by hand. */

import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Hub } from "@tidewire/core";
import { describe, expect, it } from "vitest";
import { eventually } from "../client.js";
import { follow } from "./followed.js";
import { startLinkProxy } from "./link-proxy.js";
import { script } from "./scripted-server.js";
import { HTTP1, serve } from "./served.js";

async function publish(hub: Hub, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await hub.publish("news", { event: "n", data: { n } });
}

function numbers(from: number, to: number): unknown[] {
  return Array.from({ length: to - from + 1 }, (_, index) => ({ n: from + index }));
}

describe.each(HTTP1.map((binding) => [binding.name, binding] as const))("On %s", (_, binding) => {
  it("gets every event once and in order, although the link breaks in the middle of frames", async () => {
    const { hub, port } = await serve(
      ({ sse }) => void sse.subscribe("news"),
      { reconnectionTimeMs: 100 },
      binding,
    );
    const proxy = await startLinkProxy(port);
    const followed = follow(proxy.url);
    await followed.until("open");
    await eventually("a position", () => followed.stream.lastEventId !== "");
    for (let round = 0; round < 5; round++) {
      proxy.resetAfter(200 + 37 * round);
      await publish(hub, round * 20 + 1, round * 20 + 20);
      await followed.until("waiting", round + 1);
    }
    proxy.resetAfter(Infinity);
    await followed.untilEvents(100);
    expect(followed.data).toEqual(numbers(1, 100));
  });

  it("stops on complete(), and gets the last message first", async () => {
    let count = 0;
    const { port } = await serve(
      async ({ sse }) => {
        count += 1;
        await sse.send({ event: "n", data: 1 });
        await sse.complete({ event: "done", data: { total: 1 } });
      },
      {},
      binding,
    );
    const followed = follow(`http://127.0.0.1:${port}/`);
    expect(await followed.until("closed")).toEqual({ state: "closed", reason: "completed" });
    expect(followed.data).toEqual([1, { total: 1 }]);
    expect([count, followed.stream.lastEventId]).toEqual([1, ""]);
  });

  it("stops on complete() without a message, and on 204", async () => {
    const { port } = await serve(
      ({ sse, request }) => {
        if (request.url === "/open") sse.open();
        void sse.complete();
      },
      {},
      binding,
    );
    const [one, other] = ["open", "closed"].map((path) =>
      follow(`http://127.0.0.1:${port}/${path}`),
    );
    expect(await one?.until("closed")).toEqual({ state: "closed", reason: "completed" });
    expect(await other?.until("closed")).toEqual({
      state: "closed",
      reason: "completed",
      httpStatus: 204,
    });
  });

  it("hears of a reset", async () => {
    const { port } = await serve(({ sse }) => void sse.subscribe("news"), {}, binding);
    const { stream } = follow(`http://127.0.0.1:${port}/`, { lastEventId: "from-elsewhere" });
    const resets: unknown[] = [];
    stream.onReset((reset, { type, lastEventId }) => resets.push([reset, type, lastEventId]));
    await eventually("a reset", () => resets.length > 0);
    expect(resets).toEqual([
      [{ reason: "unknown", channels: ["news"] }, "sse-reset", stream.lastEventId],
    ]);
  });

  it("reopens with other channels at the same position, and loses nothing", async () => {
    const { hub, port } = await serve(
      ({ sse, request }) => {
        void sse.subscribe(new URL(request.url ?? "", "http://a").searchParams.getAll("channel"));
      },
      {},
      binding,
    );
    const url = `http://127.0.0.1:${port}/?channel=news`;
    const followed = follow(url);
    await eventually("a position", () => followed.stream.lastEventId !== "");
    await hub.publish("news", { event: "n", data: 1 });
    await followed.untilEvents(1);
    await hub.publish("sport", { event: "n", data: 2 });
    expect(followed.stream.reopen(`${url}&channel=sport`)).toBe(true);
    await hub.publish("news", { event: "n", data: 3 });
    await followed.untilEvents(3);
    expect(followed.data).toEqual([1, 2, 3]);
    expect(followed.statuses.map(({ state }) => state)).toEqual([
      "connecting",
      "open",
      "connecting",
      "open",
    ]);
  });
});

describe("On a server written by hand", () => {
  it("gets every event once and in order, although the server ends and breaks its streams", async () => {
    const history: string[] = [];
    const open = new Set<ServerResponse>();
    const server = await script((response, request) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.write("retry: 100\n\n");
      const from = Number(request.headers["last-event-id"] ?? 0);
      for (const [index, data] of history.entries()) {
        if (index >= from) response.write(`id: ${index + 1}\ndata: ${data}\n\n`);
      }
      open.add(response);
      void once(response, "close").then(() => open.delete(response));
    });
    const followed = follow(server.url, { reconnectionTimeMs: 5_000 });
    await followed.until("open");
    for (let round = 1; round <= 4; round++) {
      const text = `round ${round}`;
      history.push(text);
      for (const response of open) {
        response.write(`id: ${history.length}\ndata: ${text}\n\n`);
        if (round % 2 === 0) response.end();
        else response.destroy();
      }
      await followed.untilEvents(round);
      await followed.until("open", round + 1);
    }
    expect(followed.data).toEqual(history);
  });
});
