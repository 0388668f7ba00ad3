import net from "node:net";
import { once } from "node:events";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Deadline } from "../src/deadline.js";

/** Blocks the event loop, as in a stopped process. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe("Deadline", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("expires when its time has passed, unless cleared first", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate"] });
    const expired: string[] = [];
    const deadline = (name: string, ms: number): Deadline =>
      new Deadline({ ms, expired: () => void expired.push(name), isBackground: true });
    deadline("a second", 1_000);
    deadline("a hundredth", 10);
    const cleared = deadline("cleared", 900);
    await vi.advanceTimersByTimeAsync(20);
    expect(expired).toEqual(["a hundredth"]);
    await vi.advanceTimersByTimeAsync(800);
    cleared.clear();
    await vi.advanceTimersByTimeAsync(170);
    expect(expired).toEqual(["a hundredth"]);
    await vi.advanceTimersByTimeAsync(30);
    expect(expired).toEqual(["a hundredth", "a second"]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(expired).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("restarts with all received data", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate"] });
    let received = 0;
    let isExpired = false;
    const expired = (): void => void (isExpired = true);
    const progress = (): number => received;
    const deadline = new Deadline({ ms: 2_000, progress, expired, isBackground: true });
    for (let second = 0; second < 20; second++) {
      received += 1;
      await vi.advanceTimersByTimeAsync(1_500);
      expect(isExpired).toBe(false);
    }
    await vi.advanceTimersByTimeAsync(1_000);
    expect(isExpired).toBe(true);
    deadline.clear();
  });

  it("counts a pause of the process as a short time, however long it was", async () => {
    let isExpired = false;
    const deadline = new Deadline({
      ms: 600,
      expired: () => void (isExpired = true),
      isBackground: false,
    });
    block(1_500);
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    expect(isExpired).toBe(false);
    deadline.clear();
  });

  it("does not expire before the event loop has read data that arrived during a pause", async () => {
    const server = net.createServer((socket) => void socket.end("answer")).listen(0, "127.0.0.1");
    await once(server, "listening");
    let isExpired = false;
    const deadline = new Deadline({
      ms: 50,
      expired: () => void (isExpired = true),
      isBackground: false,
    });
    const socket = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
    socket.once("data", () => deadline.clear());
    await once(socket, "connect");
    // The answer arrives while this process is busy for longer than the limit.
    block(200);
    await once(socket, "data");
    await new Promise(setImmediate);
    expect(isExpired).toBe(false);
    socket.destroy();
    server.close();
  });
});
