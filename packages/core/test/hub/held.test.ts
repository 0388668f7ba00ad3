import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Held } from "../../src/hub/held.js";
import { resolveOptions } from "../../src/options/hub.js";
import type { HubOptions } from "../../src/options/hub.js";
import { MemoryOutlet } from "../memory-outlet.js";
import type { MemoryOutletOptions } from "../memory-outlet.js";
import { OPENING, settle } from "../session-under-test.js";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const reports: unknown[] = [];

function makeHeld(options: HubOptions = {}): Held {
  reports.length = 0;
  return new Held(resolveOptions(options), (error, stage) => reports.push([error, stage]));
}

/** A turned-away client, as a session hands it over. */
function turnAway(held: Held, waitMs = 10_000, options: MemoryOutletOptions = {}): MemoryOutlet {
  const outlet = new MemoryOutlet(options);
  outlet.owner = { outletReady() {}, outletFailed() {}, outletClosed() {} };
  outlet.open({ min: 1_000, max: 3_000 });
  outlet.send(Buffer.from("data: of the session\n\n"));
  outlet.finish();
  held.take(outlet, waitMs);
  return outlet;
}

describe("a client that is held", () => {
  it("gets the opening comment and nothing else, until its connection is cut", () => {
    const held = makeHeld({ heartbeatMs: 1_000 });
    const outlet = turnAway(held, 10_000);
    expect([outlet.status, outlet.text]).toEqual([200, OPENING]);
    vi.advanceTimersByTime(9_900);
    expect(outlet.calls).toEqual(["start"]);
    vi.advanceTimersByTime(600);
    expect(outlet.calls).toEqual(["start", "destroy"]);
    expect(outlet.text).toBe(OPENING);
    expect(held.size).toBe(0);
  });

  it("shares one timer with all others, which does not keep the process alive", () => {
    const interval = vi.spyOn(globalThis, "setInterval");
    const held = makeHeld();
    const outlets = Array.from({ length: 100 }, (_, i) => turnAway(held, 5_000 + 250 * i));
    expect(held.size).toBe(100);
    expect(vi.getTimerCount()).toBe(1);
    expect(interval.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([
      false,
    ]);
    vi.advanceTimersByTime(15_000);
    expect(held.size).toBeGreaterThan(50);
    expect(held.size).toBeLessThan(65);
    vi.advanceTimersByTime(16_000);
    expect(held.size).toBe(0);
    expect(outlets.every(({ calls }) => calls.at(-1) === "destroy")).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is forgotten when it leaves", () => {
    const held = makeHeld();
    const outlet = turnAway(held);
    outlet.leave();
    expect(held.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is cut even if it does not read", () => {
    const held = makeHeld();
    const outlet = turnAway(held, 5_000, { holdsHead: true });
    outlet.stopReading();
    outlet.sendHead();
    vi.advanceTimersByTime(6_000);
    expect(outlet.calls).toEqual(["start", "destroy"]);
  });

  it("is released if the framework answers instead, before the head is sent", () => {
    const held = makeHeld();
    const outlet = turnAway(held, 5_000, { holdsHead: true });
    outlet.failInFramework();
    expect(held.size).toBe(0);
    held.end();
    expect(outlet.calls).toEqual(["start"]);
  });

  it("stays if the handler fails after its head is sent", () => {
    const held = makeHeld();
    const outlet = turnAway(held);
    outlet.failInFramework();
    expect(held.size).toBe(1);
    expect(outlet.calls).toEqual(["start"]);
  });

  it("is cut if a write throws, which is reported", () => {
    const held = makeHeld();
    const outlet = turnAway(held, 5_000, { holdsHead: true });
    const fault = new Error("A wrapper around write");
    vi.spyOn(outlet as unknown as { put(): boolean }, "put").mockImplementation(() => {
      throw fault;
    });
    outlet.sendHead();
    expect(reports).toEqual([[fault, "write"]]);
    expect(outlet.calls).toEqual(["start", "destroy"]);
    expect(held.size).toBe(0);
  });
});

describe("a client beyond maxHeld", () => {
  const SSE_RETRY = /^(?::\n\n)?event: sse-retry\nretry: (\d+)\ndata: \{\}\n\n$/;

  it("gets a reconnection time, and its stream ends in order", async () => {
    const held = makeHeld({ maxHeld: 1 });
    const first = turnAway(held);
    const second = turnAway(held, 12_345);
    expect(SSE_RETRY.exec(second.text)?.[1]).toBe("12345");
    expect(second.calls).toEqual(["start", "end"]);
    expect(held.size).toBe(1);
    await settle();
    first.leave();
    expect(turnAway(held).calls).toEqual(["start"]);
  });

  it("is cut if it does not read its end", () => {
    const held = makeHeld({ maxHeld: 0 });
    const outlet = turnAway(held, 30_000, { holdsHead: true });
    outlet.stopReading();
    outlet.sendHead();
    vi.advanceTimersByTime(6_000);
    expect(outlet.calls).toEqual(["start", "end", "destroy"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([
    [{ min: 2_000, max: 4_000 }, "4000"],
    [false, "3000"],
  ] as const)(
    "gets the reconnection time of the hub while the hub is closing: %o",
    (reconnectionTimeMs, retry) => {
      vi.spyOn(Math, "random").mockReturnValue(0.999_999);
      const held = makeHeld({ maxHeld: 0, reconnectionTimeMs });
      held.close();
      expect(SSE_RETRY.exec(turnAway(held, 30_000).text)?.[1]).toBe(retry);
    },
  );
});

describe("while the hub is closing", () => {
  it("clients are held until the drain ends, whatever their time", () => {
    const held = makeHeld();
    const before = turnAway(held, 5_000);
    held.close();
    const during = turnAway(held, 5_000);
    vi.advanceTimersByTime(60_000);
    expect([before.calls, during.calls]).toEqual([["start"], ["start"]]);
    held.end();
    expect(held.size).toBe(0);
    // The outlet of this test does not report when the kernel has taken its bytes.
    held.destroy();
    expect([before.calls, during.calls]).toEqual([
      ["start", "destroy"],
      ["start", "destroy"],
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("a client whose head is still held back gets it before the cut, if that is immediate", () => {
    const held = makeHeld();
    const outlet = turnAway(held, 5_000, { holdsHead: true });
    held.close();
    held.end();
    expect(outlet.calls).toEqual(["start"]);
    outlet.sendHead();
    expect(outlet.text).toBe(OPENING);
    held.destroy();
    expect(outlet.calls).toEqual(["start", "destroy"]);
  });

  it("a client that comes after the drain is cut as soon as it has the opening comment", () => {
    const held = makeHeld({ maxHeld: 1 });
    held.close();
    held.end();
    const outlet = turnAway(held);
    expect(outlet.text).toBe(OPENING);
    // The outlet of this test does not report when the kernel has taken its bytes.
    vi.advanceTimersByTime(1_500);
    expect(outlet.calls).toEqual(["start", "destroy"]);
    expect([held.size, vi.getTimerCount()]).toEqual([0, 0]);
  });
});

describe("the default of maxHeld", () => {
  it.each([
    [{}, 1_000],
    [{ maxSessions: false }, 1_000],
    [{ maxSessions: 500 }, 1_000],
    [{ maxSessions: 501 }, 1_002],
    [{ maxSessions: 20_000 }, 40_000],
    [{ maxSessions: 20_000, maxHeld: 5 }, 5],
    [{ maxSessions: 20_000, maxHeld: undefined }, 40_000],
  ] as const)("is the larger of 1 000 and twice maxSessions: %o", (options, maxHeld) => {
    expect(resolveOptions(options).maxHeld).toBe(maxHeld);
  });
});
