import { describe, expect, it } from "vitest";
import { Subscription } from "../../src/delivery/subscription.js";
import type { SnapshotMessages } from "../../src/options/subscribe.js";
import { Harbor, MemoryClient, turns } from "../memory-subscriber.js";
import { interpret } from "../whatwg-parser.js";

/** A snapshot that the test resolves later. */
function slowSnapshot(): {
  snapshot: () => Promise<SnapshotMessages>;
  resolve: (messages: SnapshotMessages) => void;
  reject: (error: Error) => void;
  calls: () => number;
} {
  let resolve: (messages: SnapshotMessages) => void = () => {};
  let reject: (error: Error) => void = () => {};
  let calls = 0;
  return {
    snapshot: () => {
      calls += 1;
      return new Promise((onResolve, onReject) => {
        resolve = onResolve;
        reject = onReject;
      });
    },
    resolve: (messages) => resolve(messages),
    reject: (error) => reject(error),
    calls: () => calls,
  };
}

function sequence(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
}

/** The first cursor event of a stream without heartbeats, whose client keeps its own reconnection time. */
function firstCursor(id: string): string {
  return `event: sse-cursor\nid: ${id}\ndata: {"heartbeatMs":false}\n\n`;
}

describe("a live subscription", () => {
  it("begins with a cursor event for the tail and gets later events", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "a 2");
    const session = harbor.subscribe("a");
    expect(session.text).toBe(firstCursor("e.2"));
    expect(session.subscription?.isLive).toBe(true);
    harbor.publish("a 3");
    await turns();
    expect(session.text).toBe(`${firstCursor("e.2")}id: e.3\ndata: 3\n\n`);
  });

  it("has a position before its first event, even on an empty log", () => {
    expect(new Harbor().subscribe("a").signals).toEqual(["cursor e.0"]);
  });

  it("gets all events of one turn in one write, in order", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe(["a", "b"]);
    harbor.publish("b 1");
    harbor.publish("a 2", "c 3", "a 4");
    harbor.publish("b 5");
    await turns();
    expect(session.writes).toHaveLength(2);
    expect(session.data).toEqual(["1", "2", "4", "5"]);
  });

  it("gets no events of other channels", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    harbor.publish("b 1", "aa 2", "A 3");
    await turns();
    expect(session.writes).toHaveLength(1);
  });

  it("gets no event twice that is published before it joins in the same turn", async () => {
    const harbor = new Harbor();
    harbor.subscribe("a");
    harbor.publish("a 1", "a 2");
    const late = harbor.subscribe("a");
    harbor.publish("a 3");
    await turns();
    expect(late.signals).toEqual(["cursor e.2"]);
    expect(late.data).toEqual(["3"]);
  });

  it("gets a batch that exceeds one write in several writes", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    const large = "x".repeat(30_000);
    harbor.publish(`a 1${large}`, `a 2${large}`, `a 3${large}`, `a 4${large}`, `a 5${large}`);
    await turns(10);
    expect(session.data.map((data) => data.slice(0, 1))).toEqual(["1", "2", "3", "4", "5"]);
    expect(session.writes.map(({ length }) => length <= 65_536)).toEqual([true, true, true, true]);
    expect(session.subscription?.isLive).toBe(true);
  });

  it("gets a single event larger than 64 KiB in one write", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    harbor.publish(`a ${"x".repeat(200_000)}`);
    await turns();
    expect(session.writes).toHaveLength(2);
    expect(session.data[0]).toHaveLength(200_000);
  });
});

describe("a subscription whose socket backs up", () => {
  it("stores nothing, reads on from its cursor at drain and is live again", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.block();
    harbor.publish("a 1");
    await turns();
    harbor.publish("a 2");
    await turns();
    expect(session.data).toEqual([]);
    expect(session.subscription?.isLive).toBe(false);
    session.drain();
    expect(session.data).toEqual(["1", "2"]);
    expect(session.subscription?.isLive).toBe(true);
    harbor.publish("a 3");
    await turns();
    expect(session.data).toEqual(["1", "2", "3"]);
  });

  it("continues at drain with events published in the turn of the drain", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.block();
    harbor.publish("a 1");
    await turns();
    harbor.publish("a 2");
    session.drain();
    harbor.publish("a 3");
    await turns();
    expect(session.data).toEqual(["1", "2", "3"]);
  });

  it("writes one slice for each drain", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.block();
    const large = "x".repeat(40_000);
    for (let n = 1; n <= 4; n++) harbor.publish(`a ${n}${large}`);
    await turns();
    for (let n = 1; n <= 4; n++) {
      expect(session.writes).toHaveLength(n);
      session.drainOnce();
    }
    await turns();
    expect(session.data.map((data) => data[0])).toEqual(["1", "2", "3", "4"]);
  });

  it("gets a reset with `overflow` once the window has passed it, then continues live", async () => {
    const harbor = new Harbor({ maxEvents: 3 });
    const session = harbor.subscribe("a");
    session.block();
    for (let n = 1; n <= 5; n++) harbor.publish(`a ${n}`);
    await turns();
    session.drain();
    expect(session.text).toContain(
      'event: sse-reset\nid: e.5\ndata: {"reason":"overflow","channels":["a"]}\n\n',
    );
    expect(harbor.observer.resets).toEqual(["overflow"]);
    harbor.publish("a 6");
    await turns();
    expect(session.data).toEqual(["6"]);
  });

  it("gets no reset for events of others while it had nothing to miss", async () => {
    const harbor = new Harbor({ maxEvents: 3 });
    const session = harbor.subscribe("a");
    session.block();
    for (let n = 1; n <= 10; n++) {
      harbor.publish(`b ${n}`);
      await turns(1);
    }
    session.drain();
    harbor.publish("a 11");
    await turns();
    expect(session.data).toEqual(["11"]);
    expect(harbor.observer.resets).toEqual([]);
  });

  it("gets all of a window that holds exactly the events it has missed", async () => {
    const harbor = new Harbor({ maxEvents: 5 });
    const session = harbor.subscribe("a");
    session.block();
    harbor.publish("a 1", "a 2", "a 3", "a 4", "a 5");
    await turns();
    session.drain();
    expect(session.data).toEqual(sequence(1, 5));
    expect(harbor.observer.resets).toEqual([]);
  });
});

