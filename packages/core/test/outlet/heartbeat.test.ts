import { performance as eventLoop } from "node:perf_hooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Heartbeat, MAX_SWEEPS, SWEEP_MS } from "../../src/outlet/heartbeat.js";
import type { Beating } from "../../src/outlet/heartbeat.js";

/** A member that records when it was driven and may use up time. */
class Member implements Beating {
  place: number | undefined;
  watched: number | undefined;
  /** Number of sweeps that it asks for. */
  sweeps = 1;
  /** How often it asks to be watched further. */
  looks = 0;
  readonly beats: number[] = [];
  /** Number of calls of `settle`. */
  settles = 0;
  readonly #onBeat: (() => void) | undefined;

  constructor(onBeat?: () => void) {
    this.#onBeat = onBeat;
  }

  beat(now: number): number {
    this.beats.push(now);
    this.#onBeat?.();
    return this.sweeps;
  }

  settle(): boolean {
    this.settles += 1;
    return this.looks-- === 0;
  }
}

let clock = 0;

beforeEach(() => {
  vi.useFakeTimers();
  clock = 0;
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Members that each use up a millisecond of the clock, so that a sweep over them is cut into slices. */
function addSlow(heartbeat: Heartbeat, count: number, order: number[] = []): Member[] {
  vi.spyOn(performance, "now").mockImplementation(() => clock);
  return Array.from({ length: count }, (_, index) => {
    const member = new Member(() => {
      clock += 1;
      order.push(index);
    });
    heartbeat.add(member);
    return member;
  });
}

/** One `setInterval` tick, without the immediates after it. */
function tick(): void {
  vi.advanceTimersByTime(SWEEP_MS - 1);
  vi.advanceTimersToNextTimer();
}

describe("Heartbeat", () => {
  it("drives each member twice a second with a monotonic clock", () => {
    const heartbeat = new Heartbeat();
    const member = new Member();
    const start = performance.now();
    heartbeat.add(member);
    vi.advanceTimersByTime(SWEEP_MS - 1);
    expect(member.beats).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(member.beats).toEqual([start + SWEEP_MS]);
    vi.advanceTimersByTime(3 * SWEEP_MS);
    expect(member.beats).toEqual([1, 2, 3, 4].map((sweep) => start + sweep * SWEEP_MS));
  });

  it("lets each member sleep for as many sweeps as it asks for", () => {
    const heartbeat = new Heartbeat();
    const members = Array.from({ length: MAX_SWEEPS }, (_, index) => {
      const member = new Member();
      member.sweeps = index + 1;
      heartbeat.add(member);
      return member;
    });
    const start = performance.now();
    vi.advanceTimersByTime(40 * SWEEP_MS);
    for (const { sweeps, beats } of members) {
      const expected = Array.from(
        { length: Math.floor(39 / sweeps) + 1 },
        (_, beat) => start + (1 + beat * sweeps) * SWEEP_MS,
      );
      expect(beats).toEqual(expected);
    }
  });

  it("settles a watched member in each sweep until it is done, without changing its beats", () => {
    const heartbeat = new Heartbeat();
    const members = [new Member(), new Member()];
    for (const member of members) {
      member.sweeps = MAX_SWEEPS;
      heartbeat.add(member);
    }
    vi.advanceTimersByTime(2 * SWEEP_MS);
    const [watched] = members as [Member, Member];
    watched.looks = 2;
    heartbeat.watch(watched);
    vi.advanceTimersByTime((MAX_SWEEPS - 1) * SWEEP_MS);
    expect(watched.settles).toBe(3);
    expect(members.map(({ beats }) => beats.length)).toEqual([2, 2]);
    // Again, after it has settled.
    watched.looks = 0;
    heartbeat.watch(watched);
    vi.advanceTimersByTime(2 * SWEEP_MS);
    expect(watched.settles).toBe(4);
    expect(watched.watched).toBeUndefined();
  });

  it("checks each watched member once in a sweep, even if others settle or leave meanwhile", () => {
    const heartbeat = new Heartbeat();
    const members = Array.from({ length: 200 }, () => new Member());
    for (const [index, member] of members.entries()) {
      member.looks = index % 3;
      heartbeat.add(member);
      for (let times = 0; times < 2; times++) heartbeat.watch(member);
    }
    for (const member of members.slice(100, 120)) heartbeat.delete(member);
    vi.advanceTimersByTime(6 * SWEEP_MS);
    for (const [index, { settles }] of members.entries()) {
      expect(settles).toBe(index >= 100 && index < 120 ? 0 : 1 + (index % 3));
    }
  });

  it("counts its sweeps", () => {
    const heartbeat = new Heartbeat();
    heartbeat.add(new Member());
    expect(heartbeat.sweeps).toBe(0);
    vi.advanceTimersByTime(3 * SWEEP_MS);
    expect(heartbeat.sweeps).toBe(3);
  });

  it("does not settle a member that was deleted meanwhile", () => {
    const heartbeat = new Heartbeat();
    const members = [new Member(), new Member()] as const;
    for (const member of members) {
      heartbeat.add(member);
      heartbeat.watch(member);
    }
    heartbeat.delete(members[0]);
    vi.advanceTimersByTime(2 * SWEEP_MS);
    expect(members.map(({ settles }) => settles)).toEqual([0, 1]);
    heartbeat.delete(members[1]);
    expect([heartbeat.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it("keeps one timer for all members, and only while there are any", () => {
    const heartbeat = new Heartbeat();
    expect(vi.getTimerCount()).toBe(0);
    const members = [new Member(), new Member(), new Member()];
    for (const member of members) heartbeat.add(member);
    expect(vi.getTimerCount()).toBe(1);
    for (const member of members.slice(1)) heartbeat.delete(member);
    expect(vi.getTimerCount()).toBe(1);
    for (const member of members) heartbeat.delete(member);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("starts again when members come back", () => {
    const heartbeat = new Heartbeat();
    const member = new Member();
    heartbeat.add(member);
    heartbeat.delete(member);
    vi.advanceTimersByTime(5_000);
    expect(member.beats).toHaveLength(0);
    heartbeat.add(member);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(SWEEP_MS);
    expect(member.beats).toHaveLength(1);
  });

  it("ignores the delete of a member that was not added", () => {
    const heartbeat = new Heartbeat();
    heartbeat.delete(new Member());
    heartbeat.add(new Member());
    heartbeat.delete(new Member());
    expect(vi.getTimerCount()).toBe(1);
  });

  it("drives a member only once if it was added twice", () => {
    const heartbeat = new Heartbeat();
    const member = new Member();
    heartbeat.add(member);
    heartbeat.add(member);
    vi.advanceTimersByTime(SWEEP_MS);
    expect(member.beats).toHaveLength(1);
  });

  it("does not keep the process alive with its timer", () => {
    const intervals = vi.spyOn(globalThis, "setInterval");
    new Heartbeat().add(new Member());
    const made = intervals.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef());
    expect(made).toEqual([false]);
  });

  it("does not beat a member that another one deletes during the sweep", () => {
    const heartbeat = new Heartbeat();
    const second = new Member();
    const first = new Member(() => heartbeat.delete(second));
    heartbeat.add(first);
    heartbeat.add(second);
    vi.advanceTimersByTime(2 * SWEEP_MS);
    expect(first.beats).toHaveLength(2);
    expect(second.beats).toHaveLength(0);
  });

  it("lets a member delete itself, even if it is the last", () => {
    const heartbeat = new Heartbeat();
    const member: Member = new Member(() => heartbeat.delete(member));
    heartbeat.add(member);
    vi.advanceTimersByTime(3_000);
    expect(member.beats).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("drives a member that is added during a sweep from the next sweep on", () => {
    const heartbeat = new Heartbeat();
    const late = new Member();
    heartbeat.add(new Member(() => heartbeat.add(late)));
    vi.advanceTimersByTime(SWEEP_MS);
    expect(late.beats).toHaveLength(0);
    vi.advanceTimersByTime(SWEEP_MS);
    expect(late.beats).toHaveLength(1);
  });

  it("sweeps over ten thousand quick members in one go", () => {
    const heartbeat = new Heartbeat();
    const members = Array.from({ length: 10_000 }, () => new Member());
    for (const member of members) heartbeat.add(member);
    vi.advanceTimersByTime(SWEEP_MS);
    expect(members.every((member) => member.beats.length === 1)).toBe(true);
  });
});

describe("a sweep over many slow members", () => {
  it("yields after the first clock check that finds its slice used up", () => {
    const heartbeat = new Heartbeat();
    const order: number[] = [];
    addSlow(heartbeat, 200, order);
    tick();
    expect(order).toHaveLength(64);
    // Besides the interval there is now the immediate that continues the sweep.
    expect(vi.getTimerCount()).toBe(2);
    vi.advanceTimersToNextTimer();
    expect(order).toHaveLength(128);
  });

  it("drives each member once and in order, however many slices it takes", () => {
    const heartbeat = new Heartbeat();
    const order: number[] = [];
    addSlow(heartbeat, 5_000, order);
    vi.advanceTimersByTime(SWEEP_MS);
    for (let slices = 0; order.length < 5_000 && slices < 200; slices++)
      vi.advanceTimersToNextTimer();
    expect(order).toEqual(Array.from({ length: 5_000 }, (_, index) => index));
  });

  it("is not overtaken by the next one", () => {
    const heartbeat = new Heartbeat();
    const order: number[] = [];
    const pending: (() => void)[] = [];
    const members = addSlow(heartbeat, 200, order);
    vi.spyOn(globalThis, "setImmediate").mockImplementation(((run: () => void) => {
      pending.push(run);
      return undefined;
    }) as never);
    vi.advanceTimersByTime(SWEEP_MS);
    expect(order).toHaveLength(64);
    // Three more ticks while the sweep still waits for its second slice: none starts another.
    vi.advanceTimersByTime(3 * SWEEP_MS);
    expect(order).toHaveLength(64);
    expect(pending).toHaveLength(1);
    while (pending.length > 0) pending.shift()?.();
    expect(members.every((member) => member.beats.length === 1)).toBe(true);
    // Once it has ended, the next tick starts at the front again.
    vi.advanceTimersByTime(SWEEP_MS);
    expect(members[0]?.beats).toHaveLength(2);
  });

  it("continues at once, even in a process that is otherwise idle", async () => {
    vi.useRealTimers();
    const heartbeat = new Heartbeat();
    // A twentieth of a millisecond each: a dozen slices.
    const spend = (): void => {
      for (const end = performance.now() + 0.05; performance.now() < end;);
    };
    const members = Array.from({ length: 1_000 }, () => new Member(spend));
    const beat = (): Promise<void> =>
      new Promise((resolve) => {
        heartbeat.add(new Member(resolve));
      });
    const begun = beat();
    for (const member of members) heartbeat.add(member);
    const over = beat();
    await begun;
    const before = eventLoop.eventLoopUtilization();
    await over;
    // The loop would be idle until the timer of the next sweep, unless the sweep keeps it awake.
    expect(eventLoop.eventLoopUtilization(before).idle).toBeLessThan(SWEEP_MS / 2);
    expect(members.filter(({ beats }) => beats.length === 0)).toEqual([]);
    for (const member of heartbeat) heartbeat.delete(member);
  });

  it("does not beat members that are deleted between its slices", () => {
    const heartbeat = new Heartbeat();
    const members = addSlow(heartbeat, 200);
    tick();
    for (const member of members.slice(100)) heartbeat.delete(member);
    vi.advanceTimersByTime(100);
    expect(members.filter((member) => member.beats.length === 1)).toEqual(members.slice(0, 100));
  });

  it("ends when all are deleted between its slices, and does not block later sweeps", () => {
    const heartbeat = new Heartbeat();
    const members = addSlow(heartbeat, 200);
    tick();
    for (const member of members) heartbeat.delete(member);
    vi.advanceTimersByTime(100);
    expect(vi.getTimerCount()).toBe(0);
    const later = new Member();
    heartbeat.add(later);
    vi.advanceTimersByTime(SWEEP_MS);
    expect(later.beats).toHaveLength(1);
  });
});
