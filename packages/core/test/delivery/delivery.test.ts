import { afterEach, describe, expect, it, vi } from "vitest";
import { Harbor, MemoryClient, turns } from "../memory-subscriber.js";

afterEach(() => {
  vi.restoreAllMocks();
});

describe("delivery", () => {
  it("drops channels with their last subscription", () => {
    const harbor = new Harbor();
    const sessions = [harbor.subscribe(["a", "b"]), harbor.subscribe("a")];
    expect(harbor.delivery.audience.of("a")?.size).toBe(2);
    sessions[0]?.close();
    expect(harbor.delivery.audience.channelCount).toBe(1);
    sessions[1]?.close();
    expect(harbor.delivery.audience.channelCount).toBe(0);
    expect(harbor.delivery.audience.of("a")).toBeUndefined();
  });

  it("counts delivered events, live and read later", async () => {
    const harbor = new Harbor();
    const live = harbor.subscribe("a");
    const behind = harbor.subscribe("a");
    behind.block();
    harbor.publish("a 1", "a 2");
    await turns();
    behind.drain();
    expect(harbor.observer.events).toBe(4);
    const bytes = "id: e.1\ndata: 1\n\n".length * 2;
    expect(harbor.observer.bytes).toBe(2 * bytes);
    expect(live.data).toEqual(["1", "2"]);
  });

  it("needs no more memory than the window in a loop that publishes without yielding", async () => {
    const harbor = new Harbor({ maxEvents: 1_000 });
    const session = harbor.subscribe("a");
    const large = "x".repeat(1_000);
    harbor.publish("a before");
    await turns();
    const slabs = vi.spyOn(Buffer, "allocUnsafeSlow");
    for (let n = 0; n < 20_000; n++) harbor.publish(`a ${n}${large}`);
    // A thousand events take sixteen slabs of 64 KiB.
    expect(slabs.mock.calls.length).toBeLessThan(25);
    await turns();
    expect(session.data).toEqual(["before"]);
    expect(session.signals.at(-1)).toMatch(/^reset/);
    harbor.publish("a after");
    await turns();
    expect(session.data).toEqual(["before", "after"]);
  });

  it("never reuses memory of entries that are still to be handed over, however old they are", async () => {
    const harbor = new Harbor({ maxAgeMs: 1_000, maxEvents: 100_000 });
    const session = harbor.subscribe("a");
    const written: Uint8Array[] = [];
    // Like a socket: it keeps the bytes and reads them later.
    vi.spyOn(session, "writeFrames").mockImplementation(({ bytes }) => written.push(bytes) > 0);
    const other = `other ${"y".repeat(1_000)}`;
    for (let n = 0; n < 10; n++) harbor.publish(other);
    harbor.publish(`a ${"x".repeat(1_000)}`);
    for (let n = 0; n < 100; n++) harbor.publish(other);
    // The process was paused, and all earlier entries are too old when a client is located.
    harbor.window.trim(performance.now() + 2_000);
    expect(harbor.window.size).toBe(0);
    await turns();
    for (let n = 0; n < 1_000; n++) harbor.publish(other);
    expect(Buffer.concat(written).toString()).toMatch(/^id: e\.11\ndata: x{1000}\n\n$/);
  });

  it("joins the frames of a turn once for all subscriptions with the same channels", async () => {
    const harbor = new Harbor();
    const concat = vi.spyOn(Buffer, "concat");
    for (let n = 0; n < 50; n++) harbor.subscribe("a");
    for (let n = 0; n < 50; n++) harbor.subscribe(["a", "b", `own ${n}`]);
    concat.mockClear();
    harbor.publish("a 1", "b 2", "a 3");
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    expect(concat.mock.calls.length).toBeLessThanOrEqual(2);
  });

  it("keeps channels apart whatever their names", async () => {
    const harbor = new Harbor();
    const odd = '["a","b"]';
    const [one, two] = [harbor.subscribe(odd), harbor.subscribe(["a", "b"])];
    harbor.publish(`${odd} odd`, "a 1", "b 2");
    await turns();
    expect([one.data, two.data]).toEqual([["odd"], ["1", "2"]]);
  });

  it("serves many subscriptions over several turns, and later events after that", async () => {
    const harbor = new Harbor();
    let clock = 0;
    vi.spyOn(performance, "now").mockImplementation(() => clock);
    const sessions = Array.from({ length: 200 }, () => {
      const session = new MemoryClient();
      session.onWrite = () => void (clock += 0.1);
      return harbor.subscribe("a", {}, session);
    });
    const served = (): number => sessions.filter(({ data }) => data.length > 0).length;
    harbor.publish("a 1");
    await turns(1);
    expect(served()).toBeGreaterThan(0);
    expect(served()).toBeLessThan(100);
    harbor.publish("a 2");
    await turns(20);
    for (const { data } of sessions) expect(data).toEqual(["1", "2"]);
    expect(harbor.delivery.audience.position).toBe(2);
  });

  it("sends a subscription that joins between two slices of a batch only later events", async () => {
    const harbor = new Harbor();
    let clock = 0;
    vi.spyOn(performance, "now").mockImplementation(() => clock);
    for (let n = 0; n < 100; n++) {
      const session = new MemoryClient();
      session.onWrite = () => void (clock += 0.2);
      harbor.subscribe("a", {}, session);
    }
    harbor.publish("a 1");
    await turns(1);
    const late = harbor.subscribe("a");
    harbor.publish("a 2");
    await turns(20);
    expect(late.signals).toEqual(["cursor e.1"]);
    expect(late.data).toEqual(["2"]);
  });

  it("skips a subscription that closes while a batch is handed over", async () => {
    const harbor = new Harbor();
    const [first, second] = [new MemoryClient(), new MemoryClient()];
    harbor.subscribe("a", {}, first);
    harbor.subscribe("a", {}, second);
    first.onWrite = () => second.close();
    harbor.publish("a 1");
    await turns();
    expect([first.data, second.data]).toEqual([["1"], []]);
  });

  it("delivers events that are published because a client left in the middle of a batch", async () => {
    const harbor = new Harbor();
    const [first, second, third] = [new MemoryClient(), new MemoryClient(), new MemoryClient()];
    for (const session of [first, second, third]) harbor.subscribe("a", {}, session);
    second.onWrite = () => {
      second.close();
      harbor.publish("a left");
    };
    harbor.publish("a 1");
    await turns();
    expect([first.data, third.data]).toEqual([
      ["1", "left"],
      ["1", "left"],
    ]);
  });

  it("writes nothing to a subscription that leaves all its channels while a batch is handed over", async () => {
    const harbor = new Harbor();
    const [first, second] = [new MemoryClient(), new MemoryClient()];
    harbor.subscribe(["a", "b"], {}, first);
    harbor.subscribe(["a", "b"], {}, second);
    first.onWrite = () => second.subscription?.leave(["a", "b"]);
    const before = second.writes.length;
    harbor.publish("a 1", "b 2");
    await turns();
    expect(second.writes.slice(before).map(({ length }) => length)).not.toContain(0);
    expect(second.lastEventId).toBe("e.0");
  });

  it("continues with the others when the log is reset while a batch is handed over", async () => {
    const harbor = new Harbor();
    const [first, second] = [new MemoryClient(), new MemoryClient()];
    harbor.subscribe("a", {}, first);
    harbor.subscribe("a", {}, second);
    first.onWrite = () => {
      first.onWrite = () => {};
      harbor.delivery.reset("fork", "e.50");
    };
    harbor.publish("a 1");
    await turns();
    expect(first.data).toEqual(["1"]);
    expect(second.data).toEqual([]);
    expect([first, second].map(({ signals }) => signals.at(-1))).toEqual([
      "reset e.50",
      "reset e.50",
    ]);
  });

  it("lets a subscription that is behind read on under continuous publishing to others", async () => {
    const harbor = new Harbor();
    let clock = 0;
    // Every check of the clock finds the turn over.
    vi.spyOn(performance, "now").mockImplementation(() => (clock += 10));
    const large = "x".repeat(60_000);
    for (let n = 1; n <= 5; n++) harbor.publish(`a ${n}${large}`);
    const behind = harbor.subscribe("a", { lastEventId: "e.0" });
    for (let n = 0; n < 10; n++) {
      harbor.publish("b x");
      await turns(1);
    }
    await turns(10);
    expect(behind.data.map((data) => data[0])).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("queues a subscription that catches up once, however often its socket drains", async () => {
    const harbor = new Harbor();
    const large = "x".repeat(60_000);
    for (let n = 1; n <= 30; n++) harbor.publish(`a ${n}${large}`);
    await turns();
    const session = new MemoryClient();
    harbor.begin("a", { lastEventId: "e.0" }, session);
    const schedule = vi.spyOn(harbor.delivery.audience, "schedule");
    await turns(1);
    for (let n = 0; n < 5; n++) session.drain();
    expect(schedule).toHaveBeenCalledTimes(1);
  });
});