describe("a client that comes back", () => {
  it("gets a cursor event that repeats its last event ID, and all later events", () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "b 2", "a 3", "a 4");
    const session = harbor.subscribe("a", { lastEventId: "e.1" });
    expect(session.text).toBe(`${firstCursor("e.1")}id: e.3\ndata: 3\n\nid: e.4\ndata: 4\n\n`);
    expect(session.subscription?.isLive).toBe(true);
    expect(harbor.observer.replays).toBe(1);
  });

  it("gets neither `latest` nor a snapshot", () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "a 2");
    const session = harbor.subscribe("a", {
      lastEventId: "e.1",
      latest: 2,
      snapshot: () => ["state"],
    });
    expect(session.data).toEqual(["2"]);
  });

  it("gets the rest of a turn whose first events it has", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "a 2");
    const session = harbor.subscribe("a", { lastEventId: "e.1" });
    harbor.publish("a 3");
    await turns();
    expect(session.data).toEqual(["2", "3"]);
  });

  it.each([
    ["trimmed", "e.1", "trimmed"],
    ["from the future", "e.99", "unknown"],
    ["of another log", "f.3", "unknown"],
    ["garbage", "{}\u{1F600}\0", "unknown"],
    ["10 KB long", "e".repeat(10_240), "unknown"],
  ])("gets one reset if its id is %s, then continues live", async (_name, lastEventId, reason) => {
    const harbor = new Harbor({ maxEvents: 2 });
    harbor.publish("a 1", "a 2", "a 3", "a 4");
    const session = harbor.subscribe("a", { lastEventId });
    expect(session.text).toBe(
      `event: sse-reset\nid: e.4\ndata: {"reason":"${reason}","channels":["a"]}\n\n`,
    );
    harbor.publish("a 5");
    await turns();
    expect(session.data).toEqual(["5"]);
    expect(harbor.observer.resets).toEqual([reason]);
    expect(harbor.observer.replays).toBe(0);
  });

  it("gets missed events in slices, with others in between", async () => {
    const harbor = new Harbor();
    const large = "x".repeat(40_000);
    for (let n = 1; n <= 6; n++) harbor.publish(`a ${n}${large}`);
    await turns();
    const order: string[] = [];
    const sessions = ["first", "second"].map((name) => {
      const session = new MemoryClient();
      session.onWrite = () => void order.push(name);
      harbor.begin("a", { lastEventId: "e.0" }, session);
      return session;
    });
    await turns(20);
    for (const session of sessions) {
      expect(session.data.map((data) => data[0])).toEqual(sequence(1, 6));
    }
    expect(order.slice(0, 6)).toEqual(["first", "second", "first", "second", "first", "second"]);
  });
});

