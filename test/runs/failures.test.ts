// How runs end, on plain node:http. Each row of the table of failures in docs/guide/runs.md names a test.
import { AsyncLocalStorage } from "node:async_hooks";
import { Readable } from "node:stream";
import { ReadableStream } from "node:stream/web";
import { setTimeout as delay } from "node:timers/promises";
import { createRuns, memoryTapes } from "@tidewire/runs";
import type {
  FollowOptions,
  OpenRunSource,
  RunEvent,
  Runs,
  RunsOptions,
  RunSource,
  Tapes,
} from "@tidewire/runs";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, knock, request, within } from "../client.js";
import { BINDINGS } from "../contracts/bindings.js";
import { Faucet } from "./faucet.js";
import { dataOf, eventsOf, serveRuns } from "./served-runs.js";
import type { ServedRuns } from "./served-runs.js";

const closers: (() => Promise<void>)[] = [];
const errors: { error: unknown; stage: string; key: string }[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await within("something to close", close());
  errors.splice(0);
});

function create(options: RunsOptions = {}): Runs {
  const runs = createRuns({
    onError: (error, context) => void errors.push({ error, ...context }),
    ...options,
  });
  closers.push(() => runs.close());
  return runs;
}

async function serve(runs: Runs, follow: FollowOptions = {}): Promise<ServedRuns> {
  const server = await serveRuns(BINDINGS[0]!, runs, follow);
  closers.push(() => server.close());
  return server;
}

/** Reads a run to its end. */
async function readAll(runs: Runs, key: string): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of runs.read(key)) events.push(event);
  return events;
}

/** Starts a run and keeps the signal of its source. */
async function startWith<Item>(
  runs: Runs,
  key: string,
  source: RunSource<Item>,
): Promise<AbortSignal> {
  let given: AbortSignal | undefined;
  await runs.start(key, ({ signal }) => {
    given = signal;
    return source;
  });
  return given!;
}

/** Another process's view of a store, which stays open when that process closes it. */
function shared(tapes: Tapes): Tapes {
  return {
    create: (key, terms, cancel) => tapes.create(key, terms, cancel),
    open: (key) => tapes.open(key),
    stop: (key) => tapes.stop(key),
    state: (key) => tapes.state(key),
    list: (query) => tapes.list(query),
    close: async () => {},
  };
}

/** Why a signal was aborted. */
function causeOf({ reason }: AbortSignal): unknown {
  expect(reason).toMatchObject({ name: "AbortError" });
  return (reason as DOMException).cause;
}

