import { SseError } from "@tidewire/core";
import { createCluster } from "redis";
import { describe, expect, it } from "vitest";
import { redisTapes } from "../../src/index.js";
import { resolveRedisTapesOptions } from "../../src/tapes/tape-options.js";
import type { RedisTapesOptions, ResolvedRedisTapesOptions } from "../../src/tapes/tape-options.js";

const URL = "redis://127.0.0.1:6379";

function resolve(options: unknown): ResolvedRedisTapesOptions {
  return resolveRedisTapesOptions(options as RedisTapesOptions);
}

/** @returns The message for refused options. */
function refusalOf(options: unknown): string {
  try {
    redisTapes(options as RedisTapesOptions);
  } catch (error) {
    if (error instanceof SseError && error.code === "ERR_SSE_INVALID_OPTION") return error.message;
    throw error;
  }
  throw new Error("Nothing was thrown");
}

describe("resolveRedisTapesOptions", () => {
  it("fills in the defaults", () => {
    expect(resolve({ url: URL })).toMatchObject({
      sources: [{ key: "tidewire-runs" }],
      leaseMs: 15_000,
      maxRuns: 10_000,
      commandTimeoutMs: 5_000,
    });
  });

  it("lets a command wait for a third of the lease, and at most five seconds", () => {
    expect(resolve({ url: URL, leaseMs: 2_000 }).commandTimeoutMs).toBe(666);
    expect(resolve({ url: URL, leaseMs: 60_000 }).commandTimeoutMs).toBe(5_000);
    expect(resolve({ url: URL, leaseMs: 2_000, commandTimeoutMs: 100 }).commandTimeoutMs).toBe(100);
  });

  it("gives each shard a key, and its share of the runs", () => {
    const { sources, maxRuns } = resolve({ url: URL, prefix: "chat", shards: 3, maxRuns: 100 });
    expect(sources.map(({ key }) => key)).toEqual(["chat.0", "chat.1", "chat.2"]);
    expect(maxRuns).toBe(34);
  });

  it("puts the key prefix of a client in front", () => {
    const client = createCluster({
      rootNodes: [{ url: URL }],
      keyPrefix: "app:",
    } as unknown as Parameters<typeof createCluster>[0]);
    expect(resolve({ client }).sources[0]?.key).toBe("app:tidewire-runs");
  });

  it.each([
    [undefined, "Expected options to be an object, got undefined"],
    [{}, "Expected either `url` or `client`, got neither"],
    [{ url: URL, lease: 1 }, "Unknown option `lease`. Did you mean `leaseMs`?"],
    [
      { url: URL, prefix: "" },
      'Expected `prefix` to be a string that is not empty, got "" (string)',
    ],
    [
      { url: URL, leaseMs: 999 },
      "Expected `leaseMs` to be a whole number >= 1000, got 999 (number)",
    ],
    [{ url: URL, maxRuns: 0 }, "Expected `maxRuns` to be a whole number >= 1, got 0 (number)"],
    [
      { url: URL, shards: 1_025 },
      "Expected `shards` to be a whole number >= 1 and <= 1024, got 1025 (number)",
    ],
    [
      { url: URL, shards: 2, prefix: "{a}" },
      'Expected `prefix` to have no braces with several `shards`, got "{a}": a hash tag names a single slot',
    ],
    [
      { url: URL, commandTimeoutMs: "1" },
      'Expected `commandTimeoutMs` to be a whole number >= 1, got "1" (string)',
    ],
    [{ url: URL, onError: 1 }, "Expected `onError` to be a function, got 1 (number)"],
  ])("refuses %j", (options, message) => {
    expect(refusalOf(options)).toContain(message);
  });
});
