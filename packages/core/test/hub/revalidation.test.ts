import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Revalidation } from "../../src/hub/revalidation.js";
import type { CheckedSession } from "../../src/hub/revalidation.js";
import { resolveOptions } from "../../src/options/hub.js";
import type { UntypedHubOptions } from "../../src/options/hub.js";
import type { RevalidateOptions } from "../../src/options/identity.js";
import { SWEEP_MS } from "../../src/outlet/heartbeat.js";
import { thrownBy, untyped } from "../thrown.js";

const reports: unknown[] = [];

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  reports.length = 0;
});

class FakeSession implements CheckedSession {
  readonly request = undefined;
  readonly identity = "ada";
  readonly id = "";
  readonly lastEventId = "";
  readonly signal = new AbortController().signal;
  closeReason: CheckedSession["closeReason"];

  revoke(reason: CheckedSession["closeReason"]): void {
    this.closeReason = reason;
  }
}

function make(options: Partial<RevalidateOptions>): Revalidation {
  const { revalidate } = resolveOptions({
    revalidate: { everyMs: 10_000, check: () => true, ...options },
  });
  if (revalidate === false) throw new Error("expected options");
  return new Revalidation(revalidate, (error) => reports.push(error));
}

/** Has a session checked: beats once, and again when its first check is due. */
function beatTwice(revalidation: Revalidation, session: CheckedSession): void {
  const now = performance.now();
  revalidation.beat(session, now + revalidation.beat(session, now));
}

/** Runs everything that does not wait for a timer. */
async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

describe("revalidate", () => {
  it("draws the first check from the whole period, and later ones from its last fifth", async () => {
    const revalidation = make({});
    const sessions = Array.from({ length: 1_000 }, () => new FakeSession());
    const begin = performance.now();
    const firsts = sessions.map((session) => revalidation.beat(session, begin));
    expect(Math.min(...firsts)).toBeLessThan(500);
    expect(Math.max(...firsts)).toBeLessThanOrEqual(10_000 - 900);
    expect(Math.max(...firsts)).toBeGreaterThan(8_500);
    vi.advanceTimersByTime(10_000);
    const now = performance.now();
    const nexts = sessions.map((session) => revalidation.beat(session, now));
    expect(Math.min(...nexts)).toBeGreaterThanOrEqual(8_000 - 900);
    expect(Math.max(...nexts)).toBeLessThanOrEqual(10_000 - 900);
  });

  it.each([
    ["false", (): boolean => false, "revoked"],
    ["a promise of false", async (): Promise<boolean> => false, "revoked"],
    ["a truthy value", (): boolean => untyped<boolean>("yes"), "revoked"],
    ["undefined", (): boolean => untyped<boolean>(undefined), "revoked"],
  ])("closes a session for which check gives %s", async (_name, check, reason) => {
    const session = new FakeSession();
    beatTwice(make({ check }), session);
    await settle();
    expect(session.closeReason).toBe(reason);
    expect(reports).toEqual([]);
  });

  it("closes a session whose check fails, and reports the error", async () => {
    const fault = new Error("no database");
    const [first, second] = [new FakeSession(), new FakeSession()];
    const throwing = make({
      check: () => {
        throw fault;
      },
    });
    beatTwice(throwing, first);
    beatTwice(make({ check: () => Promise.reject(fault) }), second);
    await settle();
    expect([first.closeReason, second.closeReason]).toEqual(["error", "error"]);
    expect(reports).toEqual([fault, fault]);
  });

  it("closes a session whose check does not answer, and goes on with the next", async () => {
    const check = vi.fn<() => Promise<boolean>>(() => new Promise(() => {}));
    const revalidation = make({ check, maxConcurrent: 1, timeoutMs: 1_000 });
    const [first, second] = [new FakeSession(), new FakeSession()];
    beatTwice(revalidation, first);
    beatTwice(revalidation, second);
    await vi.advanceTimersByTimeAsync(999);
    expect([first.closeReason, check.mock.calls.length]).toEqual([undefined, 1]);
    await vi.advanceTimersByTimeAsync(1);
    expect([first.closeReason, check.mock.calls.length]).toEqual(["error", 2]);
    expect(reports).toMatchObject([
      { message: "`revalidate.check` has not answered within 1000 ms" },
    ]);
  });

  it("has no more than `maxConcurrent` checks pending, and asks for all in turn", async () => {
    let pending = 0;
    let most = 0;
    const check = async (): Promise<boolean> => {
      most = Math.max(most, ++pending);
      await new Promise((resolve) => {
        setTimeout(resolve, 10);
      });
      pending -= 1;
      return true;
    };
    const revalidation = make({ check, maxConcurrent: 7 });
    const sessions = Array.from({ length: 1_000 }, () => new FakeSession());
    for (const session of sessions) beatTwice(revalidation, session);
    await vi.advanceTimersByTimeAsync(10 * Math.ceil(1_000 / 7));
    expect(most).toBe(7);
    const now = performance.now();
    const isPending = (session: FakeSession): boolean =>
      revalidation.beat(session, now) === SWEEP_MS;
    expect(sessions.filter(isPending)).toEqual([]);
  });

  it("does not ask for sessions that have closed while they waited", async () => {
    let answer = (): void => {};
    const check = vi.fn<() => boolean | Promise<boolean>>(
      () =>
        new Promise((resolve) => {
          answer = () => resolve(true);
        }),
    );
    const revalidation = make({ check, maxConcurrent: 1 });
    const [first, ...others] = Array.from({ length: 20_000 }, () => new FakeSession());
    for (const session of [first, ...others]) {
      beatTwice(revalidation, session as FakeSession);
    }
    for (const session of others.slice(1)) session.closeReason = "client";
    check.mockReturnValue(true);
    answer();
    await settle();
    expect(check).toHaveBeenCalledTimes(2);
  });

  it("reports once in each period that checks take too long", async () => {
    const check = (): Promise<boolean> =>
      new Promise((resolve) => {
        setTimeout(() => resolve(true), 4_000);
      });
    const revalidation = make({ check, everyMs: 10_000, maxConcurrent: 1 });
    for (let count = 0; count < 6; count++) beatTwice(revalidation, new FakeSession());
    await vi.advanceTimersByTimeAsync(8_000);
    expect(reports).toEqual([]);
    await vi.advanceTimersByTimeAsync(8_000);
    expect(reports).toMatchObject([
      {
        message:
          "A session has waited 12000 ms for `revalidate.check`, with 1 checks at the same time: they take too long",
      },
    ]);
  });

  it.each([
    {},
    { everyMs: 999, check: () => true },
    { everyMs: 1_000 },
    { everyMs: 1_000, check: true },
    { everyMs: 1_000, check: () => true, maxConcurrent: 0 },
    { everyMs: 1_000, check: () => true, timeoutMs: 0 },
    { everyMs: 1_000, check: () => true, jitter: 1 },
  ])("is not %j", (revalidate) => {
    const options = untyped<UntypedHubOptions>({ revalidate });
    expect(thrownBy(() => resolveOptions(options))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
    });
  });
});