describe("start()", () => {
  it("begins one run of a key: a second start finds it and does not call its source", async () => {
    const runs = create();
    let calls = 0;
    const open = (): Faucet => {
      calls += 1;
      return new Faucet();
    };
    const results = await Promise.all(Array.from({ length: 10 }, () => runs.start("a", open)));
    expect(results.filter(({ started }) => started)).toHaveLength(1);
    expect(calls).toBe(1);
    expect(await runs.start("b", open)).toEqual({ started: true });
  });

  it("begins another run as soon as the earlier one has ended", async () => {
    const runs = create();
    await runs.start("a", () => ["1"]);
    await readAll(runs, "a");
    const first = await runs.state("a");
    expect(await runs.start("a", () => ["2"])).toEqual({ started: true });
    expect(await readAll(runs, "a")).toMatchObject([{ data: "2" }, { outcome: "done" }]);
    expect((await runs.state("a"))!.runId).not.toBe(first!.runId);
  });

  it("resolves once the run exists, not when it ends", async () => {
    const runs = create();
    expect(await runs.start("a", () => new Faucet())).toEqual({ started: true });
    expect(await runs.state("a")).toMatchObject({ state: "running", items: 0 });
  });

  it("tells the source its key, its run id and a signal", async () => {
    const runs = create();
    const contexts: unknown[] = [];
    await runs.start("chat 1", (context) => {
      contexts.push(context);
      return [];
    });
    const { runId } = (await runs.state("chat 1"))!;
    expect(contexts).toEqual([{ key: "chat 1", runId, signal: expect.any(AbortSignal) }]);
    expect(runId).toMatch(/^chat~201\.[\w-]{12}$/);
  });

  it("runs the source in the async context of its caller", async () => {
    const runs = create();
    const storage = new AsyncLocalStorage<string>();
    await storage.run("request", () =>
      runs.start("a", async function* () {
        await delay(1);
        yield storage.getStore() ?? "none";
      }),
    );
    expect(await readAll(runs, "a")).toMatchObject([{ data: "request" }, { outcome: "done" }]);
  });

  it("calls what stops the source in the async context of its caller", async () => {
    const runs = create();
    const storage = new AsyncLocalStorage<string>();
    const contexts: unknown[] = [];
    const note = (): void => void contexts.push(storage.getStore());
    await storage.run("request", () =>
      runs.start("a", ({ signal }) => {
        signal.addEventListener("abort", note);
        return new ReadableStream<string>({ cancel: note });
      }),
    );
    await delay(1);
    await storage.run("another request", () => runs.stop("a"));
    expect(contexts).toEqual(["request", "request"]);
  });

  it.each<[string, OpenRunSource<string | Uint8Array>]>([
    ["an iterable", () => ["a", "\u00e4"]],
    [
      "an async generator",
      async function* () {
        yield "a";
        yield "\u00e4";
      },
    ],
    ["a promise of an iterable", async () => ["a", "\u00e4"]],
    ["a web stream", () => ReadableStream.from(["a", "\u00e4"])],
    ["a Node stream", () => Readable.from(["a", "\u00e4"])],
    [
      "bytes that split a character",
      () => [new Uint8Array([0x61]), new Uint8Array([0xc3]), new Uint8Array([0xa4])],
    ],
  ])("reads %s", async (_name, source) => {
    const runs = create();
    await runs.start("a", source, (item) => item);
    expect(await readAll(runs, "a")).toMatchObject([
      { type: "item", data: "a" },
      { type: "item", data: "\u00e4" },
      { type: "end", outcome: "done" },
    ]);
  });

  it("skips items for which map returns undefined, and takes options in place of map", async () => {
    const runs = create();
    await runs.start("a", () => [1, 2, 3], { map: (n) => (n === 2 ? undefined : { data: n }) });
    expect(await readAll(runs, "a")).toMatchObject([{ data: "1" }, { data: "3" }, {}]);
  });

  it("lets the event loop go on while a source never waits", async () => {
    const runs = create({ maxBytes: 100_000_000 });
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    await runs.start("a", function* () {
      for (let index = 0; index < 200_000; index++) yield `${index}`;
    });
    const end = await readAll(runs, "a");
    clearInterval(timer);
    expect(end).toHaveLength(200_001);
    expect(turns).toBeGreaterThan(3);
  });

  it("rejects beyond maxRuns with a status of 503, until a run has ended", async () => {
    const runs = create({ maxRuns: 2 });
    const faucet = new Faucet();
    await runs.start("a", () => faucet);
    await runs.start("b", () => new Faucet());
    await expect(runs.start("c", () => [])).rejects.toMatchObject({
      code: "ERR_SSE_RUNS_FULL",
      statusCode: 503,
    });
    // A client that asks again follows the run that is going on.
    expect(await runs.start("b", () => [])).toEqual({ started: false });
    faucet.end();
    await readAll(runs, "a");
    await delay(1);
    expect(await runs.start("c", () => [])).toEqual({ started: true });
  });
});

