import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DEFAULTS } from "../../src/options/hub.js";
import { printErrors } from "../../src/options/print-errors.js";

const FIRST = (stage: string): string =>
  `tidewire: background error (${stage}); set the option onError to receive these. Further ones are printed once a minute:`;

describe("The default of onError", () => {
  let lines: unknown[][] = [];

  beforeEach(() => {
    lines = [];
    vi.useFakeTimers();
    vi.spyOn(console, "error").mockImplementation((...line: unknown[]) => void lines.push(line));
  });

  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it("prints the first error of each stage at once, and keeps no timer for it", () => {
    const print = printErrors();
    print("a", { stage: "publish" });
    print("b", { stage: "log" });
    expect(lines).toEqual([
      [FIRST("publish"), "a"],
      [FIRST("log"), "b"],
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("prints later ones once a minute, as a count and the latest, with one timer for all stages", () => {
    const print = printErrors();
    for (const error of ["a", "b", "c"]) print(error, { stage: "publish" });
    vi.advanceTimersByTime(20_000);
    print("d", { stage: "log" });
    print("e", { stage: "log" });
    expect(vi.getTimerCount()).toBe(1);
    lines = [];
    vi.advanceTimersByTime(39_000);
    expect(lines).toEqual([]);
    vi.advanceTimersByTime(1_002);
    expect(lines).toEqual([
      ["tidewire: 2 further background errors (publish) in the last minute, the latest:", "c"],
    ]);
    vi.advanceTimersByTime(20_002);
    expect(lines.slice(1)).toEqual([
      ["tidewire: 1 further background error (log) in the last minute, the latest:", "e"],
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("prints at most one line a minute per stage, however long errors continue", () => {
    const print = printErrors();
    for (let second = 0; second < 600; second++) {
      print(second, { stage: "write" });
      vi.advanceTimersByTime(1_000);
    }
    expect(lines.length).toBeLessThanOrEqual(11);
    expect(lines.length).toBeGreaterThanOrEqual(10);
  });

  it("prints the next error at once after a quiet minute", () => {
    const print = printErrors();
    print("a", { stage: "log" });
    vi.advanceTimersByTime(60_001);
    print("b", { stage: "log" });
    expect(lines.at(-1)).toEqual([FIRST("log"), "b"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("keeps neither the process nor a request alive", () => {
    vi.useRealTimers();
    const timers = vi.spyOn(globalThis, "setTimeout");
    const context = new AsyncLocalStorage<string>();
    const print = printErrors();
    context.run("request", () => {
      print("a", { stage: "log" });
      print("b", { stage: "log" });
    });
    const [made] = timers.mock.results;
    const timer = made?.value as NodeJS.Timeout;
    expect(timer.hasRef()).toBe(false);
    clearTimeout(timer);
  });

  it("is shared by the whole process", () => {
    expect(DEFAULTS.onError).toBeTypeOf("function");
  });
});
