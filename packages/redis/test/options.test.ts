import { SseError } from "@tidewire/core";
import { createClient } from "redis";
import { describe, expect, it } from "vitest";
import { createRedisPublisher } from "../src/publisher.js";
import type { RedisPublisherOptions } from "../src/publisher.js";
import { resolveRedisLogOptions } from "../src/options.js";
import type { RedisLogOptions, ResolvedRedisLogOptions } from "../src/options.js";

const URL = "redis://127.0.0.1:6379";

function resolve(options: unknown): ResolvedRedisLogOptions {
  return resolveRedisLogOptions(options as RedisLogOptions);
}

/** @returns The message for refused options. */
function refusalOf(options: unknown): string {
  try {
    resolve(options);
  } catch (error) {
    if (error instanceof SseError && error.code === "ERR_SSE_INVALID_OPTION") return error.message;
    throw error;
  }
  throw new Error("Nothing was thrown");
}

describe("resolveRedisLogOptions", () => {
  it("fills in the defaults", () => {
    expect(resolve({ url: URL })).toEqual({
      locator: { hasFailover: false, find: expect.any(Function) as unknown },
      key: "tidewire",
      retention: { maxAgeMs: 300_000, maxEvents: 100_000 },
      dedupeWindowMs: 120_000,
      publishTimeoutMs: 5_000,
      onHealth: undefined,
    });
  });

  it("treats `undefined` as the default", () => {
    const { locator: _, ...given } = resolve({
      url: URL,
      client: undefined,
      key: undefined,
      retention: undefined,
      dedupeWindowMs: undefined,
      publishTimeoutMs: undefined,
      onHealth: undefined,
    });
    const { locator: __, ...defaults } = resolve({ url: URL });
    expect(given).toEqual(defaults);
    expect(resolve({ url: URL, retention: { maxAgeMs: undefined } }).retention).toEqual(
      defaults.retention,
    );
  });

  it("keeps a given limit, and the other at its default", () => {
    const onHealth = (): void => {};
    expect(
      resolve({
        url: URL,
        key: "{news}:log",
        retention: { maxEvents: 1 },
        dedupeWindowMs: 1,
        publishTimeoutMs: 2_147_483_647,
        onHealth,
      }),
    ).toMatchObject({
      key: "{news}:log",
      retention: { maxAgeMs: 300_000, maxEvents: 1 },
      dedupeWindowMs: 1,
      publishTimeoutMs: 2_147_483_647,
      onHealth,
    });
  });

  it("reads all parts of an address", async () => {
    const { locator } = resolve({ url: "rediss://user:secret@redis.example:6380/2" });
    expect(await locator.find(new AbortController().signal)).toEqual({
      username: "user",
      password: "secret",
      database: 2,
      socket: { host: "redis.example", port: 6380, tls: true },
    });
  });

  it("requires one of `url` and `client`", () => {
    expect(refusalOf({})).toBe("Expected either `url` or `client`, got neither");
    expect(refusalOf({ url: URL, client: createClient({ url: URL }) })).toBe(
      "Expected either `url` or `client`, got both: the client has the address of Redis, omit `url`",
    );
  });

  it.each([
    ["http://127.0.0.1:6379"],
    ["127.0.0.1:6379"],
    ["not an address"],
    [""],
    [6_379],
    ["redis://user:hunter2@[bad/0"],
    ["redis://user:hunter2@host:6379/zero"],
  ])("refuses the address %j without repeating it", (url) => {
    const message = refusalOf({ url });
    expect(message).toBe(
      "Expected `url` to be like redis://user:password@host:6379/0, or rediss:// for TLS",
    );
  });

  it.each([
    ["key", "", '"" (string)', "a string that is not empty"],
    ["key", 7, "7 (number)", "a string that is not empty"],
    ["key", null, "null", "a string that is not empty"],
    ["dedupeWindowMs", 0, "0 (number)", "a whole number >= 1"],
    ["dedupeWindowMs", 1.5, "1.5 (number)", "a whole number >= 1"],
    ["dedupeWindowMs", "10", '"10" (string)', "a whole number >= 1"],
    ["dedupeWindowMs", false, "false (boolean)", "a whole number >= 1"],
    ["dedupeWindowMs", 2 ** 53, "9007199254740992 (number)", "a whole number >= 1"],
    ["publishTimeoutMs", -1, "-1 (number)", "a whole number >= 1"],
    ["onHealth", "log", '"log" (string)', "a function"],
    ["onHealth", null, "null", "a function"],
  ])("refuses %s %j", (name, value, got, expected) => {
    expect(refusalOf({ url: URL, [name]: value })).toBe(
      `Expected \`${name}\` to be ${expected}, got ${got}`,
    );
  });

  it.each(["maxAgeMs", "maxEvents"])(
    "refuses a retention.%s that is not a whole number",
    (name) => {
      for (const value of [0, -1, 0.5, NaN, Infinity, null, "100"]) {
        expect(refusalOf({ url: URL, retention: { [name]: value } })).toMatch(
          new RegExp(`^Expected \`retention\\.${name}\` to be a whole number >= 1, got `),
        );
      }
    },
  );

  it("refuses a timeout that exceeds a Node timer's range", () => {
    expect(refusalOf({ url: URL, publishTimeoutMs: 2_147_483_648 })).toMatch(
      /^Expected `publishTimeoutMs` to be a whole number/,
    );
  });

  it("refuses unknown names", () => {
    expect(refusalOf({ url: URL, keys: "x" })).toBe("Unknown option `keys`. Did you mean `key`?");
    expect(refusalOf({ url: URL, publishTimeout: 1 })).toBe(
      "Unknown option `publishTimeout`. Did you mean `publishTimeoutMs`?",
    );
    // An option of hubs that Redis cannot apply.
    expect(refusalOf({ url: URL, retention: { maxBytes: 1 } })).toBe(
      "Unknown option `retention.maxBytes`. Expected one of `retention.maxAgeMs`, `retention.maxEvents`",
    );
  });

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    [URL, "a string"],
    [[], "an array"],
  ])("refuses %j in place of options", (options, got) => {
    expect(refusalOf(options)).toBe(`Expected options to be an object, got ${got}`);
  });

  it.each([
    [null, "null"],
    [false, "false (boolean)"],
    [[], "an array"],
  ])("refuses %j in place of retention", (retention, got) => {
    expect(refusalOf({ url: URL, retention })).toBe(
      `Expected \`retention\` to be an object, got ${got}`,
    );
  });

  it("repeats at most a hundred characters of a refused value", () => {
    const message = refusalOf({ url: URL, dedupeWindowMs: "x".repeat(10_000) });
    expect(message.length).toBeLessThan(200);
  });
});

describe("createRedisPublisher", () => {
  it.each([
    ["nothing", undefined, "Expected options to be an object, got undefined"],
    ["a URL", "redis://:secret@127.0.0.1", "Expected options to be an object, got a string"],
    [
      "an unknown option",
      { url: URL, onHealth: () => {} },
      "Unknown option `onHealth`. Expected one of `url`, `client`, `key`, `retention`, `dedupeWindowMs`, `publishTimeoutMs`, `serialize`, `verbatimStrings`, `maxEventBytes`, `onError`",
    ],
  ])("refuses %s", (_name, options, message) => {
    expect(() => createRedisPublisher(options as RedisPublisherOptions)).toThrow(
      expect.objectContaining({ code: "ERR_SSE_INVALID_OPTION", message }) as Error,
    );
  });
});
