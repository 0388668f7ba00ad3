import { PassThrough, Readable } from "node:stream";
import { Observable, Subject, from, throwError } from "rxjs";
import { describe, expect, it, vi } from "vitest";
import { SseError } from "../../src/errors.js";
import type { CloseReason } from "../../src/session/session.js";
import { OPENING, makeSession, settle } from "../session-under-test.js";
import { untyped } from "../thrown.js";

/** A source that counts its calls; the test provides `next`. */
function makeIterable(next: () => unknown): {
  source: AsyncIterable<string>;
  back: ReturnType<typeof vi.fn>;
} {
  const back = vi.fn(async () => ({ done: true as const, value: undefined }));
  const source = untyped<AsyncIterable<string>>({
    [Symbol.asyncIterator]: () => ({ next, return: back }),
  });
  return { source, back };
}

const never = (): Promise<never> => new Promise(() => {});

describe("stream", () => {
  it("sends each item as a message, resolves to true at the end and leaves the stream open", async () => {
    const { session, sink } = makeSession();
    expect(await session.stream(["a", { event: "e", data: 1 }])).toBe(true);
    expect(sink.text).toBe(`data: a\n\nevent: e\ndata: 1\n\n`);
    expect(session.state).toBe("open");
    expect(sink.calls).toEqual(["start"]);
  });

  it("opens the stream before the first item is available", () => {
    const { session } = makeSession();
    void session.stream(makeIterable(never).source);
    expect(session.state).toBe("open");
    session.close();
  });

  it("turns items into messages with map and skips items mapped to undefined", async () => {
    const { session, sink } = makeSession();
    const map = (n: number): { data: number } | undefined =>
      n % 2 === 0 ? { data: n } : undefined;
    expect(await session.stream([1, 2, 3, 4], map)).toBe(true);
    expect(sink.text).toBe(`data: 2\n\ndata: 4\n\n`);
  });

  it("passes bytes to map as decoded text", async () => {
    const { session, sink } = makeSession();
    const bytes = Buffer.from("\u{1F600}");
    const map = (text: string): { event: string; data: string } => ({ event: "token", data: text });
    await session.stream([bytes.subarray(0, 2), bytes.subarray(2)], map);
    expect(sink.text).toBe(`event: token\ndata: \u{1F600}\n\n`);
  });

  it.each([
    ["a Node stream", () => Readable.from(["a", "b"])],
    [
      "a web stream",
      () =>
        new ReadableStream<string>({
          start: (controller) => {
            for (const item of ["a", "b"]) controller.enqueue(item);
            controller.close();
          },
        }),
    ],
    [
      "a generator",
      function* () {
        yield* ["a", "b"];
      },
    ],
  ])("reads %s", async (_name, make) => {
    const { session, sink } = makeSession();
    expect(await session.stream(untyped<Iterable<string>>(make()))).toBe(true);
    expect(sink.text).toBe(`data: a\n\ndata: b\n\n`);
  });

  it("reads no faster than the client", async () => {
    const { session, sink } = makeSession({}, { highWaterMark: 5 });
    session.open();
    sink.stopReading();
    let made = 0;
    function* count(): Generator<string> {
      for (;;) yield String(++made);
    }
    const streaming = session.stream(count());
    await settle();
    expect(made).toBe(1);
    sink.take();
    await settle();
    expect(made).toBe(2);
    sink.leave();
    expect(await streaming).toBe(false);
    expect(made).toBe(2);
  });

  it("resolves to false and cancels the source if the session is already closed", async () => {
    const { session } = makeSession();
    session.close();
    const { source, back } = makeIterable(never);
    expect(await session.stream(source)).toBe(false);
    expect(back).toHaveBeenCalledTimes(1);
  });

  it("cancels the source if the route has already answered", async () => {
    const { session, sink } = makeSession();
    sink.answerElsewhere();
    const { source, back } = makeIterable(never);
    await expect(session.stream(source)).rejects.toMatchObject({ code: "ERR_SSE_HEADERS_SENT" });
    expect(back).toHaveBeenCalledTimes(1);
  });

  it("refuses values that are not sources and does not change the session", async () => {
    const { session, sink } = makeSession();
    await expect(session.stream(untyped<Iterable<string>>("text"))).rejects.toMatchObject({
      code: "ERR_SSE_INVALID_DATA",
    });
    expect(session.state).toBe("idle");
    expect(sink.calls).toEqual([]);
  });

  it("resolves to false at once when the session closes, even while the source is idle", async () => {
    const { session, sink } = makeSession();
    const { source, back } = makeIterable(never);
    const streaming = session.stream(source);
    await settle();
    sink.leave();
    expect(back).toHaveBeenCalledTimes(1);
    expect(await streaming).toBe(false);
    expect(back).toHaveBeenCalledTimes(1);
  });

  it("destroys an idle Node stream and cancels an idle web stream when the session closes", async () => {
    const node = makeSession();
    const idle = new PassThrough();
    const streaming = node.session.stream(idle);
    node.session.close();
    expect(await streaming).toBe(false);
    expect(idle.destroyed).toBe(true);

    const web = makeSession();
    const reasons: unknown[] = [];
    const cancelled = web.session.stream(
      new ReadableStream<string>({ cancel: (reason) => void reasons.push(reason) }),
    );
    await settle();
    web.sink.leave();
    expect(await cancelled).toBe(false);
    expect(reasons).toEqual(["client"]);
    expect(node.host.reports).toEqual([]);
    expect(web.host.reports).toEqual([]);
  });

  it("resolves to false when map closes the session, and cancels the source once", async () => {
    const { session, sink } = makeSession();
    const { source, back } = makeIterable(async () => ({ done: false, value: "x" }));
    const streaming = session.stream(source, (item) => {
      session.close();
      return item;
    });
    expect(await streaming).toBe(false);
    expect(back).toHaveBeenCalledTimes(1);
    expect(sink.text).toBe(OPENING);
  });

  it("does not cancel a source that has ended", async () => {
    const { session } = makeSession();
    const { source, back } = makeIterable(async () => ({ done: true }));
    expect(await session.stream(source)).toBe(true);
    session.close();
    expect(back).not.toHaveBeenCalled();
  });

  it("may run twice at a time, and both end with the session", async () => {
    const { session, sink } = makeSession();
    const first = makeIterable(never);
    const second = makeIterable(never);
    const streaming = [session.stream(first.source), session.stream(second.source)];
    sink.leave();
    expect(await Promise.all(streaming)).toEqual([false, false]);
    expect(first.back).toHaveBeenCalledTimes(1);
    expect(second.back).toHaveBeenCalledTimes(1);
  });
});

