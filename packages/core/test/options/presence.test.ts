import { describe, expect, it } from "vitest";
import { resolveOptions } from "../../src/options/hub.js";
import type { UntypedHubOptions } from "../../src/options/hub.js";
import { PRESENCE_DEFAULTS, presenceOf, shownBy, subjectOf } from "../../src/options/presence.js";
import { checkSubscribed } from "../../src/options/subscribe.js";
import { thrownBy } from "../thrown.js";

const identify = (): undefined => undefined;

function resolve(presence: unknown): unknown {
  return resolveOptions({ identify, presence } as UntypedHubOptions).presence;
}

describe("The option presence", () => {
  it("is off unless given, and `true` stands for the defaults", () => {
    expect(resolveOptions({}).presence).toBe(false);
    expect(resolve(undefined)).toBe(false);
    expect(resolve(false)).toBe(false);
    expect(resolve(true)).toEqual(PRESENCE_DEFAULTS);
    expect(resolve({})).toEqual(PRESENCE_DEFAULTS);
  });

  it("has defaults for each field, and keeps the others", () => {
    const channels = (): boolean => false;
    const given = { channels, lingerMs: 0, leaseMs: 3_000 };
    expect(resolve(given)).toEqual(given);
    expect(resolve({ lingerMs: 1, leaseMs: undefined })).toEqual({
      ...PRESENCE_DEFAULTS,
      lingerMs: 1,
    });
    expect(PRESENCE_DEFAULTS.channels("any")).toBe(true);
  });

  it.each([
    1,
    "yes",
    null,
    [],
    { channel: () => true },
    { channels: ["a"] },
    { lingerMs: -1 },
    { lingerMs: NaN },
    { lingerMs: "5" },
    { leaseMs: 2_999 },
    { leaseMs: Infinity },
  ])("rejects %j", (given) => {
    expect(thrownBy(() => resolve(given))).toMatchObject({ code: "ERR_SSE_INVALID_OPTION" });
  });

  it("requires identify", () => {
    expect(thrownBy(() => resolveOptions({ presence: true }))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
    });
  });
});

describe("A presence channel", () => {
  it("belongs to another channel", () => {
    expect(presenceOf("room")).toBe("~presence:room");
    expect(shownBy("~presence:room")).toBe("room");
    expect(shownBy("~presence")).toBeUndefined();
    expect(shownBy("room")).toBeUndefined();
    expect([subjectOf("~presence:room"), subjectOf("room")]).toEqual(["room", "room"]);
  });

  it("may be subscribed to if the other has a valid name", () => {
    checkSubscribed(presenceOf("x".repeat(256)));
    for (const name of ["~presence:", "~presence:~presence:a", "~presence", "~other", "", 5]) {
      expect(
        thrownBy(() => checkSubscribed(name)),
        String(name),
      ).toMatchObject({
        code: "ERR_SSE_INVALID_OPTION",
      });
    }
  });
});