describe("A run", () => {
  it("ends as failed if its source throws: onError gets the error, clients do not", async () => {
    const runs = create();
    const { follow } = await serve(runs);
    const faucet = new Faucet().give("1");
    await runs.start("a", () => faucet);
    const client = await follow("a");
    await client.until("data: 1\n\n");
    const error = new Error("secret: the key is 4711");
    faucet.end({ error });
    await client.rest();
    expect(client.text).not.toContain("secret");
    expect(eventsOf(client)).toMatchObject([{ data: "1" }, { event: "sse-complete" }]);
    expect(errors).toEqual([{ error, stage: "source", key: "a" }]);
    expect(await runs.state("a")).toMatchObject({ state: "failed", error: error.message });
  });

  it.each([
    ["undefined", undefined],
    ["an object, as SDKs take it from a response", { type: "overloaded_error" }],
  ])("ends as failed if its source throws an error whose message is %s", async (_, message) => {
    const runs = create();
    const error = Object.assign(new Error("a"), { message });
    await runs.start("a", () => {
      throw error;
    });
    expect(await within("the end", readAll(runs, "a"))).toMatchObject([{ outcome: "failed" }]);
    expect(errors).toEqual([{ error, stage: "source", key: "a" }]);
  });

  it("sends what the application makes of an error", async () => {
    const runs = create();
    const { follow } = await serve(runs, {
      end: ({ outcome, error }) => ({ event: outcome, data: { wasOverloaded: error === "529" } }),
    });
    await runs.start("a", () => {
      throw new Error("529");
    });
    const client = await follow("a");
    expect(eventsOf({ text: await client.rest() })).toMatchObject([
      { event: "failed", data: '{"wasOverloaded":true}' },
    ]);
  });

  it.each<[string, OpenRunSource<unknown>, ((item: unknown) => never) | undefined, string]>([
    [
      "the function throws",
      () => {
        throw new Error("no");
      },
      undefined,
      "no",
    ],
    [
      "the function rejects",
      async () => {
        throw new Error("no");
      },
      undefined,
      "no",
    ],
    [
      "map throws",
      () => ["1"],
      () => {
        throw new Error("no");
      },
      "no",
    ],
    [
      "an item has an invalid event type",
      () => [{ event: "a\nb", data: "" }],
      undefined,
      "`event`",
    ],
    [
      "an item has a reserved event type",
      () => [{ event: "sse-reset", data: "" }],
      undefined,
      "reserved",
    ],
    ["an item has an id", () => [{ id: "1", data: "" }], undefined, "position"],
    ["an item has no data", () => [{ event: "a" }], undefined, "`data`"],
    ["an item is no message", () => [17], undefined, "message"],
    ["an item is too large", () => ["x".repeat(2_000_000)], undefined, "maxEventBytes"],
    ["the source is a string", () => "text" as unknown as Iterable<unknown>, undefined, "iterable"],
    ["the source is null", () => null as unknown as Iterable<unknown>, undefined, "iterable"],
    [
      "the source is an object that is no source",
      () => ({ data: "text" }) as unknown as Iterable<unknown>,
      undefined,
      "iterable",
    ],
    [
      "the source is undefined",
      () => undefined as unknown as Iterable<unknown>,
      undefined,
      "iterable",
    ],
  ])("ends as failed if %s", async (_name, source, map, message) => {
    const runs = create();
    await runs.start("a", source, map);
    expect((await readAll(runs, "a")).at(-1)).toEqual({
      type: "end",
      outcome: "failed",
      error: expect.stringContaining(message),
    });
    expect(errors).toMatchObject([{ stage: "source", key: "a" }]);
  });

  it("ends as failed if map returns a promise", async () => {
    const runs = create();
    const map = async (): Promise<string> => {
      throw new Error("late");
    };
    await runs.start("a", () => ["1"], map as unknown as () => string);
    expect((await readAll(runs, "a")).at(-1)).toMatchObject({ outcome: "failed" });
  });

  it("ends as failed beyond maxBytes, and its signal aborts", async () => {
    const runs = create({ maxBytes: 150 });
    const faucet = new Faucet().give("12345", "67890");
    const signal = await startWith(runs, "a", faucet);
    await eventually("two items", () => faucet.asked === 3);
    expect(await runs.state("a")).toMatchObject({ state: "running", items: 2 });
    faucet.give("1");
    const events = await readAll(runs, "a");
    expect(events).toMatchObject([
      { data: "12345" },
      { data: "67890" },
      {
        outcome: "failed",
        error: 'Expected the run "a" to have at most 150 bytes (`maxBytes`)',
      },
    ]);
    expect(causeOf(signal)).toBe("failed");
    expect(faucet.isLeft).toBe(true);
  });

  it("is stopped by a call: its signal aborts, its source is left, followers get the end", async () => {
    const runs = create();
    const { follow } = await serve(runs, { end: ({ outcome }) => outcome });
    const faucet = new Faucet().give("1");
    const signal = await startWith(runs, "a", faucet);
    const client = await follow("a");
    await client.until("data: 1\n\n");
    expect(await runs.stop("a")).toBe(true);
    expect(causeOf(signal)).toBe("stopped");
    expect(faucet.isLeft).toBe(true);
    expect(eventsOf({ text: await client.rest() }).map(({ data }) => data)).toEqual([
      "1",
      "stopped",
    ]);
    expect(await runs.stop("a")).toBe(false);
    expect(errors).toEqual([]);
  });

  it("lets its source store what it has so far, however it ends", async () => {
    const runs = create({ maxBytes: 150 });
    const stored = new Map<string, string>();
    async function* storing(
      key: string,
      items: (signal: AbortSignal) => AsyncIterable<string>,
      signal: AbortSignal,
    ): AsyncGenerator<string> {
      let text = "";
      try {
        for await (const item of items(signal)) {
          text += item;
          yield item;
        }
      } finally {
        stored.set(key, text);
      }
    }
    const sources: Record<string, (signal: AbortSignal) => AsyncIterable<string>> = {
      done: async function* () {
        yield "1";
        yield "2";
      },
      failed: async function* () {
        yield "1";
        throw new Error("no");
      },
      large: async function* () {
        for (const item of ["1", "2", "3"]) yield item;
      },
      stopped: async function* (signal) {
        yield "1";
        yield await delay(60_000, "never", { signal });
      },
    };
    for (const [key, items] of Object.entries(sources)) {
      await runs.start(key, ({ signal }) => storing(key, items, signal));
    }
    for (const key of ["done", "failed"]) {
      await readAll(runs, key);
      // A client that has the end may ask for it at once.
      expect(stored.get(key)).toBe(key === "done" ? "12" : "1");
    }
    expect(await runs.read("stopped").next()).toMatchObject({ value: { data: "1" } });
    await runs.stop("stopped");
    await eventually("all to be stored", () => stored.size === 4);
    expect(stored.get("stopped")).toBe("1");
    expect(stored.get("large")).toBe("123");
    expect(await runs.state("large")).toMatchObject({ state: "failed", items: 2 });
  });

  it("ends although its source ignores the signal", async () => {
    const runs = create();
    let isThere = false;
    // oxlint-disable-next-line require-yield -- It hangs first.
    await runs.start("a", async function* () {
      isThere = true;
      await new Promise(() => {});
    });
    await eventually("the source to begin", () => isThere);
    expect(await runs.stop("a")).toBe(true);
    expect(await readAll(runs, "a")).toMatchObject([{ outcome: "stopped" }]);
    await runs.start("b", () => new Promise<never>(() => {}));
    expect(await runs.stop("b")).toBe(true);
    expect(await readAll(runs, "b")).toMatchObject([{ outcome: "stopped" }]);
  });

  it("leaves a source that arrives after the stop", async () => {
    const runs = create();
    const faucet = new Faucet();
    let arrive: ((source: Faucet) => void) | undefined;
    await runs.start(
      "a",
      () =>
        new Promise<Faucet>((resolve) => {
          arrive = resolve;
        }),
    );
    await runs.stop("a");
    arrive!(faucet);
    await eventually("the source to be left", () => faucet.isLeft);
    expect(faucet.asked).toBe(0);
  });

  it("does not report the abort of its own source", async () => {
    const runs = create();
    const signal = await new Promise<AbortSignal>((resolve) => {
      void runs.start("a", async function* (context) {
        resolve(context.signal);
        yield await delay(60_000, "never", { signal: context.signal });
      });
    });
    await runs.stop("a");
    expect(signal.aborted).toBe(true);
    await delay(20);
    expect(errors).toEqual([]);
  });

  it("does not report that it has destroyed a Node stream", async () => {
    const runs = create();
    const stream = new Readable({ read() {} });
    stream.push("1");
    await startWith(runs, "a", stream);
    await delay(1);
    await runs.stop("a");
    await eventually("the end of the stream", () => stream.closed);
    await delay(20);
    expect(errors).toEqual([]);
  });

  it("reports what a source fails with after its run has ended", async () => {
    const runs = create();
    const error = new Error("cannot stop");
    const source = new ReadableStream<string>({
      cancel() {
        throw error;
      },
    });
    await startWith(runs, "a", source);
    await delay(1);
    await runs.stop("a");
    await eventually("the error", () => errors.length > 0);
    expect(errors).toEqual([{ error, stage: "source", key: "a" }]);
    expect(await runs.state("a")).toMatchObject({ state: "stopped" });
  });
});

