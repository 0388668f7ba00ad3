import { describe, expect, it } from "vitest";
import { createHub } from "../../src/hub/hub.js";
import type { HubOptions } from "../../src/options/hub.js";
import { thrownBy, untyped } from "../thrown.js";

describe("createHub", () => {
  it("accepts no options, and checks given ones", () => {
    expect(createHub().sessionCount).toBe(0);
    expect(createHub({}).sessionCount).toBe(0);
    expect(thrownBy(() => createHub({ heartbeatMs: 0 }))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: "Expected `heartbeatMs` to be false or a whole number >= 1000, got 0 (number)",
    });
    expect(thrownBy(() => createHub(untyped<HubOptions>({ heartbeat: 1 }))).message).toBe(
      "Unknown option `heartbeat`. Did you mean `heartbeatMs`?",
    );
  });
});

describe("hub.createSession", () => {
  it.each([
    ["nothing", undefined],
    ["null", null],
    ["an empty object", {}],
    ["only a request", { request: { headers: {} } }],
    ["only a response", { response: { writeHead: (): void => {} } }],
    ["something else", { request: { headers: {} }, response: {} }],
  ])("refuses %s", (_name, exchange) => {
    expect(thrownBy(() => createHub().createSession(untyped<never>(exchange)))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: "Expected { request, response } of node:http or node:http2",
    });
  });
});

describe("hub.close", () => {
  it.each([
    [-1, "-1 (number)"],
    [0.5, "0.5 (number)"],
    ["5", '"5" (string)'],
    [false, "false (boolean)"],
  ])("refuses a drainMs of %s and stays open", (drainMs, described) => {
    const hub = createHub();
    expect(thrownBy(() => void hub.close({ drainMs: untyped<number>(drainMs) }))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `Expected \`drainMs\` to be a whole number >= 0, got ${described}`,
    });
  });

  it("resolves at once without sessions, and closing twice is closing once", async () => {
    const hub = createHub();
    const closing = hub.close({ drainMs: 60_000 });
    expect(hub.close()).toBe(closing);
    await expect(closing).resolves.toBeUndefined();
  });

  it("leaves no timer behind that keeps the process alive", async () => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    await createHub().close({ drainMs: 60_000 });
    await createHub().close();
    expect(timers()).toBe(before);
  });
});
