import { memoryLog } from "@tidewire/core";
import { logConformance } from "@tidewire/testing";
import { describe, test } from "vitest";
import { DistantHistory } from "./distant-history.js";
import { SharedHistory } from "./shared-history.js";

describe("memoryLog()", () => {
  logConformance(memoryLog, { test, withinMs: 15_000 });
});

describe("The log of the example in the documentation", () => {
  logConformance(
    () => {
      const history = new SharedHistory();
      return { log: history.log(), other: () => history.log() };
    },
    { test, withinMs: 15_000 },
  );
});

// Without this, no log in memory would cover the contract on several followers and rejected appends.
describe("A log with a shared history", () => {
  logConformance(
    () => {
      const history = new DistantHistory();
      return {
        log: history.log(),
        other: () => history.log(),
        breakAppends: async () => {
          history.isBroken = true;
          return async () => {
            history.isBroken = false;
          };
        },
      };
    },
    { test, withinMs: 15_000 },
  );
});
