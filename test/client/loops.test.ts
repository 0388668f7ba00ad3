/** Loops over a stream: every event in order, back-pressure instead of loss, and several at a time. */

import { setTimeout as delay } from "node:timers/promises";
import { connect } from "@tidewire/client";
import { describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "../client.js";
import { follow } from "./followed.js";
import { ended, script, status, stream } from "./scripted-server.js";
import { serve } from "./served.js";

const many = (count: number): string =>
  Array.from({ length: count }, (_, n) => `id: ${n}\ndata: ${n}\n\n`).join("");

describe("A loop", () => {
  it("gets all events in order, and ends when the server completes", async () => {
    const server = await script(ended(`${many(1_000)}event: sse-complete\nid: ~end\ndata: {}\n\n`));
    const seen: unknown[] = [];
    for await (const { data } of connect(server.url)) seen.push(data);
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
  });

  it("gets resets, which it must not miss, and no other event of the protocol", async () => {
    const reset = '{"reason":"trimmed","channels":["news"]}';
    const server = await script(
      ended(
        `event: sse-cursor\nid: 1\ndata: {}\n\nevent: sse-reset\nid: 2\ndata: ${reset}\n\nevent: sse-retry\ndata: {}\n\ndata: x\nid: ~end\n\n`,
      ),
    );
    const seen: unknown[] = [];
    for await (const event of connect(server.url)) seen.push(event);
    expect(seen).toEqual([
      { type: "sse-reset", data: JSON.parse(reset) as unknown, text: reset, lastEventId: "2" },
      { type: "message", data: "x", text: "x", lastEventId: "2" },
    ]);
  });

  it("throws the error of a stream that was refused, also if it begins later", async () => {
    const server = await script(status(403));
    const { stream: refused, until } = follow(server.url);
    const loop = async (): Promise<void> => {
      for await (const event of refused) expect(event).toBeUndefined();
    };
    await expect(loop()).rejects.toThrow(new Error("HTTP 403"));
    await until("closed");
    await expect(loop()).rejects.toThrow(new Error("HTTP 403"));
  });

  it("ends at once, without an error, when the stream is closed", async () => {
    const server = await script(stream(many(10)));
    const { stream: one } = follow(server.url);
    const seen: unknown[] = [];
    for await (const { data } of one) {
      seen.push(data);
      if (seen.length === 3) one.close();
    }
    expect(seen).toEqual([0, 1, 2]);
  });

  it("that is slow slows the stream down, keeps a bounded number of events, and loses none", async () => {
    const COUNT = 3_000;
    const padding = "x".repeat(10_000);
    let written = 0;
    const server = await script(async (response) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      for (; written < COUNT; written++) {
        const goesOn = response.write(`id: ${written}\ndata: "${written} ${padding}"\n\n`);
        if (!goesOn) await new Promise((resolve) => response.once("drain", resolve));
      }
      response.end("event: done\nid: ~end\ndata: 0\n\n");
    });
    const one = connect(server.url, { maxBufferedEvents: 5 });
    let heard = 0;
    one.on("message", () => (heard += 1));
    let seen = 0;
    let paused = { heard: NaN, written: NaN };
    for await (const { type, data } of one) {
      if (type === "done") break;
      expect(Number.parseInt(String(data), 10)).toBe(seen);
      seen += 1;
      if (seen === 100) {
        await delay(300);
        paused = { heard, written };
      }
    }
    expect(paused.heard).toBeLessThanOrEqual(100 + 5);
    // The kernel's buffers hold some hundred events.
    expect(paused.written).toBeLessThan(COUNT - 500);
    expect([seen, heard]).toEqual([COUNT, COUNT]);
  });

  it("that is slow loses nothing if the server cuts it off for being slow", async () => {
    const { hub, url } = await serve(({ sse }) => void sse.subscribe("news"), {
      stallTimeoutMs: 1_000,
      heartbeatMs: 1_000,
      reconnectionTimeMs: 100,
    });
    const one = connect(url, { maxBufferedEvents: 2 });
    onTestFinished(() => one.close());
    await eventually("a position", () => one.lastEventId !== "");
    const reasons: string[] = [];
    one.onStatus((now) => now.state === "waiting" && reasons.push(now.reason));
    const loop = one[Symbol.asyncIterator]();
    const COUNT = 1_200;
    const padding = "x".repeat(10_000);
    const publish = async (): Promise<void> => {
      for (let n = 0; n < COUNT; n++) {
        await hub.publish("news", { event: "n", data: { n, padding } });
      }
    };
    await publish();
    await eventually("the server to cut the stream", () => hub.sessionCount === 0);
    const seen: number[] = [];
    while (seen.length < COUNT) {
      const { value } = await loop.next();
      if (value !== undefined) seen.push((value.data as { n: number }).n);
    }
    expect(seen).toEqual(Array.from({ length: COUNT }, (_, n) => n));
    // Silence while the client did not read is no dead link.
    expect(new Set(reasons)).toEqual(new Set(["broken"]));
    await loop.return?.();
  });

  it("that was slow still notices a dead link", async () => {
    const server = await script(
      stream(`event: sse-cursor\nid: 0\ndata: {"heartbeatMs":400}\n\n${many(5)}`),
    );
    const { stream: one, until } = follow(server.url, { maxBufferedEvents: 2 });
    const loop = one[Symbol.asyncIterator]();
    await until("open");
    await delay(1_000);
    expect(one.status.state).toBe("open");
    for (let n = 0; n < 5; n++) expect((await loop.next()).value?.data).toBe(n);
    expect(await until("waiting")).toMatchObject({ reason: "stalled" });
    await loop.return?.();
  });

  it("of several gets every event, at the pace of the slowest, which may leave", async () => {
    const server = await script(stream(many(50)));
    const { stream: one } = follow(server.url, { maxBufferedEvents: 4 });
    const slow = one[Symbol.asyncIterator]();
    const fast: unknown[] = [];
    void (async () => {
      for await (const { data } of one) fast.push(data);
    })();
    await eventually("the slow one to be full", () => fast.length === 4);
    await delay(50);
    expect(fast).toHaveLength(4);
    expect((await slow.next()).value?.data).toBe(0);
    await eventually("one more", () => fast.length === 5);
    await slow.return?.();
    await eventually("all", () => fast.length === 50);
    expect(fast).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });

  it("holds no events when it is left", async () => {
    const server = await script(stream(many(20)));
    const { stream: one, events } = follow(server.url, { maxBufferedEvents: 3 });
    for await (const { data } of one) if (data === 5) break;
    await eventually("the rest", () => events.length === 20);
  });
});