describe("`latest` and `snapshot` of the first channels", () => {
  it("give a new client the newest events, then a cursor event", () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "b 2", "a 3", "a 4", "b 5");
    const session = harbor.subscribe("a", { latest: 2 });
    expect(session.text).toBe(`id: e.3\ndata: 3\n\nid: e.4\ndata: 4\n\n${firstCursor("e.5")}`);
  });

  it("give the newest events of each channel, in log order", () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "b 2", "a 3", "a 4", "b 5", "a 6", "c 7");
    const session = harbor.subscribe(["a", "b"], { latest: 2 });
    expect(session.data).toEqual(["2", "4", "5", "6"]);
    expect(session.signals).toEqual(["cursor e.7"]);
  });

  it("give at most ten thousand events in one call: the newest", async () => {
    const harbor = new Harbor({ maxEvents: 20_000 });
    harbor.publish(...Array.from({ length: 12_000 }, (_, n) => `${n % 2 === 0 ? "a" : "b"} ${n}`));
    const session = harbor.subscribe(["a", "b"], { latest: 6_000 });
    while (session.signals.length === 0) await turns();
    expect(session.data).toHaveLength(10_000);
    expect(session.data[0]).toBe("2000");
  });

  it("send a snapshot without ids, then a cursor event, all in one write", () => {
    const harbor = new Harbor();
    harbor.publish("a 1");
    const session = harbor.subscribe("a", {
      snapshot: () => [{ event: "state", data: { n: 1 } }, "text"],
    });
    expect(session.writes).toHaveLength(1);
    expect(session.text).toBe(`event: state\ndata: {"n":1}\n\ndata: text\n\n${firstCursor("e.1")}`);
  });

  it("send the snapshot after a reset that clears the id, and the new id in the cursor event that follows", () => {
    const harbor = new Harbor();
    harbor.publish("a 1");
    const session = harbor.subscribe("a", { lastEventId: "x", snapshot: () => ["state"] });
    expect(session.text).toBe(
      `event: sse-reset\nid: \ndata: {"reason":"unknown","channels":["a"]}\n\ndata: state\n\n${firstCursor("e.1")}`,
    );
  });

  it("begin anew if the client is cut off between a reset and its state", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1");
    const snapshot = (): string[] => ["state"];
    const session = harbor.subscribe("a", { snapshot });
    // The newest entry is common to the lost history and the new one.
    harbor.delivery.reset("fork", "e.1");
    await turns();
    const end = session.text.indexOf("\n\n", session.text.indexOf("sse-reset")) + 2;
    const { lastEventId } = interpret([Buffer.from(session.text.slice(0, end))]);
    expect(harbor.subscribe("a", { lastEventId, snapshot }).data).toEqual(["state"]);
  });

  it("give a position after a reset even if the snapshot is empty", () => {
    const session = new Harbor().subscribe("a", { lastEventId: "x", snapshot: () => [] });
    expect(session.signals).toEqual(["reset ", "cursor e.0"]);
  });

  it("call the snapshot again after each reset", async () => {
    const harbor = new Harbor({ maxEvents: 2 });
    let calls = 0;
    const session = harbor.subscribe("a", { snapshot: () => [`state ${++calls}`] });
    session.block();
    harbor.publish("a 1", "a 2", "a 3");
    await turns();
    session.drain();
    expect(session.data).toEqual(["state 1", "state 2"]);
    expect(session.signals).toEqual(["cursor e.0", "reset ", "cursor e.3"]);
  });

  it("hold back events until a late snapshot has arrived", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1");
    const { snapshot, resolve } = slowSnapshot();
    const session = harbor.subscribe("a", { snapshot });
    harbor.publish("a 2");
    await turns();
    harbor.publish("a 3");
    expect(session.writes).toEqual([]);
    resolve(["state"]);
    await turns();
    expect(session.data).toEqual(["state", "2", "3"]);
    expect(session.signals).toEqual(["cursor e.1"]);
    expect(session.subscription?.isLive).toBe(true);
  });

  it("send events that the snapshot itself publishes after it, once", async () => {
    const harbor = new Harbor();
    const other = harbor.subscribe("a");
    const snapshot = (): string[] => {
      harbor.publish("a joined");
      return ["state"];
    };
    const session = harbor.subscribe("a", { snapshot });
    await turns();
    expect([session.data, other.data]).toEqual([["state", "joined"], ["joined"]]);
    // The client knows the position before: cut off now, it gets all events after the state.
    expect(session.signals).toEqual(["cursor e.0"]);
  });

  it("write nothing of a snapshot that arrives after the client has left", async () => {
    const { snapshot, resolve } = slowSnapshot();
    const session = new Harbor().subscribe("a", { snapshot });
    session.close();
    resolve(["state"]);
    await turns();
    expect(session.writes).toEqual([]);
  });

  it("close the session if the snapshot throws, rejects, is not iterable or contains invalid messages", async () => {
    const fault = new Error("no state");
    const snapshots: (() => SnapshotMessages | Promise<SnapshotMessages>)[] = [
      () => {
        throw fault;
      },
      async () => {
        throw fault;
      },
      () => undefined as unknown as SnapshotMessages,
      () => [{ event: "", data: 1 }],
    ];
    for (const snapshot of snapshots) {
      const harbor = new Harbor();
      const session = harbor.subscribe("a", { snapshot });
      await turns();
      expect(session.hasFailed).toBe(true);
      expect(harbor.observer.errors).toHaveLength(1);
      expect(session.writes).toEqual([]);
      expect(harbor.delivery.audience.of("a")?.size).toBeUndefined();
    }
  });

  it("do not report a snapshot that rejects after the client has left", async () => {
    const harbor = new Harbor();
    const { snapshot, reject } = slowSnapshot();
    harbor.subscribe("a", { snapshot }).close();
    reject(new Error("late"));
    await turns();
    expect(harbor.observer.errors).toEqual([]);
  });

  it("never give a client a state that later events no longer fit: a late snapshot whose position was trimmed", async () => {
    const harbor = new Harbor({ maxEvents: 3 });
    harbor.publish("a 1");
    const { snapshot, resolve } = slowSnapshot();
    const session = harbor.subscribe("a", { snapshot });
    for (let n = 2; n <= 9; n++) harbor.publish(`a ${n}`);
    await turns();
    session.fillsUp = true;
    resolve(["state of 1"]);
    await turns();
    // The socket is full and the client is cut off: it returns with the bytes it has.
    const back = harbor.subscribe("a", { lastEventId: session.lastEventId });
    expect([session.data, session.signals]).toEqual([[], ["reset "]]);
    expect(back.signals).toEqual(["cursor e.9"]);
  });

  it("never give a client a position beyond the data it got: a late snapshot from before the log was replaced", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1");
    const { snapshot, resolve } = slowSnapshot();
    const session = harbor.subscribe("a", { snapshot });
    harbor.delivery.reset("fork", "e.100");
    session.fillsUp = true;
    resolve(["state of 1"]);
    await turns();
    expect(session.lastEventId).not.toBe("e.100");
  });

  it("accept a promise from another library", async () => {
    const session = new Harbor().subscribe("a", {
      snapshot: () =>
        ({
          // oxlint-disable-next-line unicorn/no-thenable -- The test needs one.
          then: (done: (messages: string[]) => void) => done(["state"]),
        }) as unknown as Promise<string[]>,
    });
    await turns();
    expect(session.data).toEqual(["state"]);
  });
});