describe("follow()", () => {
  it("gives the tape back if its client has left while the store was asked", async () => {
    const tapes = memoryTapes();
    let opened = 0;
    const slow: Tapes = {
      ...shared(tapes),
      open: async (key) => {
        await delay(40);
        opened += 1;
        return tapes.open(key);
      },
    };
    const runs = create({ tapes: slow, abandonMs: 100 });
    const { served, results } = await serve(runs);
    const signal = await startWith(runs, "a", new Faucet().give("1"));
    const clients = Array.from({ length: 5 }, () => knock(served, "/a"));
    await delay(15);
    for (const client of await Promise.all(clients)) client.cut();
    await eventually("all to settle", () => results.length === 5);
    expect(opened).toBe(5);
    expect(results).toEqual([false, false, false, false, false]);
    await eventually("the run to be abandoned", () => signal.aborted);
    expect(causeOf(signal)).toBe("abandoned");
  });

  it("reports nothing if the runs close while the store is asked", async () => {
    const tapes = memoryTapes();
    const asked: (() => void)[] = [];
    const slow: Tapes = {
      ...shared(tapes),
      open: async (key) => {
        await new Promise<void>((resolve) => asked.push(resolve));
        return tapes.open(key);
      },
      close: () => tapes.close(),
    };
    const runs = create({ tapes: slow });
    const { served, results } = await serve(runs);
    const browser = await knock(served, "/a", { accept: "text/event-stream" });
    await eventually("it to be asked", () => asked.length === 1);
    const other = await knock(served, "/a");
    await eventually("it to be asked again", () => asked.length === 2);
    await runs.close();
    for (const answer of asked) answer();
    await eventually("both to settle", () => results.length === 2);
    for (const client of [browser, other]) client.cut();
    expect(results).toMatchObject([false, { statusCode: 503, message: "The runs are closed" }]);
    expect(errors).toEqual([]);
  });

  it("calls end in the async context of its request, and the source in that of the start", async () => {
    const runs = create();
    const storage = new AsyncLocalStorage<string>();
    const contexts: unknown[] = [];
    const faucet = new Faucet();
    await storage.run("start", () =>
      runs.start(
        "a",
        () => faucet,
        (item) => {
          contexts.push(storage.getStore());
          return item;
        },
      ),
    );
    const served = await BINDINGS[0]!.serve(({ sse }) =>
      storage.run("request", () =>
        runs.follow("a", sse, {
          end: () => {
            contexts.push(storage.getStore());
            return "[DONE]";
          },
        }),
      ),
    );
    closers.push(() => served.close());
    const client = await request(served, "/");
    // From outside of both.
    faucet.give("1").end();
    await client.rest();
    expect(contexts).toEqual(["start", "request"]);
  });
});

