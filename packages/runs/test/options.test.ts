import { SseError } from "@tidewire/core";
import { describe, expect, it } from "vitest";
import { createRuns, memoryTapes } from "../src/index.js";
import type { FollowOptions, FollowingSession, RunsOptions, StartOptions } from "../src/index.js";

/** Gives a value a wrong type, as a JavaScript program may. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- Reads better than `as unknown as`.
function untyped<T>(value: unknown): T {
  return value as T;
}

async function messageOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof SseError && error.code === "ERR_SSE_INVALID_OPTION") return error.message;
    throw error;
  }
  throw new Error("Nothing was thrown");
}

describe("createRuns()", () => {
  it.each<[object, string]>([
    [{ abandon: 1 }, "Unknown option `abandon`. Did you mean `abandonMs`?"],
    [{ tape: 1 }, "Unknown option `tape`. Did you mean `tapes`?"],
    [{ abandonMs: 0 }, "Expected `abandonMs` to be false or a whole number >= 1, got 0 (number)"],
    [
      { abandonMs: true },
      "Expected `abandonMs` to be false or a whole number >= 1, got true (boolean)",
    ],
    [{ keepMs: -1 }, "Expected `keepMs` to be a whole number >= 0, got -1 (number)"],
    [
      { keepMs: 3e9 },
      "Expected `keepMs` to be a whole number from 0 to 2147483647, got 3000000000 (number)",
    ],
    [{ maxBytes: "4 MiB" }, 'Expected `maxBytes` to be a whole number >= 1, got "4 MiB" (string)'],
    [{ maxRuns: 0 }, "Expected `maxRuns` to be a whole number >= 1, got 0 (number)"],
    [
      { maxEventBytes: 1.5 },
      "Expected `maxEventBytes` to be a whole number >= 1, got 1.5 (number)",
    ],
    [{ serialize: {} }, "Expected `serialize` to be a function, got an object"],
    [{ verbatimStrings: 1 }, "Expected `verbatimStrings` to be true or false, got 1 (number)"],
    [{ onError: "log" }, 'Expected `onError` to be a function, got "log" (string)'],
    [
      { tapes: memoryTapes },
      "Expected `tapes` to be memoryTapes() or another store of tapes, got a function",
    ],
    [{ tapes: null }, "Expected `tapes` to be memoryTapes() or another store of tapes, got null"],
    [[], "Expected the options of createRuns() to be an object, got an array"],
  ])("refuses %j", async (options, message) => {
    expect(await messageOf(() => createRuns(untyped<RunsOptions>(options)))).toBe(message);
  });

  it("takes undefined as the default", () => {
    const runs = createRuns({
      tapes: undefined,
      abandonMs: undefined,
      keepMs: undefined,
      maxBytes: undefined,
      maxRuns: undefined,
      maxEventBytes: undefined,
      serialize: undefined,
      verbatimStrings: undefined,
      onError: undefined,
    });
    expect(runs).toBeInstanceOf(createRuns().constructor);
  });
});

describe("memoryTapes()", () => {
  it.each<[object, string]>([
    [{ maxBytes: 1 }, "Unknown option `maxBytes`. Expected `maxKeptBytes`"],
    [{ maxKeptBytes: -1 }, "Expected `maxKeptBytes` to be a whole number >= 0, got -1 (number)"],
  ])("refuses %j", async (options, message) => {
    expect(await messageOf(() => memoryTapes(untyped(options)))).toBe(message);
  });

  it("drops the tapes that ended first when the kept ones are too large", async () => {
    const runs = createRuns({ tapes: memoryTapes({ maxKeptBytes: 150 }) });
    for (const key of ["a", "b", "c"]) {
      await runs.start(key, () => ["1234567890"]);
      for await (const event of runs.read(key)) void event;
    }
    expect(await runs.state("a")).toBeUndefined();
    expect(await runs.state("b")).toMatchObject({ state: "done" });
    expect(await runs.state("c")).toMatchObject({ state: "done" });
    await runs.close();
  });
});

describe("The arguments of runs", () => {
  const runs = createRuns();
  const session = untyped<FollowingSession>({ complete() {}, lastEventId: "" });

  it.each<[string, () => unknown, string]>([
    [
      "a source instead of a function",
      () => runs.start("a", untyped<() => string[]>(["1"])),
      "Expected `source` to be a function that returns the source, got an array",
    ],
    [
      "an unknown option of start",
      () => runs.start("a", () => [], untyped<StartOptions<never>>({ mapp: 1 })),
      "Unknown option `mapp`. Did you mean `map`?",
    ],
    [
      "a map that is no function",
      () => runs.start("a", () => [], untyped<StartOptions<never>>({ map: 1 })),
      "Expected `map` to be a function, got 1 (number)",
    ],
    [
      "a limit of start",
      () => runs.start("a", () => [], { maxBytes: 0 }),
      "Expected `maxBytes` to be a whole number >= 1, got 0 (number)",
    ],
    [
      "no session",
      () => runs.follow("a", untyped(undefined)),
      "Expected `session` to be a session such as `res.sse`, got undefined",
    ],
    [
      "a response instead of a session",
      () => runs.follow("a", untyped({ write() {} })),
      "Expected `session` to be a session such as `res.sse`, got an object",
    ],
    [
      "an unknown option of follow",
      () => runs.follow("a", session, untyped<FollowOptions>({ from: 1 })),
      "Unknown option `from`. Expected one of `end`, `after`",
    ],
    [
      "an end that is no function",
      () => runs.follow("a", session, untyped<FollowOptions>({ end: "[DONE]" })),
      'Expected `end` to be a function, got "[DONE]" (string)',
    ],
    [
      "a negative position",
      () => runs.follow("a", session, { after: -1 }),
      "Expected `after` to be an id or a whole number >= 0, got -1 (number)",
    ],
    [
      "a position that is not a number",
      () => runs.follow("a", session, { after: Number("abc") }),
      "Expected `after` to be an id or a whole number >= 0, got NaN (number)",
    ],
    [
      "a signal that is none",
      () => runs.read("a", untyped({ signal: true })),
      "Expected `signal` to be an AbortSignal, got true (boolean)",
    ],
    [
      "a prefix that is no text",
      () => runs.list(untyped({ prefix: 1 })),
      "Expected `prefix` to be a string, got 1 (number)",
    ],
    [
      "no limit",
      () => runs.list({ limit: 0 }),
      "Expected `limit` to be a whole number >= 1, got 0 (number)",
    ],
    [
      "an unknown option of close",
      () => runs.close(untyped({ drain: 1 })),
      "Unknown option `drain`. Did you mean `drainMs`?",
    ],
    [
      "no key",
      () => runs.stop(""),
      "Expected the key of a run to be a string that is not empty and is valid Unicode",
    ],
  ])("refuse %s", async (_name, run, message) => {
    expect(await messageOf(run)).toBe(message);
  });
});
