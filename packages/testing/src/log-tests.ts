/** The tests of `logConformance` on appending, delivering, comparing and closing. */

import assert from "node:assert/strict";
import { createHub, createReader } from "@tidewire/core";
import type { ChannelMap, ReadItem } from "@tidewire/core";
import type { LogMessage } from "@tidewire/core/log";
import { GARBAGE, NotApplicable, delay, nearMisses } from "./log-subject.js";
import type { Subject } from "./log-subject.js";

/** Tests by the sentence that they test. */
export type LogTests = Readonly<Record<string, (subject: Subject) => Promise<void>>>;

const LEGAL_ID = /^[A-Za-z0-9._~-]{1,128}$/;

export const LOG_TESTS: LogTests = {
  async "returns the tail when it starts, an id like any other, and delivers nothing by itself"(
    subject,
  ) {
    const { log, recorder, tail } = await subject.begin();
    assert.match(tail, LEGAL_ID);
    assert.equal(log.compare(tail, tail), 0);
    assert.deepEqual(recorder.batches, []);
    assert.deepEqual(recorder.resets, []);
  },

  async "delivers appended events, with all fields and the channel"(subject) {
    const { log, recorder } = await subject.begin();
    const messages: [string, LogMessage][] = [
      ["a", { data: "" }],
      ["a", { event: "e", data: "one\r\ntwo\nthree\r", retry: 0 }],
      ["a", { data: "text", isString: true }],
      ["\u{1F600} \0\n{}", { event: "id: x", data: "\0\u2028\u{10FFFF} é", retry: 2_147_483_647 }],
      ["c".repeat(256), { data: "x".repeat(300_000) }],
    ];
    const ids: string[] = [];
    for (const [channel, message] of messages) ids.push(await log.append(channel, message));
    await recorder.until(messages.length);
    assert.equal(recorder.received.length, messages.length);
    for (const [index, [channel, { event, data, retry, isString }]] of messages.entries()) {
      const entry = recorder.received[index];
      assert.deepEqual(
        [entry?.id, entry?.channel, entry?.event, entry?.data, entry?.retry],
        [ids[index], channel, event, data, retry],
      );
      assert.equal(entry?.isString === true, isString === true);
    }
  },

  async "assigns ids of at most 128 legal characters, never `~end`"(subject) {
    const { log } = await subject.begin();
    for (let n = 0; n < 20; n++) {
      const id = await log.append("a", { data: String(n) });
      assert.match(id, LEGAL_ID);
      assert.notEqual(id, "~end");
    }
  },

  async "MUST deliver entries in one total order: each id comes after the previous one and the tail"(
    subject,
  ) {
    const { log, recorder, tail } = await subject.begin();
    await Promise.all(
      Array.from({ length: 200 }, (_, n) => log.append(`c${n % 5}`, { data: String(n) })),
    );
    await recorder.until(200);
    const ids = [tail, ...recorder.ids];
    for (let n = 1; n < ids.length; n++) {
      const [before, id] = [ids[n - 1] ?? "", ids[n] ?? ""];
      assert.ok(log.compare(before, id) < 0, `${before} does not come before ${id}`);
    }
  },

  async "MUST deliver entries in an order that is the same for every follower"(subject) {
    const first = await subject.begin();
    const second = await subject.beginOther(first);
    await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        (n % 2 === 0 ? first : second).log.append("a", { data: String(n) }),
      ),
    );
    await Promise.all([first.recorder.until(200), second.recorder.until(200)]);
    assert.deepEqual(second.recorder.received, first.recorder.received);
    const [one = "", two = ""] = first.recorder.ids;
    assert.ok(second.log.compare(one, two) < 0);
  },

  async "MUST deliver its own appends through the same path as those of others: each exactly once"(
    subject,
  ) {
    const { log, recorder } = await subject.begin();
    const ids = await Promise.all(
      Array.from({ length: 100 }, (_, n) => log.append("a", { data: String(n) })),
    );
    await recorder.until(100);
    await log.append("a", { data: "last" });
    await recorder.until(101);
    assert.deepEqual(recorder.ids.slice(0, 100).toSorted(), ids.toSorted());
    assert.equal(recorder.received.length, 101);
  },

  async "keeps the order of one caller's appends, even without waiting"(subject) {
    const { log, recorder } = await subject.begin();
    const appends: Promise<string>[] = [];
    for (let n = 0; n < 100; n++) appends.push(log.append("a", { data: String(n) }));
    const ids = await Promise.all(appends);
    await recorder.until(100);
    assert.deepEqual(recorder.ids, ids);
    assert.deepEqual(
      recorder.data,
      ids.map((_, n) => String(n)),
    );
  },

  async "MUST NOT deliver an id twice"(subject) {
    const { log, recorder } = await subject.begin();
    await Promise.all(Array.from({ length: 300 }, (_, n) => log.append("a", { data: String(n) })));
    await recorder.until(300);
    await log.append("b", { data: "last" });
    await recorder.until(301);
    assert.equal(new Set(recorder.ids).size, recorder.ids.length);
  },

  async "MUST NOT deliver an append that it has rejected"(subject) {
    const { log, recorder, breakAppends } = await subject.begin();
    if (breakAppends === undefined) {
      throw new NotApplicable("The log rejects nothing while it is open");
    }
    const mend = await breakAppends();
    await assert.rejects(log.append("a", { data: "rejected" }), { code: "ERR_SSE_LOG_REJECTED" });
    await mend();
    await log.append("a", { data: "taken" });
    await recorder.until(1);
    assert.deepEqual(recorder.data, ["taken"]);
  },

  async "MUST NOT call the follower after close has resolved, and rejects later appends"(subject) {
    const first = await subject.begin();
    const { log, recorder, other } = first;
    await log.append("a", { data: "1" });
    await recorder.until(1);
    await log.close();
    const calls = recorder.batches.length;
    await assert.rejects(log.append("a", { data: "late" }), { name: "SseError" });
    if (other !== undefined) {
      const second = await subject.beginOther(first);
      await second.log.append("a", { data: "of another" });
      await second.recorder.until(1);
    }
    await delay(50);
    assert.equal(recorder.batches.length, calls);
    assert.deepEqual(recorder.data, ["1"]);
  },

  async "may be closed twice, and before it is started"(subject) {
    const { log } = await subject.begin();
    await Promise.all([log.close(), log.close()]);
    assert.equal(await log.close(), undefined);
    const unused = await subject.open();
    assert.equal(await unused.log.close(), undefined);
  },

  async "closes within the given time, also twice and with less time"(subject) {
    const { log } = await subject.begin();
    await log.append("a", { data: "1" });
    const slow = log.close(10_000);
    await log.close(0);
    await slow;
    await assert.rejects(log.append("a", { data: "2" }), { code: "ERR_SSE_CLOSED" });
  },

  async "adds one of the events published with the same dedupeKey, and returns its id for all"(
    subject,
  ) {
    const { log, recorder } = await subject.begin();
    const append = (data: string, dedupeKey: string): Promise<string> =>
      log.append("a", { data }, { dedupeKey });
    const first = await append("1", "x");
    const again = await Promise.all([append("2", "x"), append("3", "x")]);
    const other = await append("4", "y\0\n{}\u{1F600}");
    await recorder.until(2);
    assert.deepEqual(again, [first, first]);
    assert.deepEqual(recorder.ids, [first, other]);
    assert.deepEqual(recorder.data, ["1", "4"]);
  },

  async "is live while it has every published event, and closed after close"(subject) {
    const { log, recorder } = await subject.begin();
    await log.append("a", { data: "1" });
    await recorder.until(1);
    await subject.until(
      () => `a log that is live, got ${log.health().state}`,
      () => log.health().state === "live",
    );
    const { lagMs, reconnects } = log.health();
    assert.deepEqual({ lagMs, reconnects }, { lagMs: 0, reconnects: 0 });
    await log.close();
    assert.equal(log.health().state, "closed");
    assert.deepEqual(recorder.faults, []);
  },

  async "returns NaN when comparing text that cannot be one of its ids, on either side"(subject) {
    const { log, tail } = await subject.begin();
    const id = await log.append("a", { data: "1" });
    const compared = (a: string, b: string): void =>
      assert.ok(Number.isNaN(log.compare(a, b)), `compare${describe([a, b])} is not NaN`);
    for (const text of GARBAGE) {
      compared(text, id);
      compared(id, text);
      compared(text, text);
    }
    for (const suffix of [" ", "\n", "\0", ".", "x", "-0", "9".repeat(128)]) {
      compared(`${id}${suffix}`, tail);
    }
    compared(` ${id}`, tail);
  },

  async "compares arbitrary text without throwing, and never equates it with one of its ids"(
    subject,
  ) {
    const { log } = await subject.begin();
    const id = await log.append("a", { data: "1" });
    for (const text of nearMisses(id)) {
      const order: unknown = log.compare(text, id);
      const call = `compare${describe([text, id])}`;
      assert.equal(typeof order, "number", `${call} is ${String(order)}`);
      assert.notEqual(order, 0, `${call} is 0`);
    }
  },

  async "compares its ids in a total order"(subject) {
    const { log, recorder, tail } = await subject.begin();
    for (let n = 0; n < 30; n++) await log.append("a", { data: String(n) });
    await recorder.until(30);
    const ids = [tail, ...recorder.ids];
    for (const [i, a] of ids.entries()) {
      for (const [j, b] of ids.entries()) {
        assert.equal(Math.sign(log.compare(a, b)), Math.sign(i - j), `${a} and ${b}`);
      }
    }
  },

  async "gives readers exactly what was published, live, after a position and from its past, in every process"(
    subject,
  ) {
    const opened = await subject.open();
    const hub = createHub({ log: opened.log });
    subject.later(() => hub.close());
    const start = await hub.position();
    const live = hub.read(["a", "b"]);
    const published = [
      ["a", "1"],
      ["b", 1],
      ["a", '{"n":1}'],
      ["a", { n: 1 }],
      ["b", "two\nlines\n"],
      ["a", null],
      ["b", ""],
    ] as const;
    const expected: { readonly id: string }[] = [];
    for (const [index, [channel, data]] of published.entries()) {
      const event = index % 2 === 0 ? "message" : "update";
      const message = index % 2 === 0 ? { data } : { event, data };
      const { id } = await hub.publish(channel, message);
      await hub.publish("c", "not read");
      expected.push({ type: "event", id, channel, event, data } as { id: string });
    }
    const count = published.length;
    assert.deepEqual(await take(live, count), expected);
    const hubs = [hub];
    if (opened.other !== undefined && opened.log.past !== undefined) {
      const other = createHub({ log: opened.other() });
      subject.later(() => other.close());
      hubs.push(other);
      const worker = createReader({ log: opened.other() });
      subject.later(() => worker.close());
      assert.deepEqual(await take(worker.read(["a", "b"], { after: start }), count), expected);
    }
    for (const reader of hubs) {
      const behind = reader.read(["a", "b"], { after: expected[0]?.id });
      assert.deepEqual(await take(behind, count - 1), expected.slice(1));
      const latest = reader.read("b", { latest: 2 });
      assert.deepEqual(await take(latest, 2), [expected[4], expected[6]]);
      // A position is the same in every process, also in one that has not got as far yet.
      const before = await hub.publish("a", "before");
      const ahead = reader.read("a", { after: before.id });
      const next = ahead.next();
      const { id } = await hub.publish("a", "next");
      const { value } = await next;
      assert.deepEqual(value, { type: "event", id, channel: "a", event: "message", data: "next" });
    }
  },
};

/** @returns Arguments as a call shows them. */
function describe(given: readonly string[]): string {
  return `(${given.map((text) => JSON.stringify(text)).join(", ")})`;
}

/** Takes items until there are enough. */
async function take(
  reading: AsyncIterable<ReadItem<ChannelMap, string>>,
  count: number,
): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of reading) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}
