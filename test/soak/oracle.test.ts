// The oracle checks the streams of the chaos tests. This file checks the oracle.
import { expect, it } from "vitest";
import { Ledger, Visit } from "./oracle.js";
import type { Call } from "./oracle.js";

function callOf(latest: number, isFirst: boolean): Call {
  return {
    latest,
    hasSnapshot: false,
    isReplayed: isFirst,
    isFirst,
    isStateDue: false,
    take: undefined,
    states: 0,
    resetsBefore: 0,
  };
}

/**
 * A client that returned too late: one reset, followed by the latest two events; then the channel is left at byte 100.
 */
function resetAndLeft(): Visit {
  const ledger = new Ledger();
  for (const id of ["one", "two", "three", "four", "five"]) {
    ledger.name(id, ledger.publish("news").number);
  }
  const visit = new Visit(ledger, 3, 1);
  visit.join(["news"], callOf(2, true), { position: 5, bytes: 0 });
  visit.reset({ reason: "trimmed", channels: ["news"] }, "five", 0, { latest: 5 });
  visit.event(4, undefined, 50);
  visit.event(5, undefined, 50);
  visit.leave(["news"], 116, { position: 5, bytes: 100 });
  return visit;
}

it.each([100, 200])(
  "an event written at byte %i after a channel was joined again belongs to the new call",
  (at) => {
    const visit = resetAndLeft();
    visit.join(["news"], callOf(2, false), { position: 5, bytes: 100 });
    visit.event(4, undefined, at);
    visit.event(5, undefined, at);
    expect(visit.fault).toBeUndefined();
  },
);

it("an event of a channel that was left is a fault", () => {
  const visit = resetAndLeft();
  visit.event(4, undefined, 200);
  expect(visit.fault).toBeDefined();
});
