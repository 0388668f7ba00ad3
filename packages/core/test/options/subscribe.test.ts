import { describe, expect, it } from "vitest";
import { checkChannels, checkSubscribeOptions } from "../../src/options/subscribe.js";
import type { SubscribeOptions } from "../../src/options/subscribe.js";
import { thrownBy, untyped } from "../thrown.js";

const CODE = "ERR_SSE_INVALID_OPTION";

describe("checkSubscribeOptions", () => {
  it.each([
    [{}],
    [{ latest: undefined, snapshot: undefined }],
    [{ latest: 0 }],
    [{ latest: 100_000 }],
    [{ snapshot: () => [] }],
    [{ snapshot: async () => [{ data: 1 }], latest: 1 }],
  ])("takes %o", (options) => {
    expect(() => checkSubscribeOptions(options)).not.toThrow();
  });

  it.each([
    [null, "the options of subscribe() to be an object, got null"],
    ["news", 'the options of subscribe() to be an object, got "news" (string)'],
    [{ latest: -1 }, "`latest` to be a whole number >= 0, got -1 (number)"],
    [{ latest: 1.5 }, "`latest` to be a whole number >= 0, got 1.5 (number)"],
    [{ latest: NaN }, "`latest` to be a whole number >= 0, got NaN (number)"],
    [{ latest: Infinity }, "`latest` to be a whole number >= 0, got Infinity (number)"],
    [{ latest: "1" }, '`latest` to be a whole number >= 0, got "1" (string)'],
    [{ latest: null }, "`latest` to be a whole number >= 0, got null"],
    [{ latest: true }, "`latest` to be a whole number >= 0, got true (boolean)"],
    [{ snapshot: [] }, "`snapshot` to be a function, got an array"],
    [{ snapshot: null }, "`snapshot` to be a function, got null"],
  ])("refuses %o", (options, expected) => {
    expect(thrownBy(() => checkSubscribeOptions(untyped<SubscribeOptions>(options)))).toMatchObject(
      {
        code: CODE,
        message: `Expected ${expected}`,
      },
    );
  });
});

it.each([
  [{ Latest: 1 }, "Unknown option `Latest`. Did you mean `latest`?"],
  [{ replay: undefined }, "Unknown option `replay`. Expected one of `latest`, `snapshot`, `open`"],
])("checkSubscribeOptions refuses %j", (options, message) => {
  expect(thrownBy(() => checkSubscribeOptions(untyped<object>(options)))).toMatchObject({
    code: CODE,
    message,
  });
});

describe("checkChannels", () => {
  it.each([
    ["a", ["a"]],
    [["a"], ["a"]],
    [
      ["b", "a", "b"],
      ["b", "a"],
    ],
    ["x".repeat(256), ["x".repeat(256)]],
    [" ", [" "]],
    ["__proto__", ["__proto__"]],
    ["a,b", ["a,b"]],
  ])("returns the names, without duplicates: %j", (channels, names) => {
    expect(checkChannels(channels)).toEqual(names);
  });

  it("returns a new array", () => {
    const given = ["a"];
    expect(checkChannels(given)).not.toBe(given);
  });

  it.each([
    [[], "a channel, got an empty array"],
    ["", 'a channel to be a string of 1 to 256 characters, got "" (string)'],
    [["a", ""], 'a channel to be a string of 1 to 256 characters, got "" (string)'],
    [undefined, "a channel to be a string of 1 to 256 characters, got undefined"],
    [null, "a channel to be a string of 1 to 256 characters, got null"],
    [1, "a channel to be a string of 1 to 256 characters, got 1 (number)"],
    [["a", 1], "a channel to be a string of 1 to 256 characters, got 1 (number)"],
    [[["a"]], "a channel to be a string of 1 to 256 characters, got an array"],
    [new Set(["a"]), "a channel to be a string of 1 to 256 characters, got an object"],
    [
      "x".repeat(257),
      `a channel to be a string of 1 to 256 characters, got "${"x".repeat(100)}"… (string)`,
    ],
    ["~", 'a channel not to begin with "~", which is reserved, got "~" (string)'],
    [["a", "~b"], 'a channel not to begin with "~", which is reserved, got "~b" (string)'],
  ])("refuses %j", (channels, expected) => {
    expect(thrownBy(() => checkChannels(untyped<string>(channels)))).toMatchObject({
      code: CODE,
      message: `Expected ${expected}`,
    });
  });
});