describe("a source that fails", () => {
  const fault = new Error("source");

  it("rejects the stream and ends it with the reason error, after earlier messages", async () => {
    const { session, sink, host } = makeSession();
    const reasons: CloseReason[] = [];
    session.onClose((reason) => void reasons.push(reason));
    async function* source(): AsyncGenerator<string> {
      yield "a";
      throw fault;
    }
    await expect(session.stream(source())).rejects.toBe(fault);
    expect(sink.text).toBe(`data: a\n\n`);
    expect(reasons).toEqual(["error"]);
    expect(sink.calls).toEqual(["start", "end"]);
    // The caller gets the error, so it is not a background error.
    expect(host.reports).toEqual([]);
  });

  it("is not an error once the session is closed", async () => {
    const { session, sink, host } = makeSession();
    let fail: (error: Error) => void = () => {};
    const { source } = makeIterable(() => new Promise((_, reject) => (fail = reject)));
    const streaming = session.stream(source);
    await settle();
    sink.leave();
    fail(fault);
    expect(await streaming).toBe(false);
    await settle();
    expect(host.reports).toEqual([]);
  });

  it("rejects with the error of map, and cancels the source once", async () => {
    const { session, sink } = makeSession();
    const { source, back } = makeIterable(async () => ({ done: false, value: "x" }));
    const map = (): never => {
      throw fault;
    };
    await expect(session.stream(source, map)).rejects.toBe(fault);
    expect(session.state).toBe("closed");
    expect(sink.calls).toEqual(["start", "end"]);
    expect(back).toHaveBeenCalledTimes(1);
  });

  it("rejects with the error of an item that is not a message, and cancels the source once", async () => {
    const { session } = makeSession();
    const { source, back } = makeIterable(async () => ({
      done: false,
      value: { event: "", data: "x" },
    }));
    await expect(session.stream(source)).rejects.toMatchObject({ code: "ERR_SSE_INVALID_FIELD" });
    expect(session.state).toBe("closed");
    expect(back).toHaveBeenCalledTimes(1);
  });

  it("is not cancelled after it has failed", async () => {
    const { session } = makeSession();
    const { source, back } = makeIterable(() => Promise.reject(fault));
    await expect(session.stream(source)).rejects.toBe(fault);
    expect(back).not.toHaveBeenCalled();
  });
});