describe("close()", () => {
  it("lets runs end for drainMs, and begins no more", async () => {
    const runs = create();
    const { follow } = await serve(runs, { end: ({ outcome }) => outcome });
    const faucet = new Faucet().give("1");
    await runs.start("a", () => faucet);
    const client = await follow("a");
    await client.until("data: 1\n\n");
    const closed = runs.close({ drainMs: 5_000 });
    await expect(runs.start("b", () => [])).rejects.toMatchObject({
      code: "ERR_SSE_CLOSED",
      statusCode: 503,
    });
    faucet.give("2").end();
    await within("the runs to close", closed, 1_000);
    expect(eventsOf({ text: await client.rest() }).map(({ data }) => data)).toEqual([
      "1",
      "2",
      "done",
    ]);
  });

  it("ends runs as lost that are still running after drainMs", async () => {
    const runs = create();
    const { follow } = await serve(runs, { end: ({ outcome }) => outcome });
    const faucet = new Faucet().give("1");
    const signal = await startWith(runs, "a", faucet);
    const client = await follow("a");
    await client.until("data: 1\n\n");
    await within("the runs to close", runs.close({ drainMs: 30 }), 1_000);
    expect(causeOf(signal)).toBe("closed");
    expect(faucet.isLeft).toBe(true);
    expect(eventsOf({ text: await client.rest() }).map(({ data }) => data)).toEqual(["1", "lost"]);
  });

  it("closes sessions that follow a tape to which no end comes any more", async () => {
    // As with a run of another process, whose tape this one only reads.
    const tapes = memoryTapes();
    const producing = create({ tapes: shared(tapes) });
    const runs = create({ tapes: shared(tapes) });
    const server = await serve(runs);
    await producing.start("a", () => new Faucet().give("1"));
    const client = await server.follow("a");
    await client.until("data: 1\n\n");
    const reader = runs.read("a", { after: 1 });
    const waiting = reader.next();
    await runs.close();
    await client.rest();
    expect(client.isBroken).toBe(false);
    expect(dataOf(client)).toEqual(["1"]);
    expect(eventsOf(client)).toHaveLength(1);
    expect(await waiting).toEqual({ done: true, value: undefined });
  });

  it("makes all other calls reject in the same words", async () => {
    const runs = create();
    await runs.start("a", () => ["1"]);
    await runs.close();
    const reading = runs.read("a").next();
    for (const call of [runs.stop("a"), runs.state("a"), runs.list(), reading]) {
      await expect(call).rejects.toMatchObject({
        code: "ERR_SSE_CLOSED",
        statusCode: 503,
        message: "The runs are closed",
      });
    }
  });

  it("is idempotent, and keeps its time if a source does not end", async () => {
    const runs = create();
    await runs.start("a", () => new Promise<never>(() => {}));
    const closed = runs.close();
    expect(runs.close({ drainMs: 60_000 })).toBe(closed);
    await within("the runs to close", closed, 1_000);
  });
});

