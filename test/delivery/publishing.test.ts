/** `publish` never ends the process; ids and channel names reveal nothing that they should not. */

import { setTimeout as delay } from "node:timers/promises";
import { createHub, createPublisher, isSseError, memoryLog } from "@tidewire/core";
import type { HubOptions, Log } from "@tidewire/core";
import { expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "./event-client.js";
import { serve, turns } from "./served.js";

/** Errors received by `onError`, as code and stage. */
function heard(): { readonly faults: string[]; readonly onError: HubOptions["onError"] } {
  const faults: string[] = [];
  return {
    faults,
    onError: (error, { stage }) => {
      faults.push(`${isSseError(error) ? error.code : String(error)} ${stage}`);
    },
  };
}

function rejectingLog(): Log {
  const inner = memoryLog();
  return {
    start: (follower) => inner.start(follower),
    append: () => Promise.reject(new Error("no log")),
    compare: (a, b) => inner.compare(a, b),
    health: () => inner.health(),
    close: () => inner.close(),
  };
}

// An unhandled rejection, which would end a process, fails every test.
it.each([
  ["a closed hub", {}, "ERR_SSE_CLOSED publish"],
  ["a log that rejects", { log: rejectingLog() }, "Error: no log publish"],
])(
  "an unawaited publish() on %s does not end the process, and onError is called once",
  async (name, options, fault) => {
    const { faults, onError } = heard();
    const hub = createHub({ ...options, onError });
    if (name === "a closed hub") await hub.close();
    void hub.publish("t", "1");
    void hub.channel("t").publish("2");
    await delay(1);
    expect(faults).toEqual([fault, fault]);
    await hub.close();
  },
);

it("an awaited publish() on a closed hub rejects with 503", async () => {
  const { faults, onError } = heard();
  const hub = createHub({ onError });
  await hub.close();
  const error: unknown = await hub.publish("t", "1").then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(isSseError(error) && [error.code, error.statusCode]).toEqual(["ERR_SSE_CLOSED", 503]);
  expect(faults).toEqual(["ERR_SSE_CLOSED publish"]);
});

it("a publisher on an in-memory log is refused when it is created", () => {
  expect(() => createPublisher({ log: memoryLog() })).toThrow(/other processes/);
});

it("channel names that begin with ~ are refused in publish, channel and subscribe", async () => {
  const codes: unknown[] = [];
  const attempt = (fn: () => unknown): void => {
    try {
      void fn();
      codes.push(undefined);
    } catch (error) {
      codes.push(isSseError(error) && error.code);
    }
  };
  const { hub, port } = await serve(({ sse }) => {
    attempt(() => sse.subscribe("~control"));
    attempt(() => sse.subscribe(["fine", "~control"]));
    attempt(() => sse.unsubscribe("~control"));
    sse.close();
  });
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the handler", () => codes.length === 3);
  attempt(() => hub.publish("~control", "x"));
  attempt(() => hub.channel("~control"));
  expect(codes).toEqual(Array.from({ length: 5 }, () => "ERR_SSE_INVALID_OPTION"));
  await hub.publish("a~b", "fine");
});

it("an id of the in-memory log does not reveal how much was published on channels that its client may not see", async () => {
  const ids = async (secrets: number): Promise<string[]> => {
    const { hub, port } = await serve(({ sse }) => void sse.subscribe("mine"), {
      heartbeatMs: 1_000,
      authorize: (channel) => channel === "mine",
    });
    const client = new EventClient(port, "/");
    client.connect();
    await eventually("its position", () => client.cursors === 1);
    const first = client.lastEventId;
    for (let i = 0; i < secrets; i++) await hub.publish("secret", "x");
    // The next events belong to another millisecond.
    await delay(3);
    await hub.publish("mine", "x");
    await eventually("the event", () => client.events.length === 1);
    return [first, client.lastEventId];
  };
  const shape = /^[\w-]+\.[0-9a-z]+-(\d+)~[\w-]{5}$/;
  for (const secrets of [0, 1, 2_500]) {
    // Each is the first of its millisecond, with a random number below 1 024.
    for (const id of await ids(secrets)) expect(Number(shape.exec(id)?.[1])).toBeLessThan(1_024);
  }
  await turns();
});
