import { PassThrough, Readable } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import { openSource } from "../../src/session/source.js";
import type { SourceReader } from "../../src/session/source.js";
import { failingSource, settle } from "../session-under-test.js";
import { thrownBy } from "../thrown.js";

async function readAll(reader: SourceReader): Promise<unknown[]> {
  const items: unknown[] = [];
  for (;;) {
    const { done, value } = await reader.next();
    if (done) return items;
    items.push(value);
  }
}

async function* generate<T>(...items: T[]): AsyncGenerator<T> {
  yield* items;
}

function web<T>(...items: T[]): ReadableStream<T> {
  return new ReadableStream<T>({
    start(controller) {
      for (const item of items) controller.enqueue(item);
      controller.close();
    },
  });
}

/** The same items as each kind of source. */
const KINDS: readonly [string, <T>(...items: T[]) => unknown][] = [
  ["an iterable", (...items) => items],
  ["an async iterable", generate],
  ["a Node stream", (...items) => Readable.from(items)],
  ["a web stream", web],
];

describe.each(KINDS)("openSource of %s", (_name, make) => {
  it("yields its items in order and then the end, repeatedly", async () => {
    const reader = openSource(make<unknown>({ n: 1 }, "two", 3));
    expect(await readAll(reader)).toEqual([{ n: 1 }, "two", 3]);
    expect(await reader.next()).toEqual({ done: true });
    expect(await reader.next()).toEqual({ done: true });
  });

  it("yields nothing for an empty source", async () => {
    expect(await readAll(openSource(make()))).toEqual([]);
  });

  it("decodes bytes as one UTF-8 stream, independent of chunk boundaries", async () => {
    const text = "é–\u{1F600}x";
    const bytes = Buffer.from(text);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const items = await readAll(openSource(make(bytes.subarray(0, cut), bytes.subarray(cut))));
      expect(items.join("")).toBe(text);
      // A chunk with only the start of a character is not an item.
      expect(items).not.toContain("");
    }
    const single = await readAll(
      openSource(make(...Array.from(bytes, (byte) => Uint8Array.of(byte)))),
    );
    expect(single).toEqual(["é", "–", "\u{1F600}", "x"]);
  });

  it("yields a replacement character for an incomplete character", async () => {
    const bytes = Buffer.from("a\u{1F600}");
    expect(await readAll(openSource(make(bytes.subarray(0, 3))))).toEqual(["a", "\ufffd"]);
  });

  it("can be cancelled after its end", async () => {
    const reader = openSource(make(1));
    await readAll(reader);
    await expect(reader.cancel("closed")).resolves.toBeUndefined();
  });
});

describe("openSource", () => {
  it("yields empty strings of the source, unlike empty bytes", async () => {
    expect(await readAll(openSource(["", new Uint8Array(), ""]))).toEqual(["", ""]);
  });

  it("yields undefined and null as items", async () => {
    expect(await readAll(openSource([undefined, null, 0, false]))).toEqual([
      undefined,
      null,
      0,
      false,
    ]);
  });

  it("prefers the async side of a source that has both", async () => {
    const both = {
      [Symbol.iterator]: () => [1][Symbol.iterator](),
      [Symbol.asyncIterator]: () => generate(2),
    };
    expect(await readAll(openSource(both))).toEqual([2]);
  });

  it("accepts a Map and a Set, which are iterable", async () => {
    expect(await readAll(openSource(new Map([["a", 1]])))).toEqual([["a", 1]]);
    expect(await readAll(openSource(new Set([1, 2])))).toEqual([1, 2]);
  });

  it("does not read ahead", async () => {
    let made = 0;
    function* count(): Generator<number> {
      for (;;) yield ++made;
    }
    const reader = openSource(count());
    expect(made).toBe(0);
    await reader.next();
    expect(made).toBe(1);
  });

  it.each([
    ["a string", "text", '"text" (string)'],
    ["a buffer", Buffer.from("text"), "an object"],
    ["a Uint8Array", new Uint8Array(1), "an object"],
    ["null", null, "null"],
    ["undefined", undefined, "undefined"],
    ["a number", 7, "7 (number)"],
    ["an object", { data: "x" }, "an object"],
    ["a generator function", generate, "a function"],
    ["a promise", Promise.resolve([]), "an object"],
    ["an iterator that is not iterable", { next: () => ({ done: true }) }, "an object"],
  ])("refuses %s", (_name, source, described) => {
    expect(thrownBy(() => openSource(source))).toMatchObject({
      code: "ERR_SSE_INVALID_DATA",
      message: `Expected a source to be an iterable, an async iterable, a readable stream or an Observable, got ${described}`,
    });
  });

  it("passes on errors of the source", async () => {
    const fault = new Error("source");
    const failing: [string, unknown][] = [
      ["iterable", failingSource(fault)],
      ["async iterable", { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(fault) }) }],
      ["web stream", new ReadableStream({ start: (controller) => controller.error(fault) })],
      ["Node stream", new Readable({ read: (): void => {} }).destroy(fault).on("error", () => {})],
    ];
    for (const [name, source] of failing) {
      await expect(openSource(source).next(), name).rejects.toBe(fault);
    }
  });
});