describe("read()", () => {
  it("yields items with the ids that clients get, then the end", async () => {
    const runs = create();
    await runs.start("a", () => [{ event: "token", data: { a: 1 }, retry: 5 }, "2"]);
    const { runId } = (await runs.state("a"))!;
    expect(await readAll(runs, "a")).toEqual([
      { type: "item", id: `${runId}.1`, event: "token", data: '{"a":1}', retry: 5 },
      { type: "item", id: `${runId}.2`, event: "message", data: "2" },
      { type: "end", outcome: "done" },
    ]);
  });

  it("begins after a number, also as text", async () => {
    const runs = create();
    await runs.start("a", () => ["1", "2"]);
    for (const after of [1, "1"]) {
      const { value } = await runs.read("a", { after }).next();
      expect(value).toMatchObject({ data: "2" });
    }
    expect(() => runs.read("a", { after: NaN })).toThrow(
      expect.objectContaining({ code: "ERR_SSE_INVALID_OPTION", statusCode: 400 }),
    );
  });

  it("yields nothing if there is nothing to follow", async () => {
    const runs = create();
    expect(await readAll(runs, "a")).toEqual([]);
    await runs.start("a", () => ["1"]);
    const events: RunEvent[] = [];
    for await (const event of runs.read("a", { after: "b.123456789012.1" })) events.push(event);
    expect(events).toEqual([]);
  });

  it("ends at once when its loop is left while it waits, and the run is unfollowed", async () => {
    const runs = create({ abandonMs: 60 });
    const faucet = new Faucet();
    const signal = await startWith(runs, "a", faucet);
    const reader = runs.read("a");
    const waiting = reader.next();
    await delay(90);
    expect(signal.aborted).toBe(false);
    expect(await reader.return!()).toEqual({ done: true, value: undefined });
    expect(await within("the pending next", waiting, 1_000)).toEqual({
      done: true,
      value: undefined,
    });
    await eventually("the run to be abandoned", () => signal.aborted);
  });

  it("ends without an error when its signal aborts", async () => {
    const runs = create();
    const faucet = new Faucet().give("1");
    await runs.start("a", () => faucet);
    const controller = new AbortController();
    const events: RunEvent[] = [];
    for await (const event of runs.read("a", { signal: controller.signal })) {
      events.push(event);
      setTimeout(() => controller.abort(), 5);
    }
    expect(events).toHaveLength(1);
    for await (const event of runs.read("a", { signal: controller.signal })) events.push(event);
    expect(events).toHaveLength(1);
  });

  it("gives several pending next() their results in order", async () => {
    const runs = create();
    const faucet = new Faucet();
    await runs.start("a", () => faucet);
    const reader = runs.read("a");
    const results = [reader.next(), reader.next(), reader.next(), reader.next()];
    faucet.give("1", "2").end();
    expect(await Promise.all(results)).toMatchObject([
      { value: { data: "1" } },
      { value: { data: "2" } },
      { value: { outcome: "done" } },
      { done: true },
    ]);
  });
});

describe("list()", () => {
  it("lists runs by the beginning of their key", async () => {
    const runs = create();
    await runs.start("chat:1", () => new Faucet());
    await runs.start("chat:2", () => []);
    await runs.start("export:1", () => new Faucet());
    await readAll(runs, "chat:2");
    const chats = await runs.list({ prefix: "chat:" });
    expect(chats.map(({ key, state }) => `${key} ${state}`).toSorted()).toEqual([
      "chat:1 running",
      "chat:2 done",
    ]);
    expect(await runs.list()).toHaveLength(3);
    expect(await runs.list({ limit: 1 })).toHaveLength(1);
  });
});
