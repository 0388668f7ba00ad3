import { describe, expect, it } from "vitest";
import { createEventQueue } from "../src/event-queue.js";

const nothing = (): void => {};

describe("A queue", () => {
  it("gives events in order, to calls before and after they come", async () => {
    const queue = createEventQueue<number>(nothing);
    const early = [queue.next(), queue.next()];
    for (const event of [1, 2, 3]) queue.push(event);
    expect(await Promise.all([...early, queue.next()])).toEqual(
      [1, 2, 3].map((value) => ({ done: false, value })),
    );
  });

  it("ends after the events that wait, and stays ended", async () => {
    const queue = createEventQueue<number>(nothing);
    queue.push(1);
    queue.end({ state: "closed", reason: "completed" });
    expect(await queue.next()).toEqual({ done: false, value: 1 });
    expect(await queue.next()).toEqual({ done: true, value: undefined });
    expect(await queue.next()).toEqual({ done: true, value: undefined });
  });

  it("throws its failure after the last event", async () => {
    const queue = createEventQueue<number>(nothing);
    const waiting = [queue.next(), queue.next()];
    const error = new Error("refused");
    queue.end({ state: "closed", reason: "unauthorized", error });
    for (const next of [...waiting, queue.next()]) await expect(next).rejects.toBe(error);
  });

  it("drops its events when its loop is left", async () => {
    const changes: boolean[] = [];
    const queue = createEventQueue<number>((isLeft) => changes.push(isLeft));
    queue.push(1);
    queue.push(2);
    await queue.next();
    await queue.return?.();
    expect(await queue.next()).toEqual({ done: true, value: undefined });
    expect(changes).toEqual([false, true]);
  });
});