describe("a source that fails to clean up", () => {
  it("goes to onError with the stage source", async () => {
    const fault = new Error("clean up");
    const { session, host } = makeSession();
    const { source, back } = makeIterable(never);
    back.mockRejectedValue(fault);
    const streaming = session.stream(source);
    session.close();
    expect(await streaming).toBe(false);
    await settle();
    expect(host.reports).toEqual([{ error: fault, stage: "source" }]);
  });

  it.each([
    ["the close reason itself", "ended"],
    ["an AbortError", new DOMException("aborted", "AbortError")],
  ])(
    "is not an error if it rejects with %s, because it noticed the end through the signal",
    async (_name, rejection) => {
      const { session, host } = makeSession();
      const { source, back } = makeIterable(never);
      back.mockRejectedValue(rejection);
      const streaming = session.stream(source);
      session.close();
      expect(await streaming).toBe(false);
      await settle();
      expect(host.reports).toEqual([]);
    },
  );
});

describe("stream of an Observable", () => {
  it("sends pushed items, and resolves to true once it has completed", async () => {
    const { session, sink } = makeSession();
    const items = new Subject<{ n: number }>();
    const streaming = session.stream(items, ({ n }) => (n === 2 ? undefined : { data: n }));
    expect(session.state).toBe("open");
    for (const n of [1, 2, 3]) items.next({ n });
    expect(sink.text).toBe(`data: 1\n\ndata: 3\n\n`);
    items.complete();
    expect(await streaming).toBe(true);
    expect(session.state).toBe("open");
  });

  it("sends items pushed inside subscribe, and decodes bytes", async () => {
    const { session, sink } = makeSession();
    const bytes = Buffer.from("\u{1F600}");
    expect(await session.stream(from([bytes.subarray(0, 2), bytes.subarray(2)]))).toBe(true);
    expect(sink.text).toBe(`data: \u{1F600}\n\n`);
  });

  it.each(["while it is idle", "while it pushes"])(
    "unsubscribes when the session closes %s, and resolves to false",
    async (when) => {
      const { session, sink } = makeSession();
      const unsubscribed = vi.fn();
      const source = new Observable<string>((subscriber) => {
        subscriber.next("first");
        if (when === "while it pushes") sink.leave();
        subscriber.next("second");
        return unsubscribed;
      });
      const streaming = session.stream(source);
      if (when === "while it is idle") sink.leave();
      expect(await streaming).toBe(false);
      expect(unsubscribed).toHaveBeenCalledTimes(1);
    },
  );

  it("closes with `slow` if the client does not read pushed items", async () => {
    const { session, sink } = makeSession({ maxBufferedBytes: 100 }, { highWaterMark: 5 });
    const items = new Subject<string>();
    const streaming = session.stream(items);
    sink.stopReading();
    for (let count = 0; count < 20; count++) items.next("x".repeat(20));
    expect(await streaming).toBe(false);
    expect(session.closeReason).toBe("slow");
    expect(items.observed).toBe(false);
  });

  it("rejects with its error, and with the error of map after unsubscribing", async () => {
    const failing = makeSession();
    await expect(failing.session.stream(throwError(() => new Error("broken")))).rejects.toThrow(
      "broken",
    );
    expect(failing.session.closeReason).toBe("error");
    const { session } = makeSession();
    const items = new Subject<string>();
    const streaming = session.stream(items, () => {
      throw new Error("map");
    });
    items.next("x");
    await expect(streaming).rejects.toThrow("map");
    expect([session.closeReason, items.observed]).toEqual(["error", false]);
  });

  it("accepts any object with the method, whatever its subscription is", async () => {
    const { session, sink } = makeSession();
    const end = vi.fn();
    const source = {
      "@@observable": () => ({
        subscribe: ({ next }: { next: (item: string) => void }) => {
          next("a");
          return end;
        },
      }),
    };
    const streaming = session.stream(untyped<Subject<string>>(source));
    expect(sink.text).toBe(`data: a\n\n`);
    session.close();
    expect(await streaming).toBe(false);
    expect(end).toHaveBeenCalledTimes(1);
  });
});

