import { expect, it } from "vitest";
import * as core from "../src/index.js";

it("The public entry exports these values and no more", () => {
  expect(Object.keys(core).toSorted()).toEqual([
    "DEFAULTS",
    "SseError",
    "createHub",
    "createPublisher",
    "isSseError",
    "memoryLog",
    "resolveHub",
  ]);
});
