import { createHub, memoryLog } from "@tidewire/core";
import type { Hub, Log } from "@tidewire/core";
import type { LogEntry, LogFollower } from "@tidewire/core/log";
import { createHub as createExpressHub, sse, sseHandler } from "@tidewire/express";
import { faultyLog, logConformance, openStream } from "@tidewire/testing";
import type { FaultyLog, TestStream } from "@tidewire/testing";
import express from "express";
import { afterEach, describe, expect, it, test } from "vitest";
import { DistantHistory } from "../contracts/distant-history.js";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Served {
  readonly log: FaultyLog;
  readonly hub: Pick<Hub, "publish" | "stats">;
  readonly errors: unknown[];
  readonly open: () => Promise<TestStream>;
}

function serve(log: FaultyLog): Served {
  const errors: unknown[] = [];
  const hub = createExpressHub({ log, onError: (error) => void errors.push(error) });
  closers.push(() => hub.close());
  const app = express();
  app.use(sse({ hub }));
  app.get("/news", sseHandler("news"));
  const open = async (): Promise<TestStream> => {
    const stream = await openStream(app, "/news");
    closers.push(() => stream.close());
    return stream;
  };
  return { log, hub, errors, open };
}

const LOGS = {
  "memoryLog()": () => faultyLog(),
  "a log with a past": () => faultyLog(new DistantHistory().log()),
};

describe.each(Object.entries(LOGS))("faultyLog() around %s", (_name, make) => {
  it("rejects what is published until it is restored", async () => {
    const { log, hub, errors, open } = serve(make());
    const stream = await open();
    log.reject();
    await expect(hub.publish("news", "1")).rejects.toMatchObject({
      code: "ERR_SSE_LOG_REJECTED",
      statusCode: 503,
    });
    expect(errors).toHaveLength(1);
    expect(hub.stats().log.lastError).toBe(errors[0]);
    log.restore();
    await hub.publish("news", "2");
    expect((await stream.next()).text).toBe("2");
  });

  it("loses the answer to what is published, which arrives", async () => {
    const { log, hub, open } = serve(make());
    const stream = await open();
    log.reject("ERR_SSE_LOG_UNKNOWN");
    await expect(hub.publish("news", "1")).rejects.toMatchObject({ code: "ERR_SSE_LOG_UNKNOWN" });
    expect((await stream.next()).text).toBe("1");
  });

  it("hangs until it is restored, and then adds everything in order", async () => {
    const { log, hub, open } = serve(make());
    const stream = await open();
    log.hang();
    const published = ["1", "2", "3"].map((text) => hub.publish("news", text));
    await stream.quiet(50);
    expect(hub.stats().log.state).toBe("down");
    log.restore();
    await Promise.all(published);
    for (const text of ["1", "2", "3"]) expect((await stream.next()).text).toBe(text);
    expect(hub.stats().log.state).toBe("live");
  });

  it("settles what hangs when it is closed", async () => {
    const log = make();
    const hub = createHub({ log, onError: () => {} });
    log.hang();
    const published = hub.publish("news", "1");
    await hub.close();
    await expect(published).rejects.toMatchObject({ code: "ERR_SSE_CLOSED" });
  });

  it.each([
    ["fork", "fork", "unknown"],
    ["trim", "trimmed", "trimmed"],
  ] as const)(
    "%ss: one reset for open streams, one for clients that come back",
    async (command, open, back) => {
      const { log, hub, open: openNews } = serve(make());
      const [stream, away] = [await openNews(), await openNews()];
      await hub.publish("news", "1");
      await stream.next();
      await away.next();
      away.cut();
      await log[command]();
      expect(await stream.nextReset()).toMatchObject({ reason: open, channels: ["news"] });
      await hub.publish("news", "2");
      expect((await stream.next()).text).toBe("2");
      await away.resume();
      expect(await away.nextReset()).toMatchObject({ reason: back });
      stream.cut();
      await hub.publish("news", "3");
      await stream.resume();
      expect((await stream.next()).text).toBe("3");
      expect(stream.resets).toHaveLength(1);
    },
  );
});

describe("faultyLog() without a fault", () => {
  logConformance(() => faultyLog(), { test, withinMs: 15_000 });
});

describe("faultyLog() without a fault around a log with a past", () => {
  logConformance(
    () => {
      const history = new DistantHistory();
      const log = faultyLog(history.log());
      const breakAppends = async (): Promise<() => Promise<void>> => {
        log.reject();
        return async () => log.restore();
      };
      return { log, other: () => faultyLog(history.log()), breakAppends };
    },
    { test, withinMs: 15_000 },
  );
});

/** @returns Why tests of the suite fail on a log, by their names. */
async function failuresOn(makeLog: () => Log): Promise<Map<string, string>> {
  const failures = new Map<string, string>();
  for (const { name, run } of logConformance(makeLog, { withinMs: 200 })) {
    await run().catch((error: unknown) => void failures.set(name, (error as Error).message));
    if (failures.size === 2) break;
  }
  return failures;
}

it("logConformance says what it has waited for when a log loses an event or never answers", async () => {
  const lossy = await failuresOn(() => {
    const log = memoryLog();
    let count = 0;
    const start = log.start.bind(log);
    const entries = (follower: LogFollower, batch: readonly LogEntry[]): boolean =>
      ++count === 3 || follower.entries(batch);
    return Object.assign(log, {
      start: (follower: LogFollower) =>
        start({ ...follower, entries: (batch) => entries(follower, batch) }),
    });
  });
  expect([...lossy.values()]).toEqual([
    "Waited 200 ms for 5 entries, got 4",
    "Waited 200 ms for 200 entries, got 199",
  ]);
  const never = (): Promise<never> => new Promise(() => {});
  for (const name of ["append", "close"] as const) {
    const silent = await failuresOn(() => Object.assign(memoryLog(), { [name]: never }));
    const message = "Waited 200 ms for a call of the log to settle";
    expect([...silent.values()]).toEqual([message, message]);
  }
  const [missing] = (await failuresOn(() => undefined as never)).values();
  expect(missing).toBe("Expected a log, got undefined");
});

it("faultyLog() takes the log in memory by default", () => {
  expect(faultyLog().past).toBe(memoryLog().past);
});
