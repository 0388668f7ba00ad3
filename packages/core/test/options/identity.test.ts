import { describe, expect, it } from "vitest";
import { resolveOptions } from "../../src/options/hub.js";
import type { UntypedHubOptions } from "../../src/options/hub.js";
import { resolveIdentity } from "../../src/options/identity.js";
import { thrownBy, untyped } from "../thrown.js";

const INVALID = { code: "ERR_SSE_INVALID_OPTION" };
const identify = (): undefined => undefined;

describe("The result of identify", () => {
  it("is a string, an object with an id, or nothing", () => {
    expect(resolveIdentity(undefined)).toBeUndefined();
    expect(resolveIdentity("ada")).toEqual({ id: "ada", expiresAt: Infinity });
    expect(resolveIdentity({ id: "ada" })).toEqual({ id: "ada", expiresAt: Infinity });
    const time = 1_800_000_000_000;
    expect(resolveIdentity({ id: "ada", expiresAt: time })).toEqual({ id: "ada", expiresAt: time });
    const date = new Date(time);
    expect(resolveIdentity({ id: "ada", expiresAt: date })).toEqual({ id: "ada", expiresAt: time });
  });

  it.each([
    ["", 'Expected an identity to be a string of 1 to 256 characters, got "" (string)'],
    [7, "Expected `identify` to return a string, { id, expiresAt } or undefined, got 7 (number)"],
    [null, "Expected `identify` to return a string, { id, expiresAt } or undefined, got null"],
    [{}, "Expected an identity to be a string of 1 to 256 characters, got undefined"],
    [
      { id: "a", expires: 1 },
      "Unknown option `identify.expires`. Did you mean `identify.expiresAt`?",
    ],
    [
      { id: "a", expiresAt: 1_800_000_000 },
      "Expected `expiresAt` to be in milliseconds since 1970, not in seconds, got 1800000000 (number)",
    ],
    [
      { id: "a", expiresAt: "soon" },
      'Expected `expiresAt` to be a Date or milliseconds since 1970, got "soon" (string)',
    ],
  ])("is not %j", (given, message) => {
    expect(thrownBy(() => resolveIdentity(given))).toMatchObject({ ...INVALID, message });
  });

  it("is not a promise", () => {
    const given = Promise.reject(new Error("of a session store"));
    expect(thrownBy(() => resolveIdentity(given))).toMatchObject({
      ...INVALID,
      message:
        "Expected `identify` to return an identity, got a promise: authenticate before the route, and read the result here",
    });
  });
});

describe("maxSessionsPerIdentity", () => {
  it("turns one more away by default", () => {
    const { maxSessionsPerIdentity } = resolveOptions({
      identify,
      maxSessionsPerIdentity: { max: 3 },
    });
    expect(maxSessionsPerIdentity).toEqual({ max: 3, excess: "refuse" });
    expect(resolveOptions().maxSessionsPerIdentity).toBe(false);
  });

  it.each([3, { max: 0 }, {}, { max: 1, excess: "close" }, { maximum: 1 }])(
    "is not %j",
    (given) => {
      const options = untyped<UntypedHubOptions>({ identify, maxSessionsPerIdentity: given });
      expect(thrownBy(() => resolveOptions(options))).toMatchObject(INVALID);
    },
  );

  it("needs identify", () => {
    expect(thrownBy(() => resolveOptions({ maxSessionsPerIdentity: { max: 3 } })).message).toBe(
      "Expected `identify` beside `maxSessionsPerIdentity`, got none",
    );
  });
});
