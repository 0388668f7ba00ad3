import { describe, expect, it } from "vitest";
import type { Log, LogMessage, PublishOptions } from "../../src/log/log.js";
import { createPublisher } from "../../src/hub/publisher.js";
import { memoryLog } from "../../src/log/memory-log.js";
import { thrownBy } from "../thrown.js";

interface Appended {
  readonly channel: string;
  readonly message: LogMessage;
  readonly options: PublishOptions | undefined;
}

/** A log that other processes read. This test only adds to it. */
function writeOnlyLog(): { readonly log: Log; readonly appended: Appended[]; closed: number } {
  const appended: Appended[] = [];
  const state = {
    appended,
    closed: 0,
    log: {
      start: () => {
        throw new Error("A publisher does not read");
      },
      append: async (channel, message, options) => {
        appended.push({ channel, message, options });
        return `id${appended.length}`;
      },
      compare: () => NaN,
      health: () => ({ state: "connecting", lagMs: 0, reconnects: 0 }),
      close: async () => void (state.closed += 1),
    } satisfies Log,
  };
  return state;
}

describe("createPublisher", () => {
  it("adds events to the log, serialized, and never starts reading it", async () => {
    const { log, appended } = writeOnlyLog();
    const publisher = createPublisher({ log });
    await expect(publisher.publish("a", { event: "e", data: { n: 1 }, retry: 5 })).resolves.toEqual(
      { id: "id1" },
    );
    await publisher.publish("b", "text", { dedupeKey: "k" });
    expect(appended).toEqual([
      { channel: "a", message: { event: "e", data: '{"n":1}', retry: 5 }, options: undefined },
      { channel: "b", message: { data: "text", isString: true }, options: { dedupeKey: "k" } },
    ]);
  });

  it("accepts a serializer and a limit, as a hub does", async () => {
    const { log, appended } = writeOnlyLog();
    const publisher = createPublisher({
      log,
      serialize: () => "s".repeat(50),
      maxEventBytes: 1_000,
    });
    await publisher.publish("a", { data: 1 });
    expect(appended[0]?.message.data).toBe("s".repeat(50));
    expect(thrownBy(() => publisher.publish("a", "x".repeat(1_001))).code).toBe(
      "ERR_SSE_INVALID_DATA",
    );
  });

  it("throws for mistakes before anything is published", () => {
    const { log, appended } = writeOnlyLog();
    const publisher = createPublisher({ log });
    const wrong: [unknown[], string][] = [
      [["", "x"], "ERR_SSE_INVALID_OPTION"],
      [["a", { data: "x", id: "1" }], "ERR_SSE_ID_RESERVED"],
      [["a", { event: "sse-x", data: "x" }], "ERR_SSE_INVALID_FIELD"],
      [["a", "x", { dedupe: "k" }], "ERR_SSE_INVALID_OPTION"],
      [["a", "x", { dedupeKey: "" }], "ERR_SSE_INVALID_OPTION"],
      [["a", "x", { dedupeKey: "k".repeat(257) }], "ERR_SSE_INVALID_OPTION"],
      [["a", "x", { dedupeKey: 1 }], "ERR_SSE_INVALID_OPTION"],
      [["a", "x", null], "ERR_SSE_INVALID_OPTION"],
    ];
    for (const [args, code] of wrong) {
      const publish = publisher.publish.bind(publisher) as (...given: unknown[]) => unknown;
      expect(thrownBy(() => publish(...args)).code, JSON.stringify(args)).toBe(code);
    }
    expect(appended).toEqual([]);
  });

  it("closes the log, and publishes nothing after that", async () => {
    const state = writeOnlyLog();
    const reports: unknown[] = [];
    const onError = (error: unknown): void => void reports.push(error);
    const publisher = createPublisher({ log: state.log, onError });
    await publisher.close();
    expect(state.closed).toBe(1);
    const closed = { code: "ERR_SSE_CLOSED" };
    await expect(publisher.publish("a", "x")).rejects.toMatchObject(closed);
    expect(reports).toMatchObject([closed]);
  });

  it("refuses a log that other processes cannot read", () => {
    expect(thrownBy(() => createPublisher({ log: memoryLog() })).code).toBe(
      "ERR_SSE_INVALID_OPTION",
    );
  });

  it("requires a log, and refuses unknown options", () => {
    const create = createPublisher as unknown as (options?: unknown) => unknown;
    const { log } = writeOnlyLog();
    for (const options of [
      undefined,
      {},
      { log: {} },
      { log, heartbeatMs: 5_000 },
      { log, logg: 1 },
    ]) {
      expect(thrownBy(() => create(options)).code).toBe("ERR_SSE_INVALID_OPTION");
    }
  });
});
