/** The tests of `logConformance` on reading back: they apply to logs that have a `past`. */

import assert from "node:assert/strict";
import type { LogEntry, LogPast, PastRoom } from "@tidewire/core/log";
import { GARBAGE, NotApplicable } from "./log-subject.js";
import type { Begun, Subject } from "./log-subject.js";
import type { LogTests } from "./log-tests.js";

export const PAST_TESTS: LogTests = {
  async "reads back from any of its entries to any older one, page by page"(subject) {
    const { log, recorder, tail, past } = await begin(subject);
    for (let n = 0; n < 10; n++) await log.append(`c${n % 2}`, { data: String(n) });
    await recorder.until(10);
    const places = [tail, ...recorder.ids];
    for (const [older, after] of places.entries()) {
      for (const [newer, upTo] of places.entries()) {
        if (newer < older) continue;
        for (const hasUpTo of [false, true]) {
          const wanted = recorder.received.slice(older, hasUpTo ? newer - 1 : newer);
          const found = await readAll(past, after, upTo, { hasUpTo });
          assert.deepEqual(found, older < newer ? wanted : []);
        }
      }
    }
  },

  async "reads back as far as possible if no older place is given"(subject) {
    const { log, recorder, past } = await begin(subject);
    for (let n = 0; n < 3; n++) await log.append("a", { data: String(n) });
    await recorder.until(3);
    const page = await past.read(undefined, recorder.ids[2] ?? "");
    if (typeof page !== "object") assert.fail(String(page));
    assert.deepEqual(
      page.entries.map(({ id, data }) => ({ id, data })),
      recorder.received.map(({ id, data }) => ({ id, data })),
    );
    assert.equal(page.isLast, true);
  },

  async "reads no more than the caller has room for, but at least one entry"(subject) {
    const { log, recorder, past } = await begin(subject);
    const data = "x".repeat(1_000);
    for (let n = 0; n < 10; n++) await log.append("a", { data });
    await recorder.until(10);
    const [from = "", to = ""] = [recorder.ids[0], recorder.ids[9]];
    for (const room of [{ maxEntries: 2 }, { maxBytes: 2_500 }, { maxBytes: 0 }]) {
      const page = await past.read(from, to, { ...room, hasUpTo: true });
      if (typeof page !== "object") assert.fail(String(page));
      // A log may have a smaller limit.
      const count = page.entries.length;
      assert.ok(count >= 1 && count <= 3, `${count} entries for ${JSON.stringify(room)}`);
      assert.equal(page.entries.at(-1)?.id, recorder.ids[8]);
      const all = await readAll(past, from, to, { ...room, hasUpTo: true });
      assert.deepEqual(all, recorder.received.slice(1, 9));
    }
  },

  async "finds ids that it has assigned, many at once, and reports the age of the next entry"(
    subject,
  ) {
    const { log, recorder, tail, past } = await begin(subject);
    for (let n = 0; n < 3; n++) await log.append("a", { data: String(n) });
    await recorder.until(3);
    const asked = [tail, ...recorder.ids].flatMap((id) => [id, "no id", id]);
    const found = (await past.find(asked)) ?? [];
    assert.deepEqual(
      found.map((one) => (typeof one === "object" ? typeof one.missedMs : one)),
      asked.map((id) => (id === "no id" ? "unknown" : "number")),
    );
    assert.deepEqual(await past.find([]), []);
  },

  async "reports when everything that was in the log has been delivered"(subject) {
    const begun = await begin(subject);
    const { log, recorder, past } = begun;
    await past.sync();
    const writer = begun.other === undefined ? log : subject.other(begun);
    for (let round = 1; round <= 20; round++) {
      await writer.append("a", { data: String(round) });
      await past.sync();
      assert.equal(recorder.received.length, round);
    }
    await Promise.all(Array.from({ length: 10 }, () => past.sync()));
  },

  async "reads nothing, and does not reject, for text that cannot be one of its ids"(subject) {
    const { log, recorder, past } = await begin(subject);
    await log.append("a", { data: "1" });
    await recorder.until(1);
    const upTo = recorder.ids[0] ?? "";
    for (const id of GARBAGE) assert.equal(await past.read(id, upTo), "unknown", id);
    assert.deepEqual(
      await past.find(GARBAGE),
      GARBAGE.map(() => "unknown"),
    );
  },
};

async function begin(subject: Subject): Promise<Begun & { readonly past: LogPast }> {
  const begun = await subject.begin();
  const { past } = begun.log;
  if (past === undefined) throw new NotApplicable("The log keeps nothing that it has delivered");
  return { ...begun, past };
}

/** Reads page by page and returns all entries in order. */
async function readAll(
  past: LogPast,
  after: string,
  upTo: string,
  room: PastRoom,
): Promise<LogEntry[]> {
  const found: LogEntry[] = [];
  let { hasUpTo } = room;
  let top = upTo;
  for (let isLast = false; !isLast;) {
    const page = await past.read(after, top, { ...room, hasUpTo });
    if (typeof page !== "object") assert.fail(`${page}: ${after} to ${top}`);
    for (const { ageMs } of page.entries) assert.ok(ageMs >= 0, `The age is ${ageMs} ms`);
    found.unshift(...page.entries.map(({ ageMs: _, ...entry }) => entry));
    isLast = page.isLast;
    top = found[0]?.id ?? top;
    hasUpTo = true;
  }
  return found;
}