/** How channels join that take no part in a replay. */
const LATER = { isReplayed: false, comesFirst: false };

describe("a stream whose head is held back", () => {
  function held(): MemoryClient {
    return new MemoryClient({ holdsHead: true });
  }

  it("gets events published between subscribe and the head", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a", {}, held());
    harbor.publish("a 1");
    await turns();
    session.sendHead();
    harbor.publish("a 2");
    await turns();
    expect(session.data).toEqual(["1", "2"]);
  });

  it("gets each event once even if `latest` is sent after it was published", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "a 2");
    const session = harbor.subscribe("a", { latest: 1 }, held());
    harbor.publish("a 3", "a 4");
    await turns();
    session.sendHead();
    await turns();
    expect(session.data).toEqual(["2", "3", "4"]);
  });

  it("calls the snapshot with the head, and sends no event that it already contains", async () => {
    const harbor = new Harbor();
    let state = 0;
    const session = harbor.subscribe("a", { snapshot: () => [`state ${state}`] }, held());
    state = 1;
    harbor.publish("a 1");
    await turns();
    session.sendHead();
    await turns();
    expect(session.data).toEqual(["state 1"]);
  });

  it("resumes from the client's position when the head is sent", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "a 2");
    const session = harbor.subscribe("a", { lastEventId: "e.1" }, held());
    harbor.publish("a 3");
    await turns();
    expect(session.writes).toEqual([]);
    session.sendHead();
    expect(session.data).toEqual(["2", "3"]);
  });
});

describe("a returning client that leaves the channels its position belongs to", () => {
  it.each(["before the position is known to be lost", "after that"])(
    "gets ids with all its events: %s",
    async (when) => {
      const harbor = new Harbor();
      harbor.publish("a 1");
      const session = new MemoryClient();
      session.block();
      const subscription = new Subscription(session, harbor.delivery.audience);
      session.subscription = subscription;
      subscription.beginLater(true);
      subscription.join(["a"], {}, { isReplayed: true, comesFirst: true });
      subscription.join(["b"], {}, LATER);
      harbor.publish("b 2");
      // Its client gets a position only after the start of this channel.
      subscription.join(["c"], {}, LATER);
      if (when !== "after that") subscription.leave(["a"]);
      subscription.place("another log");
      subscription.leave(["a"]);
      session.drain();
      await turns();
      // Cut off right after the event, it would return with its old position and get the event again.
      const event = session.events.find(({ data }) => data === "2");
      expect(event?.lastEventId).toBe("e.2");
      expect(session.lastEventId).toBe("e.2");
    },
  );
});

