import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createRuns } from "../src/index.js";
import type { RunEvent, Runs } from "../src/index.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** Starts a run that goes on until it is stopped. */
async function start(runs: Runs, abandonMs?: number | false): Promise<AbortSignal> {
  let given: AbortSignal | undefined;
  const source = async function* ({ signal }: { signal: AbortSignal }): AsyncGenerator<string> {
    given = signal;
    await new Promise(() => {});
    yield "never";
  };
  await runs.start("a", source, { abandonMs });
  // The source is opened in the same turn.
  await vi.advanceTimersByTimeAsync(0);
  return given!;
}

/** Follows the run until the returned function is called. */
async function followRun(runs: Runs): Promise<() => Promise<void>> {
  const reader = runs.read("a");
  const waiting = reader.next();
  await vi.advanceTimersByTimeAsync(0);
  return async () => {
    await reader.return!();
    await waiting;
  };
}

describe("abandonMs", () => {
  it("stops a run without followers exactly then, counted from its start", async () => {
    const runs = createRuns({ abandonMs: 120_000 });
    const signal = await start(runs);
    await vi.advanceTimersByTimeAsync(119_999);
    expect(signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(signal.reason).toMatchObject({ name: "AbortError", cause: "abandoned" });
    expect(await runs.state("a")).toMatchObject({ state: "stopped" });
  });

  it("counts from when the last follower leaves", async () => {
    const runs = createRuns({ abandonMs: 1_000 });
    const signal = await start(runs);
    await vi.advanceTimersByTimeAsync(900);
    const leaveFirst = await followRun(runs);
    const leaveSecond = await followRun(runs);
    await vi.advanceTimersByTimeAsync(50_000);
    await leaveFirst();
    await vi.advanceTimersByTimeAsync(5_000);
    await leaveSecond();
    await vi.advanceTimersByTimeAsync(999);
    expect(signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(signal.aborted).toBe(true);
  });

  it("is off by default: a run without followers goes on", async () => {
    const runs = createRuns();
    const signal = await start(runs);
    await vi.advanceTimersByTimeAsync(86_400_000);
    expect(signal.aborted).toBe(false);
  });

  it("of start replaces that of createRuns", async () => {
    const runs = createRuns({ abandonMs: 1_000 });
    const signal = await start(runs, false);
    await vi.advanceTimersByTimeAsync(86_400_000);
    expect(signal.aborted).toBe(false);
  });

  it("stops at the first moment at which it is over, and never earlier, however followers come and go", async () => {
    const ABANDON_MS = 100;
    const visit = fc.record({
      awayMs: fc.integer({ min: 0, max: 130 }),
      hereMs: fc.integer({ min: 0, max: 250 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(visit, { maxLength: 8 }), async (visits) => {
        const runs = createRuns({ abandonMs: ABANDON_MS, keepMs: 0 });
        const signal = await start(runs);
        const begin = performance.now();
        let at: number | undefined;
        signal.addEventListener("abort", () => (at = performance.now() - begin));
        // The first absence that is long enough ends the run.
        let expected = 0;
        let isOver = false;
        for (const { awayMs, hereMs } of visits) {
          isOver ||= awayMs >= ABANDON_MS;
          if (!isOver) expected += awayMs + hereMs;
          await vi.advanceTimersByTimeAsync(awayMs);
          const leave = await followRun(runs);
          await vi.advanceTimersByTimeAsync(hereMs);
          await leave();
        }
        await vi.advanceTimersByTimeAsync(ABANDON_MS);
        expect(at).toBe(expected + ABANDON_MS);
        await runs.close();
      }),
      { numRuns: 300 },
    );
  });
});

describe("keepMs", () => {
  it("keeps the tape exactly that long after the end", async () => {
    const runs = createRuns({ keepMs: 5_000 });
    await runs.start("a", () => ["1"]);
    await vi.advanceTimersByTimeAsync(4_999);
    const events: RunEvent[] = [];
    for await (const event of runs.read("a")) events.push(event);
    expect(events).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(await runs.state("a")).toBeUndefined();
  });

  it("counts anew from the end of a later run", async () => {
    const runs = createRuns({ keepMs: 5_000 });
    await runs.start("a", () => ["1"]);
    await vi.advanceTimersByTimeAsync(4_000);
    await runs.start("a", () => ["2"]);
    await vi.advanceTimersByTimeAsync(4_999);
    expect(await runs.state("a")).toMatchObject({ state: "done" });
    await vi.advanceTimersByTimeAsync(1);
    expect(await runs.state("a")).toBeUndefined();
  });
});
