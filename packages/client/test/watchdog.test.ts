import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createAlarm } from "../src/alarm.js";
import { createWatchdog } from "../src/watchdog.js";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** The clock goes on while the timers stand still. */
function sleep(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

function countCalls(): { readonly call: () => void; count: number } {
  const counter = {
    count: 0,
    call: () => {
      counter.count += 1;
    },
  };
  return counter;
}

describe("An alarm", () => {
  it("rings once, when the time is over", () => {
    const rings = countCalls();
    createAlarm().set(12_000, rings.call);
    vi.advanceTimersByTime(11_999);
    expect(rings.count).toBe(0);
    vi.advanceTimersByTime(60_000);
    expect(rings.count).toBe(1);
  });

  it("rings at most five seconds after the machine wakes up, if the time is over by the clock", () => {
    const rings = countCalls();
    createAlarm().set(60_000, rings.call);
    sleep(58_000);
    vi.advanceTimersByTime(5_000);
    expect(rings.count).toBe(1);
  });

  it("rings after a long sleep, and when the clock was set back by hours", () => {
    const rings = countCalls();
    createAlarm().set(Infinity, rings.call);
    vi.advanceTimersByTime(600_000);
    expect(rings.count).toBe(0);
    sleep(100_000);
    vi.advanceTimersByTime(5_000);
    expect(rings.count).toBe(1);
    createAlarm().set(60_000, rings.call);
    sleep(-7_200_000);
    vi.advanceTimersByTime(5_000);
    expect(rings.count).toBe(2);
  });

  it("leaves no timer when it is cleared or has rung", () => {
    const alarm = createAlarm();
    alarm.set(60_000, () => {});
    alarm.set(1_000, () => {});
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1_000);
    expect(vi.getTimerCount()).toBe(0);
    alarm.set(1_000, () => {});
    alarm.clear();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("A watchdog", () => {
  it("finds a dead link in one and a half heartbeats", () => {
    const stalls = countCalls();
    const watchdog = createWatchdog(undefined, stalls.call);
    watchdog.start();
    watchdog.hear();
    watchdog.seeEvent('{"heartbeatMs":15000}');
    for (let beat = 0; beat < 10; beat++) {
      vi.advanceTimersByTime(15_000);
      watchdog.hear();
    }
    vi.advanceTimersByTime(22_499);
    expect(stalls.count).toBe(0);
    vi.advanceTimersByTime(1);
    expect(stalls.count).toBe(1);
  });

  it("does not take a stream for dead that a full server holds for 30 s", () => {
    const stalls = countCalls();
    const watchdog = createWatchdog(15_000, stalls.call);
    watchdog.start();
    watchdog.hear();
    vi.advanceTimersByTime(30_000);
    expect(stalls.count).toBe(0);
    vi.advanceTimersByTime(5_000);
    expect(stalls.count).toBe(1);
  });

  it("knows the heartbeat of an earlier stream, also before the first event", () => {
    const stalls = countCalls();
    const watchdog = createWatchdog(undefined, stalls.call);
    watchdog.start();
    watchdog.seeEvent('{"heartbeatMs":1000}');
    watchdog.stop();
    watchdog.start();
    vi.advanceTimersByTime(35_000);
    expect(stalls.count).toBe(1);
  });

  it.each([
    ["the server announces no heartbeat", undefined, '{"heartbeatMs":false}'],
    ["the server announces nothing", undefined, "{}"],
    ["the announcement makes no sense", undefined, '{"heartbeatMs":-5}'],
    ["the announcement is no JSON", undefined, "soon"],
    ["the option is false", false, '{"heartbeatMs":1000}'],
  ] as const)("never bites if %s", (_when, option, cursor) => {
    const stalls = countCalls();
    const watchdog = createWatchdog(option, stalls.call);
    watchdog.start();
    watchdog.seeEvent(cursor);
    vi.advanceTimersByTime(3_600_000);
    expect(stalls.count).toBe(0);
  });

  it("gives bytes that came in during a sleep the time to be read", () => {
    const stalls = countCalls();
    const watchdog = createWatchdog(15_000, stalls.call);
    watchdog.start();
    watchdog.seeEvent(undefined);
    sleep(60_000);
    vi.advanceTimersByTime(5_000);
    watchdog.hear();
    vi.advanceTimersByTime(20_000);
    expect(stalls.count).toBe(0);
  });

  it("finds a link dead after a sleep, also if there is no heartbeat", () => {
    for (const option of [15_000, undefined]) {
      const stalls = countCalls();
      const watchdog = createWatchdog(option, stalls.call);
      watchdog.start();
      watchdog.seeEvent(undefined);
      sleep(100_000);
      vi.advanceTimersByTime(6_000);
      expect(stalls.count).toBe(1);
    }
  });

  it("does not count the time in which the stream was not read", () => {
    const stalls = countCalls();
    const watchdog = createWatchdog(10_000, stalls.call);
    watchdog.start();
    watchdog.seeEvent(undefined);
    watchdog.stop();
    vi.advanceTimersByTime(120_000);
    watchdog.resume();
    vi.advanceTimersByTime(14_000);
    expect(stalls.count).toBe(0);
  });

  it("calls a stream steady once its bytes have come for five seconds", () => {
    const watchdog = createWatchdog(undefined, () => {});
    watchdog.start();
    vi.advanceTimersByTime(30_000);
    expect(watchdog.hear()).toBe(false);
    vi.advanceTimersByTime(4_999);
    expect(watchdog.hear()).toBe(false);
    vi.advanceTimersByTime(1);
    expect(watchdog.hear()).toBe(true);
    watchdog.start();
    expect(watchdog.hear()).toBe(false);
  });
});