describe("channels added later", () => {
  it("start live", async () => {
    const harbor = new Harbor();
    harbor.publish("b 1");
    const session = harbor.subscribe("a");
    await turns();
    session.subscription?.join(["b"], {}, LATER);
    harbor.publish("b 2", "a 3");
    await turns();
    expect(session.data).toEqual(["2", "3"]);
  });

  it("get no events published before they joined in the same turn", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    harbor.publish("a 1", "b 2");
    session.subscription?.join(["b"], {}, LATER);
    harbor.publish("b 3", "a 4");
    await turns();
    expect(session.data).toEqual(["1", "3", "4"]);
  });

  it("start at their own position on a stream that resumes", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "b 2", "a 3");
    const session = new MemoryClient();
    session.block();
    harbor.subscribe("a", { lastEventId: "e.0" }, session);
    session.subscription?.join(["b"], {}, LATER);
    harbor.publish("b 4", "a 5");
    session.drain();
    await turns();
    expect(session.data).toEqual(["1", "3", "4", "5"]);
  });

  it("are ignored if already joined, including their options", () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.subscription?.join(["a"], { latest: 5, snapshot: () => ["state"] }, LATER);
    expect(session.signals).toEqual(["cursor e.0"]);
    expect(session.data).toEqual([]);
    expect(harbor.delivery.audience.of("a")?.size).toBe(1);
  });

  it("bring their snapshot and their newest events without ids and without a cursor event", async () => {
    const harbor = new Harbor();
    harbor.publish("b 1", "b 2", "a 3");
    const session = harbor.subscribe("a");
    session.subscription?.join(["b"], { latest: 1, snapshot: () => ["state"] }, LATER);
    expect(session.text.slice(session.text.indexOf("\n\n") + 2)).toBe("data: state\n\ndata: 2\n\n");
    expect(session.lastEventId).toBe("e.3");
    harbor.publish("b 4");
    await turns();
    expect(session.data).toEqual(["state", "2", "4"]);
  });

  it.each([
    ["snapshot", { snapshot: () => ["1 and 2"] }, ["1 and 2"]],
    ["`latest`", { latest: 2 }, ["1", "2"]],
  ])(
    "give the client a position after their %s, so that a replay does not repeat the content",
    async (_name, options, state) => {
      const harbor = new Harbor();
      const session = harbor.subscribe("a");
      harbor.publish("b 1", "b 2");
      await turns();
      session.subscription?.join(["b"], options, LATER);
      expect(session.data).toEqual(state);
      expect(session.lastEventId).toBe("e.2");
      const again = harbor.subscribe(["a", "b"], { lastEventId: session.lastEventId });
      expect(again.data).toEqual([]);
    },
  );

  it("get no event again that their snapshot contains, if it is called only at drain", async () => {
    const harbor = new Harbor();
    let state = 0;
    const session = harbor.subscribe("a");
    session.block();
    session.subscription?.join(["b"], { snapshot: () => [`state ${state}`] }, LATER);
    state = 1;
    harbor.publish("b 1");
    await turns();
    session.drain();
    harbor.publish("b 2");
    await turns();
    expect(session.data).toEqual(["state 1", "2"]);
  });

  it("get no event again that their `latest` contains, if it is sent only at drain", async () => {
    const harbor = new Harbor();
    harbor.publish("b 1");
    const session = harbor.subscribe("a");
    session.block();
    session.subscription?.join(["b"], { latest: 5 }, LATER);
    harbor.publish("b 2");
    await turns();
    session.drain();
    await turns();
    expect(session.data).toEqual(["1", "2"]);
  });

  it("wait for the snapshot of the channels before them", async () => {
    const harbor = new Harbor();
    const first = slowSnapshot();
    const session = harbor.subscribe("a", { snapshot: first.snapshot });
    let state = 0;
    session.subscription?.join(["b"], { snapshot: () => [`b ${state}`] }, LATER);
    state = 1;
    harbor.publish("b 1", "a 2");
    await turns();
    first.resolve(["a 0"]);
    await turns();
    expect(session.data).toEqual(["a 0", "b 1", "2"]);
  });

  it("are not joined by a subscription that is closed", () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.close();
    session.subscription?.join(["b"], {}, LATER);
    expect(harbor.delivery.audience.channelCount).toBe(0);
  });
});

describe("`latest` of channels added later", () => {
  it("ends with a reset when the rest of it has left the window before it could be written", async () => {
    const harbor = new Harbor({ maxEvents: 4 });
    const session = harbor.subscribe("a");
    const large = "x".repeat(70_000);
    harbor.publish(`b 1${large}`, `b 2${large}`, `b 3${large}`);
    await turns();
    session.block();
    session.subscription?.join(["b"], { latest: 3 }, LATER);
    session.drainOnce();
    expect(session.data.map((data) => data[0])).toEqual(["1"]);
    harbor.publish("c 4", "c 5", "c 6");
    await turns();
    session.drain();
    expect(session.data.map((data) => data[0])).toEqual(["1"]);
    expect(harbor.observer.resets).toEqual(["overflow"]);
  });

  it("starts over after a reset, and reaches to where its channel continues", async () => {
    const harbor = new Harbor({ maxEvents: 4 });
    const session = harbor.subscribe("a");
    const large = "x".repeat(70_000);
    harbor.publish(`b 1${large}`, `b 2${large}`);
    await turns();
    session.block();
    session.subscription?.join(["b"], { latest: 3 }, LATER);
    session.drainOnce();
    expect(session.data.map((data) => data[0])).toEqual(["1"]);
    harbor.publish("a 3", "b 4", "c 5", "c 6", "c 7");
    await turns();
    session.drain();
    harbor.publish("b 8");
    await turns();
    expect(harbor.observer.resets).toEqual(["overflow"]);
    expect(session.data.map((data) => data[0])).toEqual(["1", "4", "8"]);
  });

  it("reaches to where its channel begins, if that joined while a reset was waiting", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.block();
    harbor.delivery.reset("fork", "e.100");
    harbor.publish("b 1", "b 2", "b 3");
    await turns();
    session.subscription?.join(["b"], { latest: 2 }, LATER);
    harbor.publish("b 4");
    await turns();
    session.drain();
    await turns();
    expect(harbor.observer.resets).toEqual(["fork"]);
    expect(session.data).toEqual(["2", "3", "4"]);
  });

  it("reaches to the position of a client that comes from a node ahead of this one", async () => {
    const harbor = new Harbor();
    const session = new MemoryClient();
    const subscription = new Subscription(session, harbor.delivery.audience);
    session.subscription = subscription;
    harbor.publish("b 1");
    subscription.beginLater(true);
    subscription.join(["a"], {}, { isReplayed: true, comesFirst: true });
    subscription.join(["b"], { latest: 2 }, LATER);
    // This node receives the events that the client has seen elsewhere.
    harbor.publish("b 2", "a 3");
    subscription.place("e.3");
    await turns();
    harbor.publish("b 4");
    await turns();
    expect(session.data).toEqual(["1", "2", "4"]);
  });
});

