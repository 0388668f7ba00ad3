import { EventEmitter, on } from "node:events";
import { PassThrough, Readable } from "node:stream";
import { ReadableStream } from "node:stream/web";
import { setTimeout as delay } from "node:timers/promises";
import type { CloseReason, Session } from "@tidewire/core";
import { isSseError } from "@tidewire/core";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request, within } from "../client.js";
import type { StreamClient } from "../client.js";
import { BINDINGS } from "./bindings.js";
import type { Served } from "./bindings.js";

/** Turns of the event loop within which a source must learn that its client has left. */
const AT_ONCE = 10;

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise(setImmediate);
}

describe.each(BINDINGS)("stream() on $name", (binding) => {
  const running: Served[] = [];
  const clients: StreamClient[] = [];
  /** Background errors: an error that a caller has caught must not be among them. */
  const faults: unknown[] = [];

  afterEach(async () => {
    expect(faults.splice(0)).toEqual([]);
    for (const client of clients.splice(0)) client.cut();
    for (const served of running.splice(0)) await within("the server to close", served.close());
  });

  async function open(run: (session: Session) => unknown): Promise<StreamClient> {
    const served = await binding.serve(({ sse }) => run(sse), {
      onError: (error) => faults.push(error),
    });
    running.push(served);
    const client = await request(served, "/");
    clients.push(client);
    return client;
  }

  /** Streams a source that goes idle after its first item, cuts the client and waits for `isTold`. */
  async function cutWhileIdle(
    source: Parameters<Session["stream"]>[0] | ((session: Session) => AsyncIterable<string>),
    isTold: () => boolean,
  ): Promise<boolean | undefined> {
    let result: boolean | undefined;
    let wasToldAtOnce: boolean | undefined;
    const client = await open(async (session) => {
      session.onClose(() => void turns(AT_ONCE).then(() => (wasToldAtOnce = isTold())));
      result = await session.stream(
        typeof source === "function" ? source(session) : source,
        (item) => String(item),
      );
    });
    await client.until("data: first\n\n");
    expect(isTold()).toBe(false);
    client.cut();
    await eventually(
      "the stream to end",
      () => wasToldAtOnce !== undefined && result !== undefined,
    );
    expect(wasToldAtOnce, "whether the source was told at once").toBe(true);
    return result;
  }

  it("sends each item of an iterable, directly or through map, and leaves the stream open", async () => {
    const results: unknown[] = [];
    const client = await open(async (session) => {
      results.push(await session.stream(["one", { event: "two", data: 2 }]));
      results.push(
        await session.stream([1, 2, 3], (n) =>
          n === 2 ? undefined : { id: String(n), data: { n } },
        ),
      );
      results.push(session.state);
      void session.complete("done");
    });
    expect(await client.rest()).toMatch(
      /^retry: \d+\ndata: one\n\nevent: two\ndata: 2\n\nid: 1\ndata: \{"n":1\}\n\nid: 3\ndata: \{"n":3\}\n\ndata: done\n\n$/,
    );
    expect(results).toEqual([true, true, "open"]);
  });

  it("returns an idle async generator at once, and its finally runs once", async () => {
    let endings = 0;
    async function* idle(session: Session): AsyncGenerator<string> {
      try {
        yield "first";
        await delay(60_000, undefined, { signal: session.signal });
        yield "never";
      } finally {
        endings += 1;
      }
    }
    expect(await cutWhileIdle(idle, () => endings > 0)).toBe(false);
    await turns(AT_ONCE);
    expect(endings).toBe(1);
  });

  it("returns an idle iterator that does not know the signal", async () => {
    const emitter = new EventEmitter();
    let isReturned = false;
    const source = on(emitter, "item");
    const { return: end } = source;
    source.return = (...args) => {
      isReturned = true;
      return (end as NonNullable<typeof end>).apply(source, args);
    };
    setTimeout(() => emitter.emit("item", "first"), 20);
    expect(await cutWhileIdle(source, () => isReturned)).toBe(false);
    expect(emitter.listenerCount("item")).toBe(0);
  });

  it("returns a generator that waits at its yield for a client that does not read", async () => {
    let endings = 0;
    let taken = 0;
    async function* endless(): AsyncGenerator<string> {
      try {
        for (;;) {
          taken += 1;
          yield "x".repeat(100_000);
        }
      } finally {
        endings += 1;
      }
    }
    const results: unknown[] = [];
    const served = await binding.serve(async ({ sse }) => {
      results.push(await sse.stream(endless()));
    });
    running.push(served);
    const client = await request(served, "/", { paused: true });
    let before = -1;
    await eventually("the source to stop", () => {
      const isStill = taken === before && taken > 0;
      before = taken;
      return isStill;
    });
    client.cut("rst");
    await eventually("the source to end", () => results.length === 1);
    expect(results).toEqual([false]);
    expect(endings).toBe(1);
  });

  it("destroys a Node stream", async () => {
    const source = new PassThrough();
    source.write("first");
    expect(await cutWhileIdle(source, () => source.destroyed)).toBe(false);
  });

  it("cancels a web stream with the reason", async () => {
    const reasons: unknown[] = [];
    const source = new ReadableStream<string>({
      start: (controller) => controller.enqueue("first"),
      cancel: (reason) => void reasons.push(reason),
    });
    expect(await cutWhileIdle(source, () => reasons.length > 0)).toBe(false);
    expect(reasons).toEqual(["client"]);
  });

  it("delivers a character whole if it is split over two chunks", async () => {
    const [head, tail] = [Buffer.from([0x61, 0xc3]), Buffer.from([0xa9, 0x62])];
    const client = await open(async (session) => {
      await session.stream(Readable.from([head, tail]));
      await session.stream(
        new ReadableStream<Uint8Array>({
          start(controller) {
            controller.enqueue(new Uint8Array(head));
            controller.enqueue(new Uint8Array(tail));
            controller.close();
          },
        }),
        (text) => ({ event: "web", data: text }),
      );
      session.close();
    });
    expect(await client.rest()).toMatch(
      /^retry: \d+\ndata: a\n\ndata: éb\n\nevent: web\ndata: a\n\nevent: web\ndata: éb\n\n$/,
    );
  });

  it("ends the stream and rejects to the caller when a source throws", async () => {
    const seen: unknown[] = [];
    const failures: { name: string; source: () => Parameters<Session["stream"]>[0] }[] = [
      {
        name: "generator",
        source: async function* () {
          yield "first";
          throw new Error("generator");
        },
      },
      {
        name: "node",
        source: () =>
          new Readable({
            read() {
              this.push("first");
              this.destroy(new Error("node"));
            },
          }),
      },
      {
        name: "web",
        source: () => {
          let pulls = 0;
          return new ReadableStream<string>(
            {
              pull(controller) {
                if (pulls++ === 0) controller.enqueue("first");
                else controller.error(new Error("web"));
              },
            },
            { highWaterMark: 0 },
          );
        },
      },
    ];
    for (const { name, source } of failures) {
      const reasons: CloseReason[] = [];
      const client = await open(async (session) => {
        session.onClose((reason) => reasons.push(reason));
        await session
          .stream(source())
          .catch((error: unknown) => seen.push((error as Error).message));
        seen.push(session.state);
      });
      expect(await client.rest()).not.toContain(name);
      expect(reasons).toEqual(["error"]);
    }
    expect(seen).toEqual(["generator", "closed", "node", "closed", "web", "closed"]);
  });

  it("returns the source and rejects when map throws or returns a message that cannot be sent", async () => {
    let endings = 0;
    function* numbers(): Generator<number> {
      try {
        yield 1;
        yield 2;
      } finally {
        endings += 1;
      }
    }
    const seen: unknown[] = [];
    for (const map of [
      () => {
        throw new Error("map");
      },
      () => ({ id: "a\nb", data: "" }),
    ]) {
      const client = await open(async (session) => {
        await session
          .stream(numbers(), map)
          .catch((error: unknown) =>
            seen.push(isSseError(error) ? error.code : (error as Error).message),
          );
      });
      await client.rest();
    }
    expect(seen).toEqual(["map", "ERR_SSE_INVALID_FIELD"]);
    expect(endings).toBe(2);
  });

  it("abandons the source if the session is already closed", async () => {
    let isDestroyed = false;
    const results: unknown[] = [];
    const client = await open(async (session) => {
      session.close();
      const source = new PassThrough();
      source.on("close", () => (isDestroyed = true));
      results.push(await session.stream(source));
    });
    await client.rest();
    await eventually("the source to be destroyed", () => isDestroyed);
    expect(results).toEqual([false]);
  });

  it("rejects values that are not sources before the stream is opened", async () => {
    const codes: unknown[] = [];
    const client = await open(async (session) => {
      for (const source of ["text", Buffer.from("x"), 5, null, {}]) {
        await session
          .stream(source as never)
          .catch((error: unknown) => codes.push(isSseError(error) && error.code));
      }
      codes.push(session.state);
      session.close();
    });
    await client.rest();
    expect(codes).toEqual([...Array.from({ length: 5 }, () => "ERR_SSE_INVALID_DATA"), "idle"]);
  });
});
