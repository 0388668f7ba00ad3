import type { CorsOptions } from "cors";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SWEEP_MS } from "../../src/outlet/heartbeat.js";
import type { CloseReason } from "../../src/session/session.js";
import { OPENING, failingSource, makeSession, settle } from "../session-under-test.js";
import type { SessionUnderTest } from "../session-under-test.js";
import { thrownBy, untyped } from "../thrown.js";

const COMPLETE = "event: sse-complete\nid: ~end\ndata: {}\n\n";
const EVENT_SOURCE = { accept: "text/event-stream" };

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Reasons that `onClose` received. */
function reasonsOf({ session }: SessionUnderTest): CloseReason[] {
  const reasons: CloseReason[] = [];
  session.onClose((reason) => void reasons.push(reason));
  return reasons;
}

/** An origin function that answers when `answer` is called. */
function slowOrigin(): { cors: CorsOptions; answer: (error?: Error) => void } {
  const callbacks: ((error: Error | null, allow?: boolean) => void)[] = [];
  return {
    cors: { origin: (_origin, callback) => void callbacks.push(callback) },
    answer: (error) => {
      for (const callback of callbacks.splice(0)) callback(error ?? null, true);
    },
  };
}

describe("a session that was not opened", () => {
  it("is idle and has written nothing", () => {
    const { session, sink, host } = makeSession();
    expect(session.state).toBe("idle");
    expect(session.hub).toBe("the hub");
    expect(session.bufferedBytes).toBe(0);
    expect(sink.calls).toEqual([]);
    expect(sink.headers.all()).toEqual({});
    expect(host.calls).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("stays idle while its properties are read", () => {
    const { session, sink } = makeSession({}, { headers: EVENT_SOURCE });
    expect([session.wantsEventStream, session.lastEventId, session.signal.aborted]).toEqual([
      true,
      "",
      false,
    ]);
    session.onClose(() => {});
    expect(session.state).toBe("idle");
    expect(sink.calls).toEqual([]);
  });

  it("closes when the route answers in another way", async () => {
    const test = makeSession();
    const reasons = reasonsOf(test);
    test.sink.answerElsewhere();
    await settle();
    expect(test.session.state).toBe("closed");
    expect(reasons).toEqual(["ended"]);
    expect(test.host.calls).toEqual([]);
    expect(test.session.open()).toBe(false);
  });

  it("closes when the client leaves", () => {
    const test = makeSession();
    const reasons = reasonsOf(test);
    test.sink.leave();
    expect(reasons).toEqual(["client"]);
  });

  it("is closed from the start if the client had already left", async () => {
    const test = makeSession({}, { isGone: true });
    expect(test.session.state).toBe("closed");
    expect(reasonsOf(test)).toEqual(["client"]);
    expect(test.session.open()).toBe(false);
    expect(await test.session.send("x")).toBe(false);
    expect(test.sink.calls).toEqual([]);
  });

  it("cannot be opened once the route has sent its head", () => {
    const { session, sink } = makeSession();
    sink.answerElsewhere();
    for (const open of [
      () => session.open(),
      () => session.send("x"),
      () => session.comment("x"),
    ]) {
      expect(thrownBy(open).code).toBe("ERR_SSE_HEADERS_SENT");
    }
    expect(session.state).toBe("idle");
  });

  it("reads the request's properties", () => {
    const { session } = makeSession({}, { url: "/news?lastEventId=7", headers: { accept: "*/*" } });
    expect(session.wantsEventStream).toBe(false);
    expect(session.lastEventId).toBe("7");
    expect(makeSession({}, { headers: { "last-event-id": "8" } }).session.lastEventId).toBe("8");
  });
});

describe("open", () => {
  it("commits the head, and sends a comment once the turn is over", async () => {
    const { session, sink, host } = makeSession({ reconnectionTimeMs: 1_500 });
    expect(session.open()).toBe(true);
    expect(session.state).toBe("open");
    expect(sink.status).toBe(200);
    expect(sink.headers.all()).toEqual({
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-store, no-transform",
      "x-accel-buffering": "no",
    });
    expect(sink.writes).toEqual([]);
    await settle();
    expect(sink.writes.map(String)).toEqual([OPENING]);
    expect(host.calls).toEqual(["opened"]);
  });

  it("sends no comment if something is sent in the same turn, even after promises", async () => {
    const { session, sink } = makeSession();
    session.open();
    await Promise.resolve();
    await session.send("x");
    await settle();
    expect(sink.writes.map(String)).toEqual(["data: x\n\n"]);
  });

  it("sends a comment before its end if it is closed in the same turn", () => {
    const { session, sink } = makeSession();
    session.open();
    session.close();
    expect(sink.writes.map(String)).toEqual([OPENING]);
    expect(sink.calls).toEqual(["start", "end"]);
  });

  it("draws a reconnection time from the range for each session", () => {
    const random = vi.spyOn(Math, "random");
    const drawn = [0, 0.5, 0.999_999].map((value) => {
      random.mockReturnValue(value);
      const { session, sink } = makeSession({ reconnectionTimeMs: { min: 1_000, max: 3_000 } });
      void session.send("x");
      return sink.text;
    });
    expect(drawn).toEqual(["1000", "2000", "3000"].map((ms) => `retry: ${ms}\ndata: x\n\n`));
  });

  it("accepts status, headers and times of this stream", () => {
    const { session, sink } = makeSession({ reconnectionTimeMs: 1_500 });
    sink.headers.setHeader("set-cookie", "a=1");
    session.open({
      status: 201,
      headers: { "Set-Cookie": "b=2", "X-A": "1" },
      reconnectionTimeMs: 0,
    });
    expect(sink.status).toBe(201);
    expect(sink.headers.all()).toMatchObject({ "set-cookie": ["a=1", "b=2"], "x-a": "1" });
    void session.send("x");
    expect(sink.text).toBe("retry: 0\ndata: x\n\n");
  });

  it("has no effect on an open stream", () => {
    const { session, sink, host } = makeSession();
    session.open();
    expect(session.open()).toBe(true);
    expect(sink.calls).toEqual(["start"]);
    expect(host.calls).toEqual(["opened"]);
  });

  it("refuses options for an open stream", () => {
    const { session } = makeSession();
    session.open();
    expect(thrownBy(() => session.open({ status: 200 })).code).toBe("ERR_SSE_HEADERS_SENT");
    expect(session.state).toBe("open");
  });

  it("leaves the session idle if an option is wrong", () => {
    const { session, sink } = makeSession();
    expect(thrownBy(() => session.open({ status: 204 })).code).toBe("ERR_SSE_INVALID_OPTION");
    expect(session.state).toBe("idle");
    expect(sink.calls).toEqual([]);
    expect(session.open()).toBe(true);
  });

  it("is connecting until the head is sent", async () => {
    const { session, sink, host } = makeSession({}, { holdsHead: true });
    expect(session.open()).toBe(true);
    expect(session.state).toBe("connecting");
    expect(host.calls).toEqual(["opened"]);
    expect(sink.writes).toEqual([]);
    sink.sendHead();
    expect(session.state).toBe("open");
    await settle();
    expect(sink.text).toBe(OPENING);
  });

  it("closes with error, reports and is cut when a hook on its head throws", async () => {
    const startError = new Error("A hook on the head failed");
    const test = makeSession({}, { startError });
    expect(test.session.open()).toBe(false);
    expect(reasonsOf(test)).toEqual(["error"]);
    expect(test.host.reports).toEqual([{ error: startError, stage: "write" }]);
    expect(test.sink.calls).toEqual(["start", "destroy"]);
    await settle();
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a request that gets no stream", () => {
  it("is answered 406 by the framework if it does not accept one", async () => {
    const test = makeSession({}, { headers: { accept: "application/json" } });
    expect(test.session.open()).toBe(false);
    expect(reasonsOf(test)).toEqual(["refused"]);
    expect(test.sink.calls).toEqual(["refuse"]);
    expect(test.sink.refusal).toMatchObject({
      code: "ERR_SSE_NOT_ACCEPTABLE",
      statusCode: 406,
      message: "The client does not accept text/event-stream",
    });
    expect(test.sink.headers.all()).toEqual({});
    expect(await test.session.send("x")).toBe(false);
    expect(test.host.calls).toEqual([]);
  });

  it("is answered 204 if it comes back after complete()", () => {
    for (const request of [
      { headers: { "last-event-id": "~end" } },
      { url: "/?lastEventId=~end" },
    ]) {
      const test = makeSession({}, request);
      expect(test.session.open()).toBe(false);
      expect(reasonsOf(test)).toEqual(["completed"]);
      expect(test.sink.calls).toEqual(["answer"]);
      expect(test.sink.status).toBe(204);
      expect(test.host.calls).toEqual([]);
    }
  });

  it("has the head of a stream and no body if it is a HEAD", () => {
    const test = makeSession({ reconnectionTimeMs: 1_000 }, { method: "HEAD" });
    expect(test.session.open({ status: 202, headers: { "X-A": "1" } })).toBe(false);
    expect(reasonsOf(test)).toEqual(["ended"]);
    expect(test.sink.calls).toEqual(["answer"]);
    expect(test.sink.status).toBe(202);
    expect(test.sink.headers.all()).toMatchObject({
      "content-type": "text/event-stream",
      "x-a": "1",
    });
    expect(test.sink.writes).toEqual([]);
    expect(test.host.calls).toEqual([]);
  });

  it.each([
    ["busy", "refused"],
    ["shutdown", "shutdown"],
  ] as const)(
    "is an empty stream that is held and then cut if an EventSource is turned away: %s",
    async (obstacle, reason) => {
      vi.spyOn(Math, "random").mockReturnValue(0);
      const test = makeSession({ reconnectionTimeMs: 1_000 }, { headers: EVENT_SOURCE });
      test.host.obstacle = obstacle;
      expect(test.session.open()).toBe(false);
      expect(reasonsOf(test)).toEqual([reason]);
      expect(test.sink.status).toBe(200);
      expect(test.sink.headers.getHeader("content-type")).toBe("text/event-stream");
      expect(test.sink.text).toBe(OPENING);
      expect(test.sink.calls).toEqual(["start"]);
      // Without a session: no stream was opened or closed.
      expect(test.host.calls).toEqual(["turnedAway"]);
      expect(test.host.held.size).toBe(1);
      vi.advanceTimersByTime(4_900);
      expect(test.sink.calls).toEqual(["start"]);
      vi.advanceTimersByTime(600);
      expect(test.sink.calls).toEqual(["start", "destroy"]);
      expect(test.sink.text).toBe(OPENING);
      expect(test.host.held.size).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  it.each([
    ["a client that accepts anything", { headers: { accept: "*/*" } }],
    ["a client without an Accept header", {}],
    ["a HEAD that accepts anything", { method: "HEAD", headers: { accept: "*/*" } }],
  ])("is 503 with Retry-After if %s is turned away", (_name, request) => {
    vi.spyOn(Math, "random").mockReturnValue(0.999_999);
    const test = makeSession({}, request);
    test.host.obstacle = "busy";
    expect(test.session.open()).toBe(false);
    expect(reasonsOf(test)).toEqual(["refused"]);
    expect(test.sink.calls).toEqual(["answer"]);
    expect(test.sink.status).toBe(503);
    expect(test.sink.headers.all()).toEqual({ "retry-after": "30" });
  });

  it("is the head that an EventSource would get, without a body, if its HEAD is turned away", () => {
    const test = makeSession({}, { method: "HEAD", headers: EVENT_SOURCE });
    test.host.obstacle = "busy";
    expect(test.session.open()).toBe(false);
    expect(reasonsOf(test)).toEqual(["refused"]);
    expect(test.sink.calls).toEqual(["answer"]);
    expect(test.sink.status).toBe(200);
    expect(test.sink.headers.getHeader("content-type")).toBe("text/event-stream");
    expect(test.host.calls).toEqual(["turnedAway"]);
    expect(test.host.held.size).toBe(0);
  });

  it("has neither the caller's headers nor the caller's status if it is turned away", () => {
    const { session, sink, host } = makeSession({}, { headers: EVENT_SOURCE });
    host.obstacle = "busy";
    session.open({ status: 201, headers: { "X-A": "1" } });
    expect(sink.status).toBe(200);
    expect(sink.headers.getHeader("x-a")).toBeUndefined();
  });

  it("gets 204 and 406 even if the hub is full", () => {
    const completed = makeSession({}, { headers: { "last-event-id": "~end", ...EVENT_SOURCE } });
    completed.host.obstacle = "busy";
    completed.session.open();
    expect(completed.sink.status).toBe(204);
    const refused = makeSession({}, { headers: { accept: "text/html" } });
    refused.host.obstacle = "busy";
    refused.session.open();
    expect(refused.sink.calls).toEqual(["refuse"]);
  });
});

describe("CORS", () => {
  const APP = "https://app.example";

  it("sets its headers before the head, also on refusals", () => {
    const options = { cors: { origin: APP } };
    const opened = makeSession(options, { headers: { origin: APP } });
    opened.session.open();
    expect(opened.sink.headers.all()).toMatchObject({
      "access-control-allow-origin": APP,
      vary: "Origin",
    });
    const refused = makeSession(options, { headers: { origin: APP, accept: "text/html" } });
    refused.session.open();
    expect(refused.sink.calls).toEqual(["refuse"]);
    expect(refused.sink.headers.getHeader("access-control-allow-origin")).toBe(APP);
  });

  it("holds the stream back until an origin function has answered", async () => {
    const { cors, answer } = slowOrigin();
    const { session, sink } = makeSession({ cors });
    expect(session.open()).toBe(true);
    expect(session.state).toBe("connecting");
    const sent = session.send("x");
    expect(sink.calls).toEqual([]);
    answer();
    expect(session.state).toBe("open");
    expect(sink.text).toBe(`data: x\n\n`);
    expect(await sent).toBe(true);
  });

  it("passes the error of an origin function to the framework", async () => {
    const { cors, answer } = slowOrigin();
    const test = makeSession({ cors });
    const reasons = reasonsOf(test);
    const sent = test.session.send("x");
    const fault = new Error("The list of origins is out of reach");
    answer(fault);
    expect(test.sink.calls).toEqual(["refuse"]);
    expect(test.sink.refusal).toBe(fault);
    expect(reasons).toEqual(["refused"]);
    expect(await sent).toBe(false);
  });

  it("has no effect when the answer comes after the client has left", () => {
    const { cors, answer } = slowOrigin();
    const test = makeSession({ cors });
    const reasons = reasonsOf(test);
    test.session.open();
    test.sink.leave();
    answer();
    expect(reasons).toEqual(["client"]);
    expect(test.sink.calls).toEqual([]);
    expect(test.host.calls).toEqual([]);
  });

  it("gives way if the route has answered in another way meanwhile", async () => {
    const { cors, answer } = slowOrigin();
    const test = makeSession({ cors });
    const reasons = reasonsOf(test);
    test.session.open();
    test.sink.answerElsewhere();
    answer();
    await settle();
    expect(reasons).toEqual(["ended"]);
    expect(test.sink.calls).toEqual([]);
  });

  it.each([
    ["close()", "", (test: SessionUnderTest) => test.session.close()],
    ["complete()", COMPLETE, (test: SessionUnderTest) => void test.session.complete()],
  ])(
    "still delivers accepted messages when %s comes before its answer",
    async (_name, last, end) => {
      const { cors, answer } = slowOrigin();
      const test = makeSession({ cors }, { headers: EVENT_SOURCE });
      void test.session.send("x");
      end(test);
      answer();
      expect(test.sink.text).toBe(`data: x\n\n${last}`);
      expect(test.sink.calls).toEqual(["start", "end"]);
    },
  );

  it("answers the request even if the handler fails before its answer", async () => {
    const { cors, answer } = slowOrigin();
    const test = makeSession({ cors });
    const fault = new Error("source");
    await expect(test.session.stream(failingSource(fault))).rejects.toBe(fault);
    answer();
    expect(test.sink.calls).toContain("end");
  });

  it("sends no held messages to a client that is turned away after it", async () => {
    const { cors, answer } = slowOrigin();
    const test = makeSession({ cors }, { headers: EVENT_SOURCE });
    test.host.obstacle = "busy";
    const sent = test.session.send({ id: "7", data: "x" });
    answer();
    expect(await sent).toBe(false);
    expect(test.sink.text).toBe(OPENING);
  });

  it("opens the stream once, even if an origin function calls back twice", () => {
    const callbacks: ((error: Error | null, allow?: boolean) => void)[] = [];
    const cors: CorsOptions = { origin: (_origin, callback) => void callbacks.push(callback) };
    const { session, sink, host } = makeSession({ cors }, { holdsHead: true });
    session.open();
    callbacks[0]?.(null, true);
    callbacks[0]?.(null, true);
    expect(host.calls).toEqual(["opened"]);
    expect(sink.calls).toEqual(["start"]);
  });
});

describe("send", () => {
  it("opens the stream and writes one event", async () => {
    const { session, sink } = makeSession();
    expect(await session.send({ event: "tick", id: "1", retry: 0, data: { n: 1 } })).toBe(true);
    expect(await session.send("two")).toBe(true);
    expect(sink.writes.map(String)).toEqual([
      'event: tick\nid: 1\nretry: 0\ndata: {"n":1}\n\n',
      "data: two\n\n",
    ]);
  });

  it("throws for an invalid message before a byte is written and before the stream is open", () => {
    const { session, sink } = makeSession();
    expect(thrownBy(() => session.send({ id: "a\nb", data: "x" })).code).toBe(
      "ERR_SSE_INVALID_FIELD",
    );
    expect(thrownBy(() => session.send({ data: undefined } as never)).code).toBe(
      "ERR_SSE_INVALID_DATA",
    );
    expect(thrownBy(() => session.send({ id: "~end", data: "" })).code).toBe("ERR_SSE_ID_RESERVED");
    expect(thrownBy(() => session.comment(untyped<string>(7))).code).toBe("ERR_SSE_INVALID_DATA");
    expect(session.state).toBe("idle");
    expect(sink.calls).toEqual([]);
  });

  it("does not check a message on a closed session", async () => {
    const { session } = makeSession({
      serialize: () => {
        throw new Error("looked at");
      },
    });
    session.close();
    expect(await session.send({ event: "", data: { n: 1 } })).toBe(false);
    expect(await session.comment("x")).toBe(false);
  });

  it("leaves the next event intact when the serializer fails", async () => {
    const serialize = (data: unknown): string => {
      if (data === "bad") throw new Error("x");
      return `${(data as { n: number }).n}`;
    };
    const { session, sink } = makeSession({
      serialize: (data) => serialize((data as { bad?: 1 }).bad ? "bad" : data),
    });
    session.open();
    expect(() => session.send({ event: "e", id: "1", data: { bad: 1 } })).toThrow(
      "Could not serialize",
    );
    await session.send({ data: { n: 2 } });
    expect(sink.text).toBe(`data: 2\n\n`);
  });

  it("resolves to true at once while the client keeps up", async () => {
    const { session, sink } = makeSession({}, { highWaterMark: 100 });
    session.open();
    sink.stopReading();
    expect(await session.send("x")).toBe(true);
    expect(session.bufferedBytes).toBe(9);
  });

  it("waits while the client is backed up and resolves to true once it has read everything", async () => {
    const { session, sink } = makeSession({}, { highWaterMark: 5 });
    session.open();
    sink.stopReading();
    let outcome: boolean | undefined;
    void session.send("x").then((value) => (outcome = value));
    await settle();
    expect(outcome).toBeUndefined();
    sink.take(4);
    await settle();
    expect(outcome).toBeUndefined();
    sink.take();
    await settle();
    expect(outcome).toBe(true);
  });

  it("returns the same promise to all waiting calls, and still writes", async () => {
    const { session, sink } = makeSession({}, { highWaterMark: 5 });
    session.open();
    sink.stopReading();
    const first = session.send("1");
    expect(session.send("2")).toBe(first);
    expect(session.comment("3")).toBe(first);
    expect(sink.text).toBe(`data: 1\n\ndata: 2\n\n: 3\n\n`);
    sink.take();
    expect(await first).toBe(true);
    // Backed up again, which starts a new wait.
    expect(session.send("4")).not.toBe(first);
  });

  it("resolves to false if the client leaves during the wait", async () => {
    const { session, sink } = makeSession({}, { highWaterMark: 5 });
    session.open();
    sink.stopReading();
    const sent = session.send("x");
    sink.leave();
    expect(await sent).toBe(false);
  });

  it.each([
    ["close()", (test: SessionUnderTest) => test.session.close()],
    ["complete()", (test: SessionUnderTest) => void test.session.complete()],
    ["a shutdown", (test: SessionUnderTest) => test.session.shutDown()],
    ["a cut", (test: SessionUnderTest) => test.session.destroy()],
    ["a failure of the framework", (test: SessionUnderTest) => test.sink.failInFramework()],
  ])("resolves to false if %s comes during the wait", async (_name, end) => {
    const test = makeSession({}, { highWaterMark: 5 });
    test.session.open();
    test.sink.stopReading();
    const sent = test.session.send("x");
    end(test);
    expect(await sent).toBe(false);
  });

  it("resolves to false and writes nothing once the session is closed", async () => {
    const { session, sink } = makeSession();
    session.open();
    session.close();
    const written = sink.text;
    expect(await session.send("x")).toBe(false);
    expect(await session.comment("x")).toBe(false);
    expect(sink.text).toBe(written);
  });

  it("writes comments", async () => {
    const { session, sink } = makeSession();
    expect(await session.comment("a\nb")).toBe(true);
    expect(await session.comment("")).toBe(true);
    expect(sink.text).toBe(`: a\n: b\n\n:\n\n`);
  });
});

describe("while the head is on its way", () => {
  it("holds messages and writes them in one piece after the opening", async () => {
    const { session, sink } = makeSession({ reconnectionTimeMs: 1_000 }, { holdsHead: true });
    const first = session.send("1");
    const second = session.send("2");
    expect(second).toBe(first);
    void session.comment("3");
    expect(sink.writes).toEqual([]);
    expect(session.bufferedBytes).toBe("retry: 1000\ndata: 1\n\ndata: 2\n\n: 3\n\n".length);
    sink.sendHead();
    expect(sink.writes.map(String)).toEqual(["retry: 1000\ndata: 1\n\ndata: 2\n\n: 3\n\n"]);
    expect(await first).toBe(true);
    expect(session.bufferedBytes).toBe(0);
  });

  it("continues to wait if that piece backs the client up", async () => {
    const { session, sink } = makeSession({}, { holdsHead: true, highWaterMark: 5 });
    sink.stopReading();
    let outcome: boolean | undefined;
    void session.send("x").then((value) => (outcome = value));
    sink.sendHead();
    await settle();
    expect(outcome).toBeUndefined();
    sink.take();
    await settle();
    expect(outcome).toBe(true);
  });

  it("delivers earlier messages on close()", async () => {
    const test = makeSession({}, { holdsHead: true });
    const reasons = reasonsOf(test);
    const sent = test.session.send("1");
    test.session.close();
    expect(test.session.state).toBe("closed");
    expect(test.session.bufferedBytes).toBe(0);
    expect(reasons).toEqual(["ended"]);
    expect(await sent).toBe(false);
    expect(test.sink.calls).toEqual(["start"]);
    test.sink.sendHead();
    expect(test.sink.writes.map(String)).toEqual([`data: 1\n\n`]);
    expect(test.sink.calls).toEqual(["start", "end"]);
    await settle();
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
  });

  it("delivers earlier messages and the completion on complete()", () => {
    const { session, sink } = makeSession({}, { holdsHead: true, headers: EVENT_SOURCE });
    void session.send("1");
    void session.complete();
    sink.sendHead();
    expect(sink.writes.map(String)).toEqual([`data: 1\n\n${COMPLETE}`]);
    expect(sink.calls).toEqual(["start", "end"]);
  });

  it("delivers earlier messages on a shutdown", () => {
    const { session, sink } = makeSession({ reconnectionTimeMs: 700 }, { holdsHead: true });
    void session.send("1");
    session.shutDown();
    sink.sendHead();
    expect(sink.text).toBe("retry: 700\ndata: 1\n\n");
    expect(sink.calls).toEqual(["start", "end"]);
  });

  it("delivers messages accepted before a source failed", async () => {
    const { session, sink } = makeSession({}, { holdsHead: true });
    const fault = new Error("source");
    void session.send("1");
    await expect(session.stream(failingSource(fault))).rejects.toBe(fault);
    sink.sendHead();
    expect(sink.text).toBe(`data: 1\n\n`);
    expect(sink.calls).toEqual(["start", "end"]);
  });

  it("is cut with slow beyond maxBufferedBytes", async () => {
    const test = makeSession({ maxBufferedBytes: 20 }, { holdsHead: true });
    const reasons = reasonsOf(test);
    void test.session.send("1");
    const second = test.session.send("2");
    expect(test.session.state).toBe("connecting");
    const third = test.session.send("3");
    expect(reasons).toEqual(["slow"]);
    expect(test.sink.calls).toEqual(["start", "destroy"]);
    expect(await Promise.all([second, third])).toEqual([false, false]);
  });

  it("leaves the answer to a framework that fails", async () => {
    const test = makeSession({}, { holdsHead: true });
    const reasons = reasonsOf(test);
    const sent = test.session.send("1");
    test.sink.failInFramework();
    expect(reasons).toEqual(["error"]);
    expect(await sent).toBe(false);
    expect(test.sink.calls).toEqual(["start"]);
    test.sink.answerElsewhere();
    await settle();
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
  });

  it("is closed if the client leaves", async () => {
    const test = makeSession({}, { holdsHead: true });
    const reasons = reasonsOf(test);
    const sent = test.session.send("1");
    test.sink.leave();
    expect(reasons).toEqual(["client"]);
    expect(await sent).toBe(false);
    test.sink.sendHead();
    expect(test.sink.writes).toEqual([]);
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
  });

  it("sends no heartbeat", () => {
    const { session, sink } = makeSession({ heartbeatMs: 1_000 }, { holdsHead: true });
    session.open();
    vi.advanceTimersByTime(10_000);
    expect(sink.writes).toEqual([]);
  });
});

describe("bufferedBytes", () => {
  it("is the bytes that the socket has not taken yet, and 0 once the session is closed", () => {
    const { session, sink } = makeSession();
    session.open();
    sink.stopReading();
    void session.send("12345");
    expect(session.bufferedBytes).toBe(13);
    sink.take(3);
    expect(session.bufferedBytes).toBe(10);
    session.close();
    expect(session.bufferedBytes).toBe(0);
  });
});

describe("maxBufferedBytes", () => {
  it("closes with slow beyond it, cuts the connection and drops buffered bytes", async () => {
    const test = makeSession({ maxBufferedBytes: 20 }, { highWaterMark: 5 });
    test.session.open();
    const reasons = reasonsOf(test);
    test.sink.stopReading();
    void test.session.send("1");
    void test.session.send("2");
    expect(test.session.bufferedBytes).toBe(18);
    expect(test.session.state).toBe("open");
    // The first message went to a client that had taken everything, so it does not count.
    void test.session.send("3");
    expect(test.session.state).toBe("open");
    const last = test.session.send("4");
    expect(reasons).toEqual(["slow"]);
    expect(await last).toBe(false);
    expect(test.sink.calls).toEqual(["start", "destroy"]);
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("may be reached exactly", () => {
    const { session, sink } = makeSession({ maxBufferedBytes: 18 }, { highWaterMark: 5 });
    session.open();
    sink.stopReading();
    void session.send("1");
    void session.send("2");
    expect(session.bufferedBytes).toBe(18);
    expect(session.state).toBe("open");
  });
});

describe("heartbeatMs", () => {
  it("sends a lone comment once nothing was written for this long", async () => {
    const { session, sink } = makeSession({ heartbeatMs: 3_000 });
    session.open();
    await settle();
    vi.advanceTimersByTime(2_000);
    expect(sink.text).toBe(OPENING);
    vi.advanceTimersByTime(999);
    expect(sink.text).toBe(`${OPENING}:\n\n`);
    vi.advanceTimersByTime(2_700);
    expect(sink.text).toBe(`${OPENING}:\n\n:\n\n`);
  });

  it("restarts with each event and comment", () => {
    const { session, sink } = makeSession({ heartbeatMs: 3_000 });
    session.open();
    for (let second = 0; second < 10; second += 2) {
      vi.advanceTimersByTime(2_000);
      void (second % 4 === 0 ? session.send("x") : session.comment("x"));
    }
    expect(sink.text).not.toContain("\n:\n");
    vi.advanceTimersByTime(3_000);
    expect(sink.writes.map(String).at(-1)).toBe(":\n\n");
  });

  it.each([1_000, 1_500, 1_999, 2_500, 15_000])(
    "is sent at most a second early and never late: %s ms",
    (heartbeatMs) => {
      for (const phase of [1, 250, 999]) {
        const { session, sink } = makeSession({ heartbeatMs });
        session.open();
        vi.advanceTimersByTime(phase);
        void session.send("x");
        const sentAt = performance.now();
        const before = sink.writes.length;
        while (sink.writes.length === before) vi.advanceTimersByTime(1);
        const silence = performance.now() - sentAt;
        expect(silence).toBeLessThanOrEqual(heartbeatMs);
        expect(silence).toBeGreaterThanOrEqual(heartbeatMs - 1_000);
        session.destroy();
      }
    },
  );

  it("sends no heartbeat while the client is backed up", () => {
    const { session, sink } = makeSession({ heartbeatMs: 1_000, stallTimeoutMs: 60_000 });
    session.open();
    sink.stopReading();
    void session.send("x");
    vi.advanceTimersByTime(10_000);
    expect(sink.text).toBe(`data: x\n\n`);
    sink.readOn();
    vi.advanceTimersByTime(1_000);
    expect(sink.text).toBe(`data: x\n\n:\n\n`);
  });

  it("sends no heartbeat if it is off, for the hub or for the stream", async () => {
    const off = makeSession({ heartbeatMs: false });
    off.session.open();
    const own = makeSession({ heartbeatMs: 1_000 });
    own.session.open({ heartbeatMs: false });
    await settle();
    vi.advanceTimersByTime(120_000);
    expect(off.sink.text).toBe(OPENING);
    expect(own.sink.text).toBe(OPENING);
  });

  it("uses the stream's own value instead of the hub's", async () => {
    const { session, sink } = makeSession({ heartbeatMs: 60_000 });
    session.open({ heartbeatMs: 2_000 });
    await settle();
    vi.advanceTimersByTime(2_000);
    expect(sink.text).toBe(`${OPENING}:\n\n`);
  });

  it("sends no heartbeat once the session is closed", () => {
    const { session, sink } = makeSession({ heartbeatMs: 1_000, stallTimeoutMs: 60_000 });
    session.open();
    sink.stopReading();
    void session.send("x");
    session.close();
    vi.advanceTimersByTime(10_000);
    expect(sink.text).toBe(`data: x\n\n`);
  });

  it("keeps no timer once all sessions are over", async () => {
    const { session } = makeSession();
    session.open();
    expect(vi.getTimerCount()).toBe(1);
    session.close();
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("maxStreamMs", () => {
  it.each([
    [0, 8_000],
    [0.5, 9_000],
    [0.999_999, 10_000],
  ])("ends the stream between 80 and 100 %% of it: drawn %s, after %s ms", async (drawn, life) => {
    vi.spyOn(Math, "random").mockReturnValue(drawn);
    const test = makeSession({ maxStreamMs: 10_000, heartbeatMs: false });
    test.session.open();
    const reasons = reasonsOf(test);
    vi.advanceTimersByTime(life - 2 * SWEEP_MS);
    expect(test.session.state).toBe("open");
    vi.advanceTimersByTime(3 * SWEEP_MS);
    expect(reasons).toEqual(["expired"]);
    expect(test.sink.calls).toEqual(["start", "end"]);
    expect(test.sink.text).toBe(OPENING);
    await settle();
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
  });

  it("uses the stream's own value instead of the hub's, even false", () => {
    const short = makeSession({ maxStreamMs: 60_000 });
    short.session.open({ maxStreamMs: 1_000 });
    const endless = makeSession({ maxStreamMs: 1_000 });
    endless.session.open({ maxStreamMs: false });
    vi.advanceTimersByTime(2_000);
    expect(short.session.state).toBe("closed");
    vi.advanceTimersByTime(120_000);
    expect(endless.session.state).toBe("open");
  });

  it("ends a stream even if its client is always backed up but keeps reading", () => {
    const test = makeSession({ maxStreamMs: 5_000, maxBufferedBytes: 1_000_000 });
    test.session.open();
    const reasons = reasonsOf(test);
    test.sink.stopReading();
    for (let second = 0; second < 20; second++) {
      void test.session.send("x".repeat(100));
      test.sink.take(10);
      vi.advanceTimersByTime(1_000);
    }
    expect(reasons).toEqual(["expired"]);
    expect(test.sink.calls).toEqual(["start", "end"]);
  });
});

describe("stallTimeoutMs", () => {
  it("does not apply if the client has read everything and the response has not reported it", async () => {
    const { session, sink } = makeSession({ heartbeatMs: false });
    session.open();
    sink.stopReading();
    const sent = session.send("x".repeat(20_000));
    sink.takeUnnoticed();
    vi.advanceTimersByTime(500);
    expect(await sent).toBe(true);
    expect(session.state).toBe("open");
  });

  it("closes with slow when a backed-up socket took nothing for this long", () => {
    const test = makeSession({ stallTimeoutMs: 5_000 });
    test.session.open();
    const reasons = reasonsOf(test);
    test.sink.stopReading();
    void test.session.send("x");
    // Detected at the first sweep, due five seconds after it.
    vi.advanceTimersByTime(5_000);
    expect(reasons).toEqual([]);
    vi.advanceTimersByTime(2 * SWEEP_MS);
    expect(reasons).toEqual(["slow"]);
    expect(test.sink.calls).toEqual(["start", "destroy"]);
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("restarts whenever the socket takes bytes", () => {
    const test = makeSession({ stallTimeoutMs: 5_000 });
    test.session.open();
    test.sink.stopReading();
    void test.session.send("x".repeat(100));
    for (let second = 0; second < 60; second += 4) {
      vi.advanceTimersByTime(4_000);
      test.sink.take(1);
    }
    expect(test.session.state).toBe("open");
    vi.advanceTimersByTime(6_000);
    expect(test.session.state).toBe("closed");
  });

  it("does not count the time before the socket was backed up", () => {
    const { session, sink } = makeSession({ stallTimeoutMs: 5_000 });
    session.open();
    sink.stopReading();
    void session.send("x");
    vi.advanceTimersByTime(4_000);
    sink.take();
    vi.advanceTimersByTime(4_000);
    void session.send("y");
    vi.advanceTimersByTime(5_000);
    expect(session.state).toBe("open");
    vi.advanceTimersByTime(1_000);
    expect(session.state).toBe("closed");
  });

  it("keeps a silent client that has nothing to read", () => {
    const { session } = makeSession({ stallTimeoutMs: 1_000 });
    session.open();
    vi.advanceTimersByTime(300_000);
    expect(session.state).toBe("open");
  });

  it.each([
    ["close()", "ended", (test: SessionUnderTest): void => test.session.close()],
    ["complete()", "completed", (test: SessionUnderTest): void => void test.session.complete()],
  ] as const)("cuts off a client that does not read the rest after %s", (_name, reason, end) => {
    const test = makeSession({ stallTimeoutMs: 5_000 });
    test.session.open();
    const reasons = reasonsOf(test);
    test.sink.stopReading();
    void test.session.send("x");
    end(test);
    vi.advanceTimersByTime(5_000);
    expect(test.sink.calls).toEqual(["start", "end"]);
    expect(test.host.calls).toEqual(["opened", "closed"]);
    vi.advanceTimersByTime(1_000);
    expect(test.sink.calls).toEqual(["start", "end", "destroy"]);
    expect(reasons).toEqual([reason]);
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("close", () => {
  it("ends the stream after earlier messages, once", async () => {
    const test = makeSession();
    void test.session.send("x");
    const reasons = reasonsOf(test);
    test.session.close();
    test.session.close();
    void test.session.complete();
    expect(test.session.state).toBe("closed");
    expect(reasons).toEqual(["ended"]);
    expect(test.sink.text).toBe(`data: x\n\n`);
    expect(test.sink.calls).toEqual(["start", "end"]);
    await settle();
    expect(reasons).toEqual(["ended"]);
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
  });

  it("opens an idle session first, so that the client gets an answer", () => {
    const { session, sink } = makeSession();
    session.close();
    expect(sink.status).toBe(200);
    expect(sink.text).toBe(OPENING);
    expect(sink.calls).toEqual(["start", "end"]);
  });

  it("does not affect the answer of a route that has sent its head", () => {
    const test = makeSession();
    test.sink.answerElsewhere();
    test.session.close();
    expect(test.session.state).toBe("closed");
    expect(test.sink.calls).toEqual([]);
  });

  it("answers an idle HEAD once", () => {
    const { session, sink } = makeSession({}, { method: "HEAD" });
    session.close();
    expect(sink.calls).toEqual(["answer"]);
    expect(sink.status).toBe(200);
  });

  it("is released only when the client has read the rest", async () => {
    const { session, sink, host } = makeSession();
    session.open();
    sink.stopReading();
    void session.send("x");
    session.close();
    await settle();
    expect(host.calls).toEqual(["opened", "closed"]);
    sink.take();
    await settle();
    expect(host.calls).toEqual(["opened", "closed", "released"]);
  });
});

describe("complete", () => {
  it("sends the completion, byte for byte, and ends", () => {
    const test = makeSession({}, { headers: EVENT_SOURCE });
    void test.session.send("x");
    const reasons = reasonsOf(test);
    void test.session.complete();
    expect(test.sink.text).toBe(`data: x\n\n${COMPLETE}`);
    expect(test.sink.calls).toEqual(["start", "end"]);
    expect(reasons).toEqual(["completed"]);
  });

  it("answers 204 on a session that has not opened", () => {
    const { session, sink } = makeSession({}, { headers: EVENT_SOURCE });
    void session.complete();
    expect([sink.status, sink.text, sink.calls]).toEqual([204, "", ["answer"]]);
    expect(session.closeReason).toBe("completed");
  });

  it("opens a session that has not opened for a last message", () => {
    const { session, sink } = makeSession({}, { headers: EVENT_SOURCE });
    void session.complete({ event: "done", data: { total: 3 } });
    expect(sink.text).toBe('event: done\nid: ~end\ndata: {"total":3}\n\n');
    expect(sink.calls).toEqual(["start", "end"]);
  });

  it.each([
    ["a GET for an event stream", { headers: EVENT_SOURCE }, COMPLETE, "id: ~end\n"],
    ["a POST for an event stream", { method: "POST", headers: EVENT_SOURCE }, "", "id: ~end\n"],
    ["a GET for anything", { headers: { accept: "*/*" } }, "", ""],
    ["a POST for JSON", { method: "POST", headers: { accept: "application/json" } }, "", ""],
  ])("ends %s in a way that its client understands", (_name, request, alone, id) => {
    const plain = makeSession({}, request);
    void plain.session.send("x");
    void plain.session.complete();
    expect(plain.sink.text).toBe(`data: x\n\n${alone}`);
    const last = makeSession({}, request);
    void last.session.send("x");
    void last.session.complete("[DONE]");
    expect(last.sink.text).toBe(`data: x\n\n${id}data: [DONE]\n\n`);
    expect([plain.sink.calls, last.sink.calls]).toEqual([
      ["start", "end"],
      ["start", "end"],
    ]);
  });

  it("settles once the socket was given the last bytes, with false if the client left first", async () => {
    const taken = makeSession({}, { headers: EVENT_SOURCE });
    taken.session.open();
    taken.sink.stopReading();
    void taken.session.send("x");
    let outcome: boolean | undefined;
    const completing = taken.session.complete("y").then((value) => (outcome = value));
    await settle();
    expect(outcome).toBeUndefined();
    taken.sink.take();
    await completing;
    expect(outcome).toBe(true);
    expect(await taken.session.complete()).toBe(false);

    const gone = makeSession({}, { headers: EVENT_SOURCE });
    gone.session.open();
    gone.sink.stopReading();
    void gone.session.send("x");
    const completed = [gone.session.complete("y"), gone.session.complete()];
    gone.sink.leave();
    expect(await Promise.all(completed)).toEqual([false, false]);
  });

  it("is not sent on a response that was answered elsewhere", async () => {
    const test = makeSession({}, { headers: EVENT_SOURCE });
    test.sink.answerElsewhere();
    expect(thrownBy(() => test.session.complete("x")).code).toBe("ERR_SSE_HEADERS_SENT");
    expect(test.session.closeReason).toBeUndefined();
    expect(await test.session.complete()).toBe(false);
    expect(test.session.closeReason).toBe("ended");
  });

  it("resolves to false if its last message is dropped because the client is turned away after CORS", async () => {
    const { cors, answer } = slowOrigin();
    const test = makeSession({ cors }, { headers: EVENT_SOURCE });
    const completed = test.session.complete("x");
    test.host.obstacle = "busy";
    answer();
    expect(await completed).toBe(false);
    expect(test.sink.text).not.toContain("data: x");
  });

  it("does not change the stream if its last message is invalid", () => {
    const { session, sink } = makeSession();
    session.open();
    expect(thrownBy(() => session.complete({ id: "1", data: "x" } as never)).code).toBe(
      "ERR_SSE_ID_RESERVED",
    );
    expect(thrownBy(() => session.complete({ event: "", data: "x" })).code).toBe(
      "ERR_SSE_INVALID_FIELD",
    );
    expect([session.state, sink.calls]).toEqual(["open", ["start"]]);
  });

  it("has no effect on a closed session", () => {
    const { session, sink } = makeSession();
    session.open();
    session.close();
    void session.complete();
    expect(sink.text).toBe(OPENING);
  });
});

describe("a shutdown", () => {
  it("ends the stream without adding anything", () => {
    const test = makeSession({ reconnectionTimeMs: 1_000 });
    void test.session.send("x");
    const reasons = reasonsOf(test);
    test.session.shutDown();
    expect(test.sink.text).toBe("retry: 1000\ndata: x\n\n");
    expect(test.sink.calls).toEqual(["start", "end"]);
    expect(reasons).toEqual(["shutdown"]);
  });

  it("cuts off a client that does not read the rest", () => {
    const test = makeSession();
    test.session.open();
    const reasons = reasonsOf(test);
    test.sink.stopReading();
    void test.session.send("x");
    test.session.shutDown();
    test.session.destroy();
    expect(test.sink.calls).toEqual(["start", "end", "destroy"]);
    expect(reasons).toEqual(["shutdown"]);
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
  });
});

describe("the client", () => {
  it("closes the session by leaving, without an exception anywhere", async () => {
    const test = makeSession();
    test.session.open();
    const reasons = reasonsOf(test);
    test.sink.leave();
    expect(test.session.state).toBe("closed");
    expect(reasons).toEqual(["client"]);
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
    expect(await test.session.send("x")).toBe(false);
    expect(test.session.open()).toBe(false);
    test.session.close();
    void test.session.complete();
    test.session.shutDown();
    test.session.destroy();
    expect(test.host.reports).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a failure of the framework", () => {
  it("ends an open stream with the reason error", async () => {
    const test = makeSession();
    test.session.open();
    const reasons = reasonsOf(test);
    test.sink.failInFramework();
    test.sink.failInFramework();
    expect(reasons).toEqual(["error"]);
    expect(test.sink.calls).toEqual(["start", "end"]);
    await settle();
    expect(test.host.calls).toEqual(["opened", "closed", "released"]);
  });
});

describe("onClose", () => {
  it("returns a function that removes the callback, also twice and after the close", () => {
    const { session } = makeSession();
    const [taken, kept, late] = [vi.fn(), vi.fn(), vi.fn()];
    const take = session.onClose(taken);
    session.onClose(kept);
    take();
    take();
    session.close();
    take();
    session.onClose(late)();
    expect([taken, kept, late].map(({ mock }) => mock.calls.length)).toEqual([0, 1, 1]);
  });

  it("calls each function once per registration, in order", async () => {
    const { session } = makeSession();
    const calls: string[] = [];
    const first = (reason: CloseReason): void => void calls.push(`first ${reason}`);
    session.onClose(first);
    session.onClose((reason) => void calls.push(`second ${reason}`));
    session.onClose(first);
    session.open();
    session.close();
    await settle();
    expect(calls).toEqual(["first ended", "second ended", "first ended"]);
  });

  it("calls a late function at once", () => {
    const { session } = makeSession();
    void session.complete();
    const late = vi.fn();
    session.onClose(late);
    expect(late.mock.calls).toEqual([["completed"]]);
  });

  it("calls a function that another one registers during the close", () => {
    const { session } = makeSession();
    const inner = vi.fn();
    session.onClose(() => session.onClose(inner));
    session.close();
    expect(inner.mock.calls).toEqual([["ended"]]);
  });

  it("finds the session closed and the signal aborted when it is called", () => {
    const { session } = makeSession();
    const { signal } = session;
    const seen: unknown[] = [];
    session.onClose(() => seen.push(session.state, signal.aborted, session.bufferedBytes));
    session.close();
    expect(seen).toEqual(["closed", true, 0]);
  });

  it.each(["early", "late"])(
    "reports errors of a function, thrown or rejected, and calls the others: %s",
    async (time) => {
      const { session, host } = makeSession();
      const thrown = new Error("thrown");
      const rejected = new Error("rejected");
      const last = vi.fn();
      const give = (): void => {
        session.onClose(() => {
          throw thrown;
        });
        session.onClose((async () => {
          throw rejected;
        }) as () => void);
        session.onClose(last);
      };
      if (time === "early") give();
      expect(() => session.close()).not.toThrow();
      if (time === "late") give();
      await settle();
      expect(host.reports).toEqual([
        { error: thrown, stage: "onClose" },
        { error: rejected, stage: "onClose" },
      ]);
      expect(last).toHaveBeenCalledTimes(1);
    },
  );

  it.each([undefined, null, "fn", {}])("refuses %s", (fn) => {
    const { session } = makeSession();
    const { code, message } = thrownBy(() => session.onClose(untyped<() => void>(fn)));
    expect(code).toBe("ERR_SSE_INVALID_OPTION");
    expect(message).toMatch(/^Expected onClose\(\) to get a function, got /);
  });
});

describe("signal", () => {
  it("is created on first read and stays the same", () => {
    const made = vi.spyOn(globalThis, "AbortController");
    const { session } = makeSession();
    void session.send("x");
    expect(made).not.toHaveBeenCalled();
    expect(session.signal).toBe(session.signal);
    expect(made).toHaveBeenCalledTimes(1);
  });

  it("is aborted with the reason when the session closes", () => {
    const { session, sink } = makeSession();
    const { signal } = session;
    const aborted = vi.fn();
    signal.addEventListener("abort", aborted);
    session.open();
    expect(signal.aborted).toBe(false);
    sink.leave();
    expect(aborted).toHaveBeenCalledTimes(1);
    expect(signal.reason).toMatchObject({ name: "AbortError", cause: "client" });
  });

  it("is already aborted if it is first read after the close", () => {
    const { session } = makeSession();
    void session.complete();
    expect(session.signal.aborted).toBe(true);
    expect(session.signal.reason).toMatchObject({ name: "AbortError", cause: "completed" });
  });

  it("has the kind of abort as its reason that `fetch`, timers and error handling know", () => {
    const { session } = makeSession();
    const { signal } = session;
    session.close();
    expect(signal.reason).toBeInstanceOf(Error);
    expect(signal.reason).toBeInstanceOf(DOMException);
    expect(signal.reason).toMatchObject({ message: "The event stream has closed: ended" });
    expect(signal.reason).toMatchObject({ code: DOMException.ABORT_ERR });
  });
});
