/** The end of a stream by its application: no timer, listener or connection stays. */

import { getEventListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "@tidewire/client";
import { describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "../client.js";
import { follow } from "./followed.js";
import { script, status, stream } from "./scripted-server.js";
import type { Answer } from "./scripted-server.js";

/** Counts the timers of the client that have yet to go off, until the test has ended. */
function recordTimers(): ReadonlySet<unknown> {
  const timers = new Set<unknown>();
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const setRecorded = (run: () => void, ms?: number): unknown => {
    const timer: unknown = set(() => {
      timers.delete(timer);
      run();
    }, ms);
    if (/packages\/client\/dist/.test(new Error("where").stack ?? "")) timers.add(timer);
    return timer;
  };
  const clearRecorded = (timer: NodeJS.Timeout | undefined): void => {
    timers.delete(timer);
    clear(timer);
  };
  Object.assign(globalThis, { setTimeout: setRecorded, clearTimeout: clearRecorded });
  onTestFinished(() => void Object.assign(globalThis, { setTimeout: set, clearTimeout: clear }));
  return timers;
}

describe("close()", () => {
  it.each(["connecting", "open", "waiting"] as const)("while %s leaves nothing", async (state) => {
    let closed = 0;
    const server = await script((response, request, asked) => {
      response.once("close", () => (closed += 1));
      if (state === "open") stream("data: x\n\n")(response, request, asked);
      if (state === "waiting") status(502)(response, request, asked);
    });
    const added = recordListeners();
    const timers = recordTimers();
    const controller = new AbortController();
    const followed = follow(server.url, { signal: controller.signal, heartbeatMs: 20_000 });
    await eventually("the request", () => server.asked.length === 1);
    await followed.until(state);
    expect(added.size).toBeGreaterThan(0);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
    expect(timers.size).toBe(1);
    followed.stream.close();
    followed.stream.close();
    expect(followed.stream.status).toEqual({ state: "closed", reason: "close" });
    expect(added.size).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    await eventually("the connection to end", () => closed === 1);
    await eventually("the timers to end", () => timers.size === 0);
    expect(followed.stream.reopen()).toBe(false);
    expect(followed.statuses.filter((each) => each.state === "closed")).toHaveLength(1);
    await delay(300);
    expect(server.asked).toHaveLength(1);
  });
});

it.each([
  ["the last event", stream("data: x\nid: ~end\n\n")],
  ["a wrong type", status200("text/html")],
])("An answer that goes on after %s is not read, and its connection is free", async (_, answer) => {
  let closed = 0;
  const server = await script((response, request, asked) => {
    response.once("close", () => (closed += 1));
    answer(response, request, asked);
  });
  follow(server.url, { reconnectionTimeMs: 60_000 });
  await eventually("the connection to end", () => closed === 1);
});

describe("An aborted signal", () => {
  it("closes the stream", async () => {
    const server = await script(stream());
    const controller = new AbortController();
    const followed = follow(server.url, { signal: controller.signal });
    await followed.until("open");
    controller.abort();
    expect(followed.stream.status).toEqual({ state: "closed", reason: "aborted" });
  });

  it("that was aborted before sends no request", async () => {
    const server = await script(stream());
    const one = connect(server.url, { signal: AbortSignal.abort() });
    expect(one.status).toEqual({ state: "closed", reason: "aborted" });
    for await (const event of one) expect(event).toBeUndefined();
    await delay(50);
    expect(server.asked).toHaveLength(0);
  });
});

/** Begins an answer that does not end. */
function status200(type: string): Answer {
  return (response) => void response.writeHead(200, { "Content-Type": type }).write("<h1>");
}

/** Makes the process a page until the test has ended, and keeps the types of the listeners that are on it. */
function recordListeners(): ReadonlySet<string> {
  const types = new Set<string>();
  Object.assign(globalThis, {
    addEventListener: (type: string) => types.add(type),
    removeEventListener: (type: string) => types.delete(type),
  });
  onTestFinished(() => {
    Reflect.deleteProperty(globalThis, "addEventListener");
    Reflect.deleteProperty(globalThis, "removeEventListener");
  });
  return types;
}