describe("onSourceError", () => {
  function* failing(): Generator<string> {
    yield "a";
    throw new Error("broken");
  }

  it.each([
    ["a generator", () => failing(), "data: a\n\n"],
    ["an Observable", () => throwError(() => new Error("broken")), ""],
  ])("returns the last message of %s that fails", async (_name, make, before) => {
    const { session, sink } = makeSession();
    const source = untyped<Iterable<string>>(make());
    const onSourceError = (error: unknown): { event: string; data: string } => ({
      event: "failed",
      data: (error as Error).message,
    });
    await expect(session.stream(source, { onSourceError })).rejects.toThrow("broken");
    expect(sink.text).toBe(`${before}event: failed\ndata: broken\n\n`);
    expect([session.closeReason, sink.calls]).toEqual(["error", ["start", "end"]]);
  });

  it("is called when map fails, and works together with map", async () => {
    const { session, sink } = makeSession();
    const map = (): never => {
      throw new Error("map");
    };
    const options = { map, onSourceError: () => "sorry" };
    await expect(session.stream(["x"], options)).rejects.toThrow("map");
    expect(sink.text).toBe(`data: sorry\n\n`);
  });

  it("may return no message, and is not called once the client has left", async () => {
    const { session, sink } = makeSession();
    const onSourceError = vi.fn(() => undefined);
    await expect(session.stream(failing(), { onSourceError })).rejects.toThrow("broken");
    expect(sink.text).toBe(`data: a\n\n`);
    await session.stream(failing(), { onSourceError });
    expect(onSourceError).toHaveBeenCalledTimes(1);
  });

  it.each([
    ["throws", () => thrower(), "sorry"],
    ["returns an invalid message", () => ({ event: "a" }), "ERR_SSE_INVALID_DATA"],
  ])("that %s is reported, and the stream ends without it", async (_name, onSourceError, fault) => {
    const { session, sink, host } = makeSession();
    const options = { onSourceError: untyped<() => undefined>(onSourceError) };
    await expect(session.stream(failing(), options)).rejects.toThrow("broken");
    expect(sink.text).toBe(`data: a\n\n`);
    expect(session.closeReason).toBe("error");
    const [report] = host.reports;
    expect(host.reports).toEqual([{ stage: "source", error: report?.error }]);
    const error = report?.error;
    expect(error instanceof SseError ? error.code : String(error)).toContain(fault);
  });

  it("and map are the only options, and functions", async () => {
    const { session } = makeSession();
    for (const options of [{ mapp: () => "" }, { map: 1 }, { onSourceError: "x" }, null, 5]) {
      await expect(session.stream(["a"], untyped<object>(options))).rejects.toMatchObject({
        code: "ERR_SSE_INVALID_OPTION",
      });
    }
    expect(session.state).toBe("idle");
  });
});

function thrower(): never {
  throw new Error("sorry");
}