it("never takes a client back to a lost position that no longer concerns a channel of its stream", async () => {
  const harbor = new Harbor();
  harbor.publish("a 1");
  const session = new MemoryClient();
  session.block();
  const subscription = new Subscription(session, harbor.delivery.audience);
  session.subscription = subscription;
  subscription.beginLater(true);
  subscription.join(["a"], {}, { isReplayed: true, comesFirst: true });
  subscription.join(["b"], {}, LATER);
  subscription.leave(["a"]);
  subscription.place("e.77");
  harbor.publish("b 2");
  session.drain();
  await turns();
  expect(session.data).toEqual(["2"]);
  expect(session.signals).not.toContain("cursor e.77");
  expect(session.lastEventId).toBe("e.2");
});

describe("a client that comes back while the log is reset, before its position is located", () => {
  function returning({ delivery }: Harbor): { session: MemoryClient; subscription: Subscription } {
    const session = new MemoryClient();
    const subscription = new Subscription(session, delivery.audience);
    session.subscription = subscription;
    subscription.beginLater(true);
    return { session, subscription };
  }

  it("gets a replay if its position belongs to the new history", async () => {
    const harbor = new Harbor();
    const { session, subscription } = returning(harbor);
    subscription.join(["a"], {}, { isReplayed: true, comesFirst: true });
    harbor.delivery.reset("fork", "e.100");
    harbor.publish("a 1");
    subscription.place("e.100");
    await turns();
    expect(session.data).toEqual(["1"]);
    expect(harbor.observer.resets).toEqual([]);
  });

  it.each([
    ["its position belongs to the lost one", [], "e.1", "trimmed"],
    ["a channel began in the lost one", ["b"], "e.100", "fork"],
  ] as const)("gets a reset if %s", async (_, joined, lastEventId, reason) => {
    const harbor = new Harbor();
    const { subscription } = returning(harbor);
    subscription.join(["a"], {}, { isReplayed: true, comesFirst: true });
    subscription.join(joined, {}, LATER);
    harbor.delivery.reset("fork", "e.100");
    subscription.place(lastEventId);
    await turns();
    expect(harbor.observer.resets).toEqual([reason]);
  });

  it.each([
    [
      "gets a replay of its other channels if it leaves those that began in the lost one",
      "e.100",
      ["1"],
      [],
    ],
    [
      "gets a reset for its other channels even if it leaves those that began in the lost one",
      "e.0",
      ["1"],
      ["fork"],
    ],
  ] as const)("%s", async (_, lastEventId, data, resets) => {
    const harbor = new Harbor();
    const { session, subscription } = returning(harbor);
    subscription.join(["b"], { latest: 1 }, LATER);
    harbor.delivery.reset("fork", "e.100");
    subscription.join(["a"], {}, { isReplayed: true, comesFirst: true });
    harbor.publish("a 1");
    subscription.place(lastEventId);
    subscription.leave(["b"]);
    await turns();
    expect(session.data).toEqual(data);
    expect(harbor.observer.resets).toEqual(resets);
  });
});

