import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createHub } from "../../src/hub/hub.js";
import type { Log, LogEntry } from "../../src/log/log.js";
import { NodeUnderTest } from "./node-under-test.js";
import { LogView, SharedLog, randomFrom } from "./shared-log.js";

const SETTINGS = { lingerMs: 500, leaseMs: 6_000 };
const TICK_MS = SETTINGS.leaseMs / 6;

let log: SharedLog;

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"],
  });
  log = new SharedLog(randomFrom(1));
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

function start(maxEventBytes?: number): { view: LogView; node: NodeUnderTest } {
  const view = new LogView(log);
  return { view, node: new NodeUnderTest(view, SETTINGS, maxEventBytes) };
}

/** Entries with some text. */
function entriesWith(text: string): LogEntry[] {
  return log.entries.filter(({ data }) => data.includes(text));
}

describe("Presence", () => {
  it("is answered after a second while the log has no position", async () => {
    const never: Log = {
      start: () => new Promise(() => {}),
      append: () => new Promise(() => {}),
      compare: () => 0,
      health: () => ({ state: "connecting", lagMs: 0, reconnects: 0 }),
      close: async () => {},
    };
    const hub = createHub({ log: never, identify: () => undefined, presence: true });
    const asked = hub.presence("room");
    await pass(1_000);
    expect(await asked).toEqual([]);
  });

  it("ends with a log that fails to start", async () => {
    const append = vi.fn<Log["append"]>(() => new Promise(() => {}));
    const failing: Log = {
      start: () => Promise.reject(new Error("no such database")),
      append,
      compare: () => 0,
      health: () => ({ state: "down", lagMs: 0, reconnects: 0 }),
      close: async () => {},
    };
    const hub = createHub({
      log: failing,
      identify: () => undefined,
      presence: true,
      onError: () => {},
    });
    expect(await hub.presence("room")).toEqual([]);
    await pass(60_000);
    expect(append).not.toHaveBeenCalled();
  });

  it("is appended again if the log has lost it", async () => {
    const [first, second] = [start(), start()];
    await pass(2_000);
    log.lateMs = 500;
    first.node.presence.joined("ada", ["room"]);
    await Promise.resolve();
    expect(entriesWith('"join"')).toHaveLength(1);
    log.fork(1);
    log.lateMs = 30;
    await pass(4 * TICK_MS);
    expect(await second.node.presence.of("room")).toEqual(["ada"]);
    first.node.presence.left("ada", ["room"]);
    await pass(100);
    expect(await second.node.presence.of("room")).toEqual([]);
  });

  it("is asked for again if the log has lost the hello or the answer", async () => {
    const first = start();
    await pass(2_000);
    first.node.presence.joined("ada", ["room"]);
    await pass(100);
    log.lateMs = 500;
    const second = start();
    await Promise.resolve();
    log.fork(1);
    log.lateMs = 30;
    await pass(4 * TICK_MS);
    expect(await second.node.presence.of("room")).toEqual(["ada"]);
    const third = start();
    while (entriesWith('"answer"').length < 2) await pass(1);
    log.lateMs = 500;
    log.fork(1);
    log.lateMs = 30;
    await pass(2 * SETTINGS.leaseMs);
    expect(await third.node.presence.of("room")).toEqual(["ada"]);
  });

  it("reaches a node whose answer left out somebody whose leave was not accepted", async () => {
    const first = start();
    await pass(2_000);
    first.node.presence.joined("ada", ["room"]);
    await pass(100);
    const { view } = first;
    const append = view.append.bind(view);
    let refuse = (): void => {};
    vi.spyOn(view, "append").mockImplementation((channel, message) =>
      channel === "~presence"
        ? append(channel, message)
        : new Promise((_, reject) => {
            refuse = () => reject(new Error("no"));
          }),
    );
    first.node.presence.left("ada", ["room"]);
    const second = start();
    await pass(500);
    expect(await second.node.presence.of("room")).toEqual([]);
    vi.restoreAllMocks();
    first.node.presence.joined("ada", ["room"]);
    refuse();
    await pass(1_500);
    expect(await second.node.presence.of("room")).toEqual(["ada"]);
  });

  it("is not shown twice if it changes before this process knows it", async () => {
    const first = start();
    await pass(2_000);
    first.node.presence.joined("ada", ["room"]);
    const second = start();
    const watcher = second.node.watch("room");
    first.node.presence.joined("bob", ["room"]);
    await pass(2_000);
    expect([...watcher.present].toSorted()).toEqual(["ada", "bob"]);
    expect(watcher.seen).toEqual([]);
  });

  it("does not stay wrong after an answer that arrives late", async () => {
    const first = start();
    await pass(2_000);
    first.node.presence.joined("ada", ["room"]);
    await pass(100);
    const { view } = first;
    const append = view.append.bind(view);
    const late: (() => Promise<string>)[] = [];
    vi.spyOn(view, "append").mockImplementation((channel, message) => {
      if (!message.data.includes("answer")) return append(channel, message);
      late.push(() => append(channel, message));
      return Promise.reject(new Error("unknown"));
    });
    const second = start();
    await pass(500);
    first.node.presence.left("ada", ["room"]);
    await pass(500);
    for (const arrive of late) await arrive();
    await pass(200);
    expect(await first.node.presence.of("room")).toEqual([]);
    expect(await second.node.presence.of("room")).toEqual([]);
  });

  it("reaches a node that started while another was cut off for more than a lease", async () => {
    const first = start();
    await pass(2_000);
    first.node.presence.joined("ada", ["room"]);
    await pass(100);
    first.view.cut(true);
    const second = start();
    await pass(2 * SETTINGS.leaseMs);
    vi.spyOn(first.view, "append").mockRejectedValue(new Error("no"));
    first.view.cut(false);
    await pass(500);
    vi.restoreAllMocks();
    await pass(5 * TICK_MS);
    expect(await second.node.presence.of("room")).toEqual(["ada"]);
  });

  it("is shown by a reset if an answer comes too late", async () => {
    const first = start();
    await pass(2_000);
    first.node.presence.joined("ada", ["room"]);
    await pass(100);
    first.view.cut(true);
    const second = start();
    const watcher = second.node.watch("room");
    await pass(1_500);
    expect([watcher.resets, ...watcher.present]).toEqual([0]);
    first.view.cut(false);
    await pass(200);
    expect([watcher.resets, ...watcher.present]).toEqual([1, "ada"]);
  });

  it("ends with the lease of a killed node, once, and with a goodbye after the linger", async () => {
    const nodes = [start(), start(), start(), start(), start()];
    const [killed, closed, watching] = nodes as [
      (typeof nodes)[0],
      (typeof nodes)[0],
      (typeof nodes)[0],
    ];
    await pass(2_000);
    for (const [index, { node }] of nodes.entries())
      node.presence.joined(`user-${index}`, ["room"]);
    await pass(100);
    const others = ["user-2", "user-3", "user-4"];
    void killed.view.close();
    void closed.node.close();
    await pass(SETTINGS.lingerMs + 2 * TICK_MS);
    expect((await watching.node.presence.of("room")).toSorted()).toEqual(["user-0", ...others]);
    await pass(SETTINGS.leaseMs - SETTINGS.lingerMs - TICK_MS);
    expect((await watching.node.presence.of("room")).toSorted()).toEqual(others);
    expect(entriesWith('"by"')).toHaveLength(2);
  });

  it("that a killed node has left behind is known to one that starts after it", async () => {
    const nodes = [start(), start(), start()] as const;
    await pass(2_000);
    const [killed, ...alive] = nodes;
    killed.node.presence.joined("ada", ["room"]);
    alive[0].node.presence.joined("ben", ["room"]);
    await pass(100);
    void killed.view.close();
    const late = start();
    await pass(50);
    const watcher = late.node.watch("room");
    await pass(950);
    expect([...watcher.present].toSorted()).toEqual(["ada", "ben"]);
    await pass(SETTINGS.leaseMs + 3 * TICK_MS);
    expect(watcher.seen).toEqual(["leave ada"]);
    expect(watcher.resets).toBe(0);
    expect(await late.node.presence.of("room")).toEqual(["ben"]);
  });

  it("that has left while another node answered for its own is not brought back", async () => {
    const [slow, other] = [start(), start()];
    await pass(2_000);
    for (const name of ["ada", "eve"]) slow.node.presence.joined(name, ["room"]);
    await pass(100);
    const { node } = JSON.parse(entriesWith('"join"')[0]?.data ?? "") as { node: string };
    slow.node.presence.left("ada", ["room"]);
    await pass(100);
    // The answer of a node that had not read the last entry.
    const answer = { to: "late", present: [["room", ["ada", "eve"]]], nodes: [] };
    log.add("~presence", { data: JSON.stringify({ node, by: "third", forMs: 9_000, answer }) });
    await pass(2_000);
    expect(await other.node.presence.of("room")).toEqual(["eve"]);
    expect(await slow.node.presence.of("room")).toEqual(["eve"]);
  });

  it("outlasts a node that hears nothing for several leases", async () => {
    const [first, second] = [start(), start()];
    await pass(2_000);
    first.node.presence.joined("ada", ["room"]);
    await pass(100);
    second.view.cut(true);
    // It looks at leases before it reads what it has missed.
    await pass(3 * SETTINGS.leaseMs + TICK_MS - 120);
    log.lateMs = 900;
    second.view.cut(false);
    await pass(SETTINGS.leaseMs);
    expect(entriesWith('"by"')).toEqual([]);
  });

  it("outlasts a log that accepts nothing for less than a lease", async () => {
    const [first, second] = [start(), start()];
    const watcher = second.node.watch("room");
    // Just after a look at leases, so that the next entry is due late.
    await pass(2_100);
    first.node.presence.joined("ada", ["room"]);
    await pass(100);
    const append = vi.spyOn(first.view, "append").mockRejectedValue(new Error("no"));
    await pass(4_850);
    append.mockRestore();
    await pass(2 * SETTINGS.leaseMs);
    expect(watcher.seen).toEqual(["join ada"]);
  });

  it("of many comes in parts that fit `maxEventBytes`", async () => {
    const [first, second] = [start(4_096), start(4_096)];
    const watcher = second.node.watch("room");
    await pass(2_000);
    const names = Array.from({ length: 300 }, (_, index) => `${index}-${"\u0001€".repeat(20)}`);
    for (const name of names) first.node.presence.joined(name, ["room"]);
    await pass(20_000);
    expect(watcher.present.size).toBe(300);
    expect([...first.node.errors, ...second.node.errors]).toEqual([]);
    expect(watcher.resets).toBe(0);
  });

  it("costs an idle node one small entry in a third of the lease", async () => {
    const first = start();
    await pass(2_000);
    first.node.presence.joined("ada", ["room"]);
    await pass(100);
    const before = log.entries.length;
    await pass(10 * SETTINGS.leaseMs);
    const added = log.entries.slice(before);
    expect(added.length).toBeLessThanOrEqual(30);
    expect(added.length).toBeGreaterThanOrEqual(20);
    expect(Math.max(...added.map(({ data }) => data.length))).toBeLessThan(30);
    first.node.presence.left("ada", ["room"]);
    await pass(100);
    const left = log.entries.length;
    await pass(10 * SETTINGS.leaseMs);
    expect(log.entries.length).toBe(left);
  });
});