describe("cancel", () => {
  it("calls return() of an iterator, once and without an argument", async () => {
    const back = vi.fn(() => ({ done: true as const, value: undefined }));
    const iterable = {
      [Symbol.iterator]: () => ({ next: () => ({ done: false, value: 1 }), return: back }),
    };
    const reader = openSource(iterable);
    await reader.next();
    await reader.cancel("client");
    expect(back.mock.calls).toEqual([[]]);
  });

  it("runs the finally of a generator that is between two items", async () => {
    const cleanUp = vi.fn();
    async function* source(): AsyncGenerator<number> {
      try {
        yield 1;
        yield 2;
      } finally {
        cleanUp();
      }
    }
    const reader = openSource(source());
    await reader.next();
    await reader.cancel("client");
    expect(cleanUp).toHaveBeenCalledTimes(1);
    expect(await reader.next()).toEqual({ done: true });
  });

  it("calls return() of an async iterator even while a next() is pending", async () => {
    const back = vi.fn(async () => ({ done: true as const, value: undefined }));
    const iterable = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: back }),
    };
    const reader = openSource(iterable);
    void reader.next();
    await reader.cancel("client");
    expect(back).toHaveBeenCalledTimes(1);
  });

  it("has no effect on an iterator without return()", async () => {
    const reader = openSource({
      [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: 1 }) }),
    });
    await reader.next();
    await expect(reader.cancel("client")).resolves.toBeUndefined();
    const sync = openSource({
      [Symbol.iterator]: () => ({ next: () => ({ done: false, value: 1 }) }),
    });
    await expect(sync.cancel("client")).resolves.toBeUndefined();
  });

  it("rejects with the error of return()", async () => {
    const fault = new Error("clean up");
    const back = (): never => {
      throw fault;
    };
    const reader = openSource({
      [Symbol.iterator]: () => ({ next: () => ({ done: false }), return: back }),
    });
    await expect(reader.cancel("client")).rejects.toBe(fault);
  });

  it("destroys a Node stream, even an idle one with a next() pending", async () => {
    const source = new PassThrough();
    const reader = openSource(source);
    const pending = reader.next().catch((error: unknown) => error);
    await settle();
    await reader.cancel("client");
    expect(source.destroyed).toBe(true);
    await expect(pending).resolves.toMatchObject({ code: "ERR_STREAM_PREMATURE_CLOSE" });
  });

  it("destroys a Node stream that was never read", async () => {
    const source = new PassThrough();
    await openSource(source).cancel("client");
    expect(source.destroyed).toBe(true);
  });

  it("leaves no unhandled error if a Node stream fails after it", async () => {
    const source = new Readable({
      read: (): void => {},
      destroy: (_error, callback) => callback(new Error("too late")),
    });
    await openSource(source).cancel("client");
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.destroyed).toBe(true);
  });

  it("cancels a web stream with the reason, even while a read is pending", async () => {
    const cancel = vi.fn();
    const reader = openSource(new ReadableStream({ cancel }));
    const pending = reader.next();
    await reader.cancel("slow");
    expect(cancel.mock.calls).toEqual([["slow"]]);
    await expect(pending).resolves.toEqual({ done: true });
  });

  it("rejects with the error of a web stream's cancel", async () => {
    const fault = new Error("clean up");
    const cancel = async (): Promise<void> => {
      throw fault;
    };
    await expect(openSource(new ReadableStream({ cancel })).cancel("slow")).rejects.toBe(fault);
  });
});
