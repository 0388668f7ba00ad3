import { describe, expect, it } from "vitest";
import { slotOf } from "../src/slot.js";

describe("slotOf", () => {
  it.each([
    // From the specification of Redis Cluster.
    ["123456789", 0x31_c3],
    ["", 0],
    // As `CLUSTER KEYSLOT` replies.
    ["tidewire", 31],
    ["foo", 12_182],
    ["küste", 1_781],
  ])("is that of the whole key: %s", (key, slot) => {
    expect(slotOf(key)).toBe(slot);
  });

  it.each([
    ["{news}:log", "news"],
    ["a{news}b", "news"],
    ["a{news}b{other}", "news"],
    ["{{news}}", "{news"],
  ])("is that of the hash tag: %s", (key, tag) => {
    expect(slotOf(key)).toBe(slotOf(tag));
  });

  it.each(["{}news", "news{", "news}", "}news{", "news{}{other}"])(
    "ignores braces that are not a tag: %s",
    (key) => {
      expect(slotOf(key)).not.toBe(slotOf("news"));
      expect(slotOf(key)).not.toBe(slotOf("other"));
    },
  );
});
