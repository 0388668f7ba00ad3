import { afterEach, describe, expect, it, vi } from "vitest";
import { Revocations, decodeDisconnect, encodeDisconnect } from "../../src/hub/revocations.js";
import type { DisconnectFilter } from "../../src/hub/revocations.js";
import { thrownBy, untyped } from "../thrown.js";

afterEach(() => void vi.useRealTimers());

function make(maxAgeMs = 60_000): Revocations {
  return new Revocations(maxAgeMs, (a, b) => Number(a) - Number(b));
}

describe("Revocations", () => {
  it("bars requests from before a disconnect, and only those", () => {
    const revocations = make();
    revocations.add({ identity: "ada" }, "10", performance.now());
    expect(revocations.bars("ada", "9", ["news"])).toBe(true);
    expect(revocations.bars("ada", "10", ["news"])).toBe(false);
    expect(revocations.bars("ada", "11", ["news"])).toBe(false);
    expect(revocations.bars("bob", "9", ["news"])).toBe(false);
    expect(revocations.bars("ada", "", ["news"])).toBe(false);
    expect(revocations.bars("ada", "not an id", ["news"])).toBe(false);
  });

  it("bars one channel of an identity", () => {
    const revocations = make();
    revocations.add({ identity: "ada", channel: "orders" }, "10", performance.now());
    expect(revocations.bars("ada", "9", ["news"])).toBe(false);
    expect(revocations.bars("ada", "9", ["news", "orders"])).toBe(true);
  });

  it("keeps the newest, in whatever order they are read", () => {
    const revocations = make();
    revocations.add({ identity: "ada" }, "10", performance.now());
    revocations.add({ identity: "ada" }, "5", performance.now());
    expect(revocations.bars("ada", "7", [])).toBe(true);
    revocations.add({ identity: "ada" }, "20", performance.now());
    expect(revocations.bars("ada", "15", [])).toBe(true);
  });

  it("forgets a disconnect after its time", () => {
    vi.useFakeTimers();
    const revocations = make(1_000);
    revocations.add({ identity: "ada" }, "10", performance.now());
    revocations.add({ identity: "bob" }, "11", performance.now() - 900);
    vi.advanceTimersByTime(1_000);
    expect(revocations.bars("ada", "9", [])).toBe(true);
    expect(revocations.bars("bob", "9", [])).toBe(false);
    vi.advanceTimersByTime(1);
    expect(revocations.bars("ada", "9", [])).toBe(false);
  });
});

describe("A disconnect in the log", () => {
  const entry = { id: "1", channel: "~disconnect" };

  it("comes back as it was given", () => {
    for (const filter of [
      { identity: "ada" },
      { identity: "ada", channel: "news" },
      { identity: "ada", final: true },
    ]) {
      expect(decodeDisconnect({ ...entry, ...encodeDisconnect(filter) })).toEqual(filter);
    }
  });

  it("is no other control entry", () => {
    expect(decodeDisconnect({ id: "1", channel: "~presence", data: "x" })).toBeUndefined();
  });

  it.each(["", "null", "1", '"ada"', "{}", '{"identity":""}', '{"identity":"a","channel":"~b"}'])(
    "is refused if it holds %j",
    (data) => {
      expect(thrownBy(() => decodeDisconnect({ ...entry, data }))).toMatchObject({
        code: "ERR_SSE_INVALID_OPTION",
      });
    },
  );

  it("is refused if a field is invalid or unknown", () => {
    for (const filter of [
      undefined,
      {},
      { identity: 7 },
      { identity: "ada", final: "yes" },
      { identity: "ada", chanel: "news" },
    ]) {
      expect(thrownBy(() => encodeDisconnect(untyped<DisconnectFilter>(filter)))).toMatchObject({
        code: "ERR_SSE_INVALID_OPTION",
      });
    }
  });
});
