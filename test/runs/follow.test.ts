// Followers in each framework. Each row of the table of failures in docs/guide/runs.md names a test.
import { setTimeout as delay } from "node:timers/promises";
import { SseError } from "@tidewire/core";
import { createRuns, memoryTapes } from "@tidewire/runs";
import type { FollowOptions, Runs, RunsOptions, Tapes } from "@tidewire/runs";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request, within } from "../client.js";
import { BINDINGS } from "../contracts/bindings.js";
import { Faucet } from "./faucet.js";
import { dataOf, eventsOf, lastIdOf, serveRuns } from "./served-runs.js";
import type { ServedRuns } from "./served-runs.js";

describe.each(BINDINGS)("follow() in $name", (binding) => {
  const closers: (() => Promise<void>)[] = [];
  /** Background errors of runs. */
  const errors: unknown[] = [];

  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await within("something to close", close());
    errors.splice(0);
  });

  async function start(
    options: RunsOptions = {},
    follow: FollowOptions = {},
  ): Promise<ServedRuns & { runs: Runs }> {
    const runs = createRuns({ onError: (error) => errors.push(error), ...options });
    closers.push(() => runs.close());
    const server = await serveRuns(binding, runs, follow);
    closers.push(() => server.close());
    return { ...server, runs };
  }

  it("sends the whole run with positions as ids, and its end", async () => {
    const { runs, follow, results } = await start({}, { end: ({ outcome }) => `[${outcome}]` });
    const faucet = new Faucet();
    await runs.start(
      "a",
      () => faucet,
      (token) => ({ event: "token", data: token }),
    );
    const { runId } = (await runs.state("a"))!;
    faucet.give("one", "two\nlines");
    const client = await follow("a");
    await client.until("data: lines\n\n");
    faucet.give("three").end();
    expect(await client.rest()).toBe(
      [
        `event: token\nid: ${runId}.1\ndata: one\n\n`,
        `event: token\nid: ${runId}.2\ndata: two\ndata: lines\n\n`,
        `event: token\nid: ${runId}.3\ndata: three\n\n`,
        "id: ~end\ndata: [done]\n\n",
      ].join(""),
    );
    expect(client.status).toBe(200);
    await eventually("follow to settle", () => results.length > 0);
    expect(results).toEqual([true]);
  });

  it("sends no last message by default, except to EventSource", async () => {
    const { runs, follow } = await start();
    await runs.start("a", () => ["one"]);
    const plain = await follow("a", "", { headers: { accept: "*/*" } });
    expect(eventsOf({ text: await plain.rest() })).toMatchObject([{ data: "one" }]);
    const browser = await follow("a");
    expect(eventsOf({ text: await browser.rest() })).toMatchObject([
      { data: "one" },
      { event: "sse-complete", id: "~end", data: "{}" },
    ]);
  });

  it("connects a client before there is an item", async () => {
    const { runs, follow } = await start();
    const faucet = new Faucet();
    await runs.start("a", () => faucet);
    const client = await follow("a");
    expect(client.status).toBe(200);
    faucet.give("late").end();
    expect(dataOf({ text: await client.rest() })).toEqual(["late"]);
  });

  it("continues after the position of a client that reconnects", async () => {
    const { runs, follow } = await start();
    const faucet = new Faucet();
    await runs.start("a", () => faucet);
    faucet.give("1", "2", "3");
    const first = await follow("a");
    await first.until("data: 2\n\n");
    const at = eventsOf(first)[1]!.id!;
    first.cut();
    faucet.give("4");
    const second = await follow("a", at);
    await second.until("data: 4\n\n");
    faucet.give("5").end();
    expect(dataOf({ text: await second.rest() })).toEqual(["3", "4", "5"]);
  });

  it("continues without a follower: leaving never stops a run", async () => {
    const { runs, follow } = await start();
    const faucet = new Faucet();
    let isAborted = false;
    await runs.start("a", ({ signal }) => {
      signal.addEventListener("abort", () => (isAborted = true));
      return faucet;
    });
    const client = await follow("a");
    faucet.give("1");
    await client.until("data: 1\n\n");
    client.cut();
    await delay(50);
    faucet.give("2", "3").end();
    const later = await follow("a");
    expect(dataOf({ text: await later.rest() })).toEqual(["1", "2", "3"]);
    expect(isAborted).toBe(false);
  });

  it("sends the rest and the end to a client that reconnects after the end", async () => {
    const { runs, follow } = await start({}, { end: () => "[DONE]" });
    await runs.start("a", () => ["1", "2"]);
    const all = await follow("a");
    await all.rest();
    const rest = await follow("a", eventsOf(all)[0]!.id);
    expect(eventsOf({ text: await rest.rest() }).map(({ data }) => data)).toEqual(["2", "[DONE]"]);
    const end = await follow("a", eventsOf(all)[1]!.id);
    expect(eventsOf({ text: await end.rest() }).map(({ data }) => data)).toEqual(["[DONE]"]);
    const over = await follow("a", lastIdOf(all));
    expect(over.status).toBe(204);
  });

  it("answers 204 where there is nothing to follow", async () => {
    const { runs, follow, results } = await start({ keepMs: 40 });
    expect((await follow("none")).status).toBe(204);
    const faucet = new Faucet().give("1");
    await runs.start("a", () => faucet);
    const client = await follow("a");
    faucet.end();
    await client.rest();
    await delay(60);
    expect((await follow("a", eventsOf(client)[0]!.id)).status).toBe(204);
    expect((await follow("a")).status).toBe(204);
    expect(results).toEqual([false, true, false, false]);
  });

  it("answers 204 to the position of an earlier run, and never mixes two runs", async () => {
    const { runs, follow } = await start();
    await runs.start("a", () => ["1", "2"]);
    const first = await follow("a");
    await first.rest();
    const at = eventsOf(first)[0]!.id;
    await runs.start("a", () => ["3", "4"]);
    expect((await follow("a", at)).status).toBe(204);
    const second = await follow("a");
    expect(dataOf({ text: await second.rest() })).toEqual(["3", "4"]);
  });

  it("answers 204 to a position whose tape was lost with its process", async () => {
    const before = await start();
    await before.runs.start("a", () => new Faucet().give("1"));
    const client = await before.follow("a");
    await client.until("data: 1\n\n");
    client.cut("rst");
    const after = await start();
    expect((await after.follow("a", lastIdOf(client))).status).toBe(204);
    await after.runs.start("a", () => ["2"]);
    expect((await after.follow("a", lastIdOf(client))).status).toBe(204);
  });

  it.each(["x", "17", "a.b.3", "~end", "../a", "\u00e4"])(
    "answers 204 to an id that is no position of the run: %s",
    async (id) => {
      const { runs, follow } = await start();
      await runs.start("a", () => ["1"]);
      expect((await follow("a", id)).status).toBe(204);
    },
  );

  it("follows from a number or a position that the application gives", async () => {
    const runs = createRuns();
    closers.push(() => runs.close());
    await runs.start("a", () => ["1", "2", "3"]);
    const { runId } = (await runs.state("a"))!;
    for (const after of [1, `${runId}.1`]) {
      const server = await serveRuns(binding, runs, { after });
      closers.push(() => server.close());
      const client = await server.follow("a", `${runId}.3`);
      expect(dataOf({ text: await client.rest() })).toEqual(["2", "3"]);
    }
    const server = await serveRuns(binding, runs, { after: 0 });
    closers.push(() => server.close());
    const client = await server.follow("a", `${runId}.3`);
    expect(dataOf({ text: await client.rest() })).toEqual(["1", "2", "3"]);
  });

  it("takes a number as text, as it stands in a query", async () => {
    const runs = createRuns();
    closers.push(() => runs.close());
    await runs.start("a", () => ["1", "2", "3"]);
    for (const [after, data] of [
      ["0", ["1", "2", "3"]],
      ["2", ["3"]],
    ] as const) {
      const server = await serveRuns(binding, runs, { after });
      closers.push(() => server.close());
      const client = await server.follow("a");
      expect(dataOf({ text: await client.rest() })).toEqual(data);
    }
    for (const after of ["abc", "-1", "1.5", "99999999999999999999"]) {
      const server = await serveRuns(binding, runs, { after });
      closers.push(() => server.close());
      expect((await server.follow("a")).status).toBe(204);
    }
  });

  it("refuses a position that is neither an id nor a number with a status of 400", async () => {
    const runs = createRuns();
    closers.push(() => runs.close());
    await runs.start("a", () => ["1"]);
    const server = await serveRuns(binding, runs, { after: Number("abc") });
    closers.push(() => server.close());
    const answer = await server.follow("a").then(
      ({ status }) => status,
      () => "cut",
    );
    expect(answer).toBe(binding.hasErrorHandler ? 400 : "cut");
    expect(server.results).toMatchObject([{ code: "ERR_SSE_INVALID_OPTION", statusCode: 400 }]);
  });

  it("says how to follow a run if the session has channels", async () => {
    const runs = createRuns();
    closers.push(() => runs.close());
    await runs.start("a", () => ["1"]);
    const results: unknown[] = [];
    const served = await binding.serve(async ({ sse }) => {
      await sse.subscribe("news");
      results.push(await runs.follow("a", sse).catch((error: unknown) => error));
    });
    closers.push(() => served.close());
    const client = await request(served, "/", { headers: { accept: "text/event-stream" } });
    await client.rest();
    expect(results).toMatchObject([
      {
        code: "ERR_SSE_ID_RESERVED",
        message:
          "A run needs a session without channels: follow it on a stream that has not subscribed",
      },
    ]);
  });

  it("waits for a client that is ahead of the tape", async () => {
    const { runs, follow } = await start();
    const faucet = new Faucet().give("1");
    await runs.start("a", () => faucet);
    const { runId } = (await runs.state("a"))!;
    const client = await follow("a", `${runId}.2`);
    faucet.give("2", "3").end();
    expect(dataOf({ text: await client.rest() })).toEqual(["3"]);
  });

  it("sends a run to many clients at once", async () => {
    const { runs, follow } = await start();
    const faucet = new Faucet();
    await runs.start("a", () => faucet);
    const clients = await Promise.all(Array.from({ length: 20 }, () => follow("a")));
    for (let index = 1; index <= 100; index++) faucet.give(String(index));
    faucet.end();
    const expected = Array.from({ length: 100 }, (_, index) => String(index + 1));
    for (const client of clients) expect(dataOf({ text: await client.rest() })).toEqual(expected);
  });

  it("waits for a client that does not read, and sends it everything once it does", async () => {
    const { runs, follow, served } = await start({ maxBytes: 30_000_000 }, { end: () => "[DONE]" });
    // More than the buffers of both sockets hold.
    const text = "x".repeat(100_000);
    await runs.start("a", () => Array.from({ length: 200 }, () => text));
    const client = await follow("a", "", { paused: true });
    await delay(50);
    expect(served.hub.sessionCount).toBe(1);
    client.resume();
    await client.rest();
    expect(dataOf(client)).toHaveLength(200);
    expect(client.text.endsWith("data: [DONE]\n\n")).toBe(true);
  });

  it("answers HEAD without a body", async () => {
    const { runs, follow } = await start();
    await runs.start("a", () => new Faucet().give("1"));
    const client = await follow("a", "", { method: "HEAD" });
    expect(client.status).toBe(200);
    expect(await client.rest()).toBe("");
  });

  it("sends a run to a client that asks by POST", async () => {
    const { runs, follow } = await start({}, { end: () => "[DONE]" });
    await runs.start("a", () => ["1"]);
    const client = await follow("a", "", {
      method: "POST",
      body: "question",
      headers: { accept: "application/json" },
    });
    expect(eventsOf({ text: await client.rest() }).map(({ data }) => data)).toEqual([
      "1",
      "[DONE]",
    ]);
  });

  it("closes the session with the hub, and the run continues", async () => {
    const { runs, follow, served } = await start();
    const faucet = new Faucet().give("1");
    await runs.start("a", () => faucet);
    const client = await follow("a");
    await client.until("data: 1\n\n");
    await served.hub.close();
    await client.rest();
    expect(eventsOf(client).map(({ data }) => data)).toEqual(["1"]);
    expect(await runs.state("a")).toMatchObject({ state: "running" });
  });

  it("sends text as it is on the tape, whatever the hub does with strings", async () => {
    const runs = createRuns({ verbatimStrings: false });
    closers.push(() => runs.close());
    const server = await serveRuns(binding, runs, {}, { verbatimStrings: false });
    closers.push(() => server.close());
    await runs.start("a", () => [{ data: "text" }, { data: { a: 1 } }, "bare"]);
    const client = await server.follow("a");
    expect(dataOf({ text: await client.rest() })).toEqual(['"text"', '{"a":1}', "bare"]);
  });

  it("rejects if the last message cannot be sent, and ends the stream for good", async () => {
    const { runs, follow, results } = await start({}, { end: () => ({ event: "a\nb", data: "" }) });
    await runs.start("a", () => ["1"]);
    const client = await follow("a");
    await client.rest();
    await eventually("follow to settle", () => results.length > 0);
    expect(results).toMatchObject([{ code: "ERR_SSE_INVALID_FIELD" }]);
    expect(lastIdOf(client)).toBe("~end");
  });

  describe("between runs.close() and hub.close()", () => {
    it("gives an EventSource an empty stream, and reports nothing", async () => {
      const { runs, follow, results, faults } = await start();
      await runs.start("a", () => ["1"]);
      await runs.close();
      const client = await follow("a");
      expect(client.status).toBe(200);
      await client.rest();
      expect(client.isBroken).toBe(false);
      expect(eventsOf(client)).toEqual([]);
      expect(results).toEqual([false]);
      expect(errors).toEqual([]);
      expect(faults).toEqual([]);
    });

    it("rejects for any other client, in the words of start()", async () => {
      const { runs, follow, results } = await start();
      await runs.start("a", () => ["1"]);
      await runs.close();
      const answer = await follow("a", "", { headers: { accept: "*/*" } }).then(
        ({ status }) => status,
        () => "cut",
      );
      expect(answer).toBe(binding.hasErrorHandler ? 503 : "cut");
      const closed = { code: "ERR_SSE_CLOSED", statusCode: 503, message: "The runs are closed" };
      expect(results).toMatchObject([closed]);
      await expect(runs.start("a", () => [])).rejects.toMatchObject(closed);
      expect(errors).toEqual([]);
    });
  });

  describe("if the store cannot be reached", () => {
    const unreachable = (): Tapes => {
      const fail = async (): Promise<never> => {
        throw new SseError("ERR_SSE_CLOSED", "The store is away", { statusCode: 503 });
      };
      return Object.assign(memoryTapes(), { open: fail, create: fail, stop: fail, state: fail });
    };

    it("gives an EventSource an empty stream, after which it reconnects", async () => {
      const { follow, results } = await start({ tapes: unreachable() });
      const client = await follow("a");
      expect(client.status).toBe(200);
      await client.rest();
      expect(client.isBroken).toBe(false);
      expect(eventsOf(client)).toEqual([]);
      expect(results).toEqual([false]);
      expect(errors).toMatchObject([{ message: "The store is away" }]);
    });

    it("rejects for any other client", async () => {
      const { follow, results } = await start({ tapes: unreachable() });
      const answer = await follow("a", "", { headers: { accept: "*/*" } }).then(
        ({ status }) => status,
        () => "cut",
      );
      expect(answer).toBe(binding.hasErrorHandler ? 503 : "cut");
      expect(results).toMatchObject([{ message: "The store is away" }]);
      expect(errors).toEqual([]);
    });

    it("rejects start, stop and state", async () => {
      const { runs } = await start({ tapes: unreachable() });
      for (const call of [runs.start("a", () => []), runs.stop("a"), runs.state("a")]) {
        await expect(call).rejects.toMatchObject({ statusCode: 503 });
      }
    });
  });
});
