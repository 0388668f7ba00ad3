/** The end of a stream by its application: no timer, listener or connection stays. */

import { getEventListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "@tidewire/client";
import { describe, expect, it } from "vitest";
import { eventually } from "../client.js";
import { follow } from "./followed.js";
import { script, status, stream } from "./scripted-server.js";

/** Timers of this process. Those of `fetch` are not among them once their connections are gone. */
function countTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
}

describe("close()", () => {
  it.each(["connecting", "open", "waiting"] as const)("while %s leaves nothing", async (state) => {
    let closed = 0;
    const server = await script((response, request, asked) => {
      response.once("close", () => (closed += 1));
      if (state === "open") stream("data: x\n\n")(response, request, asked);
      if (state === "waiting") status(502)(response, request, asked);
    });
    const page = new EventTarget();
    const added = recordListeners(page);
    Object.assign(globalThis, { document: page });
    const before = countTimers();
    const controller = new AbortController();
    const followed = follow(server.url, { signal: controller.signal, heartbeatMs: 20_000 });
    Reflect.deleteProperty(globalThis, "document");
    await eventually("the request", () => server.asked.length === 1);
    await followed.until(state);
    expect(added.size).toBeGreaterThan(0);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
    expect(countTimers()).toBeGreaterThan(before);
    followed.stream.close();
    followed.stream.close();
    expect(followed.stream.status).toEqual({ state: "closed", reason: "close" });
    expect(added.size).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    await eventually("the connection to end", () => closed === 1);
    await eventually("the timers to end", () => countTimers() <= before);
    expect(followed.stream.reopen()).toBe(false);
    expect(followed.statuses.filter((each) => each.state === "closed")).toHaveLength(1);
    await delay(300);
    expect(server.asked).toHaveLength(1);
  });
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

/** Keeps the listeners that are on a target, by type. */
function recordListeners(target: EventTarget): ReadonlySet<string> {
  const types = new Set<string>();
  const { addEventListener, removeEventListener } = target;
  target.addEventListener = (type: string, listener: EventListener) => {
    types.add(type);
    addEventListener.call(target, type, listener);
  };
  target.removeEventListener = (type: string, listener: EventListener) => {
    types.delete(type);
    removeEventListener.call(target, type, listener);
  };
  return types;
}