describe("channels joined by a second call in the same turn", () => {
  it("are replayed to a returning client as if it were one call", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "b 2", "a 3", "b 4");
    const session = new MemoryClient();
    harbor.begin("a", { lastEventId: "e.1" }, session, { channels: ["b"] });
    harbor.publish("b 5");
    await turns();
    expect(session.data).toEqual(["2", "3", "4", "5"]);
    expect(session.signals).toEqual(["cursor e.1"]);
  });

  it("start live for a new client", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "b 2");
    const session = new MemoryClient();
    harbor.begin("a", {}, session, { channels: ["b"] });
    harbor.publish("b 3", "a 4");
    await turns();
    expect(session.data).toEqual(["3", "4"]);
    expect(session.signals).toEqual(["cursor e.2"]);
  });

  it("bring their snapshots, once each, to a client with a reset, and other events afterwards", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "b 2");
    const session = new MemoryClient();
    const calledAt: number[] = [];
    const snapshot = (name: string) => (): string[] => {
      calledAt.push(harbor.window.tail);
      return [`state of ${name}`];
    };
    harbor.begin("a", { lastEventId: "x", snapshot: snapshot("a") }, session, {
      channels: ["b"],
      options: { snapshot: snapshot("b") },
    });
    harbor.publish("b 3", "a 4");
    await turns();
    expect(session.data.slice(0, 2).toSorted()).toEqual(["state of a", "state of b"]);
    expect(session.data.slice(2)).toEqual(calledAt[0] === 4 ? [] : ["3", "4"]);
  });

  it("bring their snapshots before the client gets a position", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "b 2");
    const connect = (lastEventId: string, session: MemoryClient): MemoryClient => {
      harbor.begin("a", { lastEventId, snapshot: () => ["state of a"] }, session, {
        channels: ["b"],
        options: { snapshot: () => ["state of b"] },
      });
      return session;
    };
    const first = new MemoryClient();
    first.fillsUp = true;
    connect("", first);
    await turns();
    // Cut off after the first write: the data it has then, plus the data after reconnecting, is the whole state.
    const second = connect(first.lastEventId, new MemoryClient());
    await turns();
    expect([...first.data, ...second.data]).toContain("state of b");
  });
});

describe("channels that were left", () => {
  it("get no more events, and nothing is kept for them", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe(["a", "b"]);
    session.subscription?.leave(["b", "never joined"]);
    harbor.publish("b 1", "a 2");
    await turns();
    expect(session.data).toEqual(["2"]);
    expect(harbor.delivery.audience.channelCount).toBe(1);
  });

  it("start live when they are joined again", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe(["a", "b"]);
    session.subscription?.leave(["b"]);
    harbor.publish("b 1");
    await turns();
    session.subscription?.join(["b"], {}, LATER);
    harbor.publish("b 2");
    await turns();
    expect(session.data).toEqual(["2"]);
  });

  it("leave a snapshot in place that also covers other channels", async () => {
    const harbor = new Harbor();
    const snapshot = (): string[] => ["state"];
    const session = harbor.subscribe("a", { snapshot });
    session.subscription?.join(["b"], { snapshot }, LATER);
    session.subscription?.leave(["b"]);
    harbor.delivery.reset("fork", "e.100");
    await turns();
    expect(session.data).toEqual(["state", "state", "state"]);
  });

  it("do not have their snapshots called after a reset", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.subscription?.join(["b"], { snapshot: () => ["state of b"] }, LATER);
    session.subscription?.leave(["b"]);
    harbor.delivery.reset("fork", "e.100");
    await turns();
    expect(session.data).toEqual(["state of b"]);
  });
});

describe("a reset that waits", () => {
  it("is dropped when the client leaves the last affected channel: a channel joined since has lost nothing", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.block();
    harbor.delivery.reset("fork", "e.100");
    session.subscription?.join(["b"], {}, LATER);
    session.subscription?.leave(["a"]);
    harbor.delivery.entries([{ id: "e.101", channel: "b", data: "1" }]);
    await turns();
    session.drain();
    harbor.delivery.entries([{ id: "e.102", channel: "b", data: "2" }]);
    await turns();
    expect(session.signals).toEqual(["cursor e.0"]);
    expect(session.data).toEqual(["1", "2"]);
    expect(session.lastEventId).toBe("e.102");
  });

  it("names every current channel while one of the affected channels remains", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe(["a", "b"]);
    session.block();
    harbor.delivery.reset("fork", "e.100");
    session.subscription?.join(["c"], {}, LATER);
    session.subscription?.leave(["a"]);
    session.drain();
    await turns();
    expect(session.events.at(-1)?.data).toBe('{"reason":"fork","channels":["b","c"]}');
  });

  it("is dropped when its channels are left and joined again", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.block();
    harbor.delivery.reset("fork", "e.100");
    session.subscription?.leave(["a"]);
    session.subscription?.join(["a"], { snapshot: () => ["state"] }, LATER);
    harbor.delivery.entries([{ id: "e.101", channel: "a", data: "in the state" }]);
    await turns();
    session.drain();
    harbor.delivery.entries([{ id: "e.102", channel: "a", data: "2" }]);
    await turns();
    expect(session.signals).toEqual(["cursor e.0", "cursor e.101"]);
    expect(session.data).toEqual(["state", "2"]);
  });
});

