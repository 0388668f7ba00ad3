import { expect, it } from "vitest";
import * as adapter from "../src/adapter.js";
import * as core from "../src/index.js";

it("The public entry exports these values and no more", () => {
  expect(Object.keys(core).toSorted()).toEqual([
    "DEFAULTS",
    "SseError",
    "createHub",
    "createPublisher",
    "createReader",
    "isSseError",
    "memoryLog",
  ]);
});

it("The entry for adapters exports these values and no more", () => {
  expect(Object.keys(adapter).toSorted()).toEqual([
    "KeepAlive",
    "Scope",
    "atLeast",
    "breathe",
    "callOnError",
    "checkName",
    "createRoute",
    "describeValue",
    "encodeLogMessage",
    "isSessionAbort",
    "messageOf",
    "milliseconds",
    "openSource",
    "printErrors",
    "rejectedWith",
    "resolveHub",
    "runOutside",
    "sendSerialized",
    "unexpected",
  ]);
});