describe("the cursor event of the heartbeat", () => {
  it("is due when others have published and the stream was silent", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    expect(session.subscription?.beat(0, true)).toBeUndefined();
    harbor.publish("b 1");
    await turns();
    expect(session.subscription?.beat(0, false)).toBeUndefined();
    expect(session.subscription?.beat(0, true)?.bytes.toString()).toBe(
      "event: sse-cursor\nid: e.1\ndata: {}\n\n",
    );
    expect(session.subscription?.beat(0, true)).toBeUndefined();
  });

  it("carries the heartbeat interval if it is the first of a stream that began with a reset", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1");
    const session = harbor.subscribe("a", { lastEventId: "f.1" });
    expect(session.signals).toEqual(["reset e.1"]);
    for (const [data, id] of [
      ['{"heartbeatMs":false}', "e.2"],
      ["{}", "e.3"],
    ]) {
      harbor.publish("b other");
      await turns();
      expect(session.subscription?.beat(0, true)?.bytes.toString()).toBe(
        `event: sse-cursor\nid: ${id}\ndata: ${data}\n\n`,
      );
    }
  });

  it("is due early when the client's position approaches the end of the window", async () => {
    const harbor = new Harbor({ maxEvents: 10 });
    const session = harbor.subscribe("a");
    for (let n = 1; n <= 6; n++) harbor.publish(`b ${n}`);
    await turns();
    expect(session.subscription?.beat(0, false)?.bytes.toString()).toContain("id: e.6");
  });

  it("is not due while the client is behind", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.block();
    harbor.publish("a 1");
    await turns();
    expect(session.subscription?.beat(0, true)).toBeUndefined();
  });

  it("never covers entries that are not handed over yet", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    harbor.publish("a 1");
    expect(session.subscription?.beat(0, true)).toBeUndefined();
    await turns();
    expect(session.data).toEqual(["1"]);
  });

  it("never covers entries that are not handed over yet when a burst has trimmed the position before it", async () => {
    const harbor = new Harbor({ maxEvents: 3 });
    const session = harbor.subscribe("a");
    harbor.publish("b 1");
    await turns();
    for (let n = 2; n <= 9; n++) harbor.publish(`a ${n}`);
    const frame = session.subscription?.beat(0, true);
    expect(frame?.bytes.toString() ?? "").not.toContain("id: e.9");
  });
});

describe("finish", () => {
  it("calls back once everything published until then is written", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.block();
    const large = "x".repeat(40_000);
    harbor.publish(`a 1${large}`, `a 2${large}`);
    await turns();
    harbor.publish(`a 3${large}`);
    const written: number[] = [];
    session.subscription?.finish(() => void written.push(session.data.length));
    expect(written).toEqual([]);
    session.drain();
    await turns(10);
    expect(written).toEqual([3]);
  });

  it("calls back at once if everything is written", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    harbor.publish("b 1");
    await turns();
    let calls = 0;
    session.subscription?.finish(() => void (calls += 1));
    await turns();
    expect(calls).toBe(1);
  });

  it("waits for a late snapshot", async () => {
    const harbor = new Harbor();
    const { snapshot, resolve } = slowSnapshot();
    const session = harbor.subscribe("a", { snapshot });
    const written: string[][] = [];
    session.subscription?.finish(() => void written.push(session.data));
    await turns();
    expect(written).toEqual([]);
    resolve(["state"]);
    await turns();
    expect(written).toEqual([["state"]]);
  });

  it("never calls back if the session closes first", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.block();
    harbor.publish("a 1");
    let calls = 0;
    session.subscription?.finish(() => void (calls += 1));
    session.close();
    await turns();
    expect(calls).toBe(0);
  });
});

describe("a reset by the log", () => {
  it("reaches every subscription once, whatever its channels, and continues from the new tail", async () => {
    const harbor = new Harbor();
    const sessions = [harbor.subscribe("a"), harbor.subscribe(["a", "b"])];
    harbor.publish("a 1");
    harbor.delivery.reset("fork", "e.100");
    await turns();
    for (const session of sessions) expect(session.signals).toEqual(["cursor e.0", "reset e.100"]);
    expect(harbor.observer.resets).toEqual(["fork", "fork"]);
    harbor.delivery.entries([{ id: "e.101", channel: "a", data: "new" }]);
    await turns();
    for (const session of sessions) expect(session.data).toEqual(["new"]);
  });

  it("voids earlier positions", async () => {
    const harbor = new Harbor();
    harbor.publish("a 1", "a 2");
    harbor.delivery.reset("fork", "e.1");
    expect(harbor.subscribe("a", { lastEventId: "e.2" }).signals).toEqual(["reset e.1"]);
    expect(harbor.subscribe("a", { lastEventId: "e.1" }).signals).toEqual(["cursor e.1"]);
  });

  it("reaches a subscription with a full socket at drain, and only once", async () => {
    const harbor = new Harbor();
    const session = harbor.subscribe("a");
    session.block();
    harbor.delivery.reset("trimmed", "e.50");
    harbor.delivery.reset("trimmed", "e.60");
    await turns();
    session.drain();
    expect(session.signals).toEqual(["cursor e.0", "reset e.60"]);
  });
});
