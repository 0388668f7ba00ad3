import { afterEach, describe, expect, it, vi } from "vitest";
import { checkMilliseconds } from "../../src/options/check.js";
import { DEFAULTS, resolveOptions } from "../../src/options/hub.js";
import type { HubOptions } from "../../src/options/hub.js";
import { draw } from "../../src/options/jitter.js";
import { resolveOpenOptions } from "../../src/options/open.js";
import type { OpenOptions } from "../../src/options/open.js";
import { thrownBy, untyped } from "../thrown.js";

const NAMES = [
  "heartbeatMs",
  "reconnectionTimeMs",
  "maxBufferedBytes",
  "maxEventBytes",
  "maxSessions",
  "maxHeld",
  "maxStreamMs",
  "reconnectAfter",
  "stallTimeoutMs",
  "checkAccept",
  "cors",
  "serialize",
  "deserialize",
  "verbatimStrings",
  "onError",
  "retention",
  "identify",
  "maxSessionsPerIdentity",
  "presence",
  "revalidate",
  "authorize",
  "authorizeAll",
  "log",
] as const;

function resolve(options: Record<string, unknown>): ReturnType<typeof resolveOptions> {
  return resolveOptions(untyped<HubOptions>(options));
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("DEFAULTS", () => {
  it("are these", () => {
    expect(DEFAULTS).toEqual({
      heartbeatMs: 15_000,
      reconnectionTimeMs: { min: 1_000, max: 3_000 },
      maxBufferedBytes: 1_048_576,
      maxEventBytes: 1_048_576,
      maxSessions: false,
      maxHeld: 1_000,
      maxStreamMs: false,
      reconnectAfter: "end",
      stallTimeoutMs: 30_000,
      cors: false,
      serialize: JSON.stringify,
      deserialize: JSON.parse,
      verbatimStrings: true,
      retention: { maxAgeMs: 300_000, maxEvents: 100_000, maxBytes: 67_108_864 },
      identify: undefined,
      maxSessionsPerIdentity: false,
      presence: false,
      revalidate: false,
      authorize: undefined,
      authorizeAll: undefined,
      log: undefined,
      onError: expect.any(Function),
    });
  });

  it("are frozen, including the range inside", () => {
    expect(Object.isFrozen(DEFAULTS)).toBe(true);
    expect(Object.isFrozen(DEFAULTS.reconnectionTimeMs)).toBe(true);
    expect(() => Object.assign(DEFAULTS, { heartbeatMs: 1 })).toThrow(TypeError);
  });

  it("pass their own check", () => {
    expect(resolveOptions(DEFAULTS)).toEqual(DEFAULTS);
  });
});

describe("resolveOptions", () => {
  it("returns the defaults for no options, {} and undefined values", () => {
    expect(resolveOptions()).toEqual(DEFAULTS);
    expect(resolveOptions({})).toEqual(DEFAULTS);
    expect(resolve(Object.fromEntries(NAMES.map((name) => [name, undefined])))).toEqual(DEFAULTS);
  });

  it("returns a frozen copy and does not modify its argument", () => {
    const options = { heartbeatMs: 5_000 };
    const resolved = resolveOptions(options);
    expect(Object.isFrozen(resolved)).toBe(true);
    expect(resolved).not.toBe(options);
    expect(options).toEqual({ heartbeatMs: 5_000 });
  });

  it.each([
    ["heartbeatMs", [1_000, 15_000, 2_147_483_647, false]],
    [
      "reconnectionTimeMs",
      [0, 5_000, 2_147_483_647, false, { min: 0, max: 0 }, { min: 1, max: 2_147_483_647 }],
    ],
    ["maxBufferedBytes", [1, 2_147_483_647]],
    ["maxEventBytes", [1, 2_147_483_647]],
    ["maxSessions", [1, 20_000, false]],
    ["maxHeld", [0, 1, 20_000]],
    ["reconnectAfter", ["end", "cut"]],
    ["maxStreamMs", [1_000, 2_147_483_647, false]],
    ["stallTimeoutMs", [1_000, 2_147_483_647]],
    [
      "cors",
      [
        false,
        {},
        { origin: "https://app.example", credentials: true },
        { origin: true, credentials: true },
        () => {},
      ],
    ],
    ["serialize", [String]],
    ["onError", [() => {}]],
  ] as [keyof HubOptions, unknown[]][])("accepts for %s each of %j", (name, values) => {
    for (const value of values) expect(resolve({ [name]: value })[name]).toBe(value);
  });

  const timesOff = "false or a whole number >= 1000";
  const reconnection =
    "false, a whole number from 0 to 2147483647 or { min, max } of two such numbers";
  const corsForms = "false, the options of the cors package or a function that returns them";
  it.each([
    ["heartbeatMs", 0, timesOff, "0 (number)"],
    ["heartbeatMs", 999, timesOff, "999 (number)"],
    ["heartbeatMs", -1_000, timesOff, "-1000 (number)"],
    ["heartbeatMs", 1_000.5, timesOff, "1000.5 (number)"],
    ["heartbeatMs", Number.NaN, timesOff, "NaN (number)"],
    ["heartbeatMs", Infinity, timesOff, "Infinity (number)"],
    ["heartbeatMs", "15000", timesOff, '"15000" (string)'],
    ["heartbeatMs", 15_000n, timesOff, "15000 (bigint)"],
    ["heartbeatMs", true, timesOff, "true (boolean)"],
    ["heartbeatMs", null, timesOff, "null"],
    ["heartbeatMs", [15_000], timesOff, "an array"],
    ["reconnectionTimeMs", -1, reconnection, "-1 (number)"],
    ["reconnectionTimeMs", 0.5, reconnection, "0.5 (number)"],
    ["reconnectionTimeMs", true, reconnection, "true (boolean)"],
    ["reconnectionTimeMs", null, reconnection, "null"],
    ["reconnectionTimeMs", "1000", reconnection, '"1000" (string)'],
    ["reconnectionTimeMs", [1, 2], reconnection, "an array"],
    ["maxBufferedBytes", 0, "a whole number >= 1", "0 (number)"],
    ["maxBufferedBytes", false, "a whole number >= 1", "false (boolean)"],
    ["maxBufferedBytes", Infinity, "a whole number >= 1", "Infinity (number)"],
    ["maxEventBytes", 0, "a whole number >= 1", "0 (number)"],
    ["maxEventBytes", false, "a whole number >= 1", "false (boolean)"],
    ["maxSessions", 0, "false or a whole number >= 1", "0 (number)"],
    ["maxSessions", Infinity, "false or a whole number >= 1", "Infinity (number)"],
    ["maxSessions", true, "false or a whole number >= 1", "true (boolean)"],
    ["maxHeld", -1, "a whole number >= 0", "-1 (number)"],
    ["maxHeld", false, "a whole number >= 0", "false (boolean)"],
    ["reconnectAfter", "never", '"end" or "cut"', '"never" (string)'],
    ["reconnectAfter", true, '"end" or "cut"', "true (boolean)"],
    ["maxStreamMs", 0, timesOff, "0 (number)"],
    ["maxStreamMs", 999, timesOff, "999 (number)"],
    ["stallTimeoutMs", 999, "a whole number >= 1000", "999 (number)"],
    ["stallTimeoutMs", false, "a whole number >= 1000", "false (boolean)"],
    ["cors", true, corsForms, "true (boolean)"],
    ["cors", null, corsForms, "null"],
    ["cors", "*", corsForms, '"*" (string)'],
    ["cors", [], corsForms, "an array"],
    ["serialize", false, "a function", "false (boolean)"],
    ["serialize", {}, "a function", "an object"],
    ["onError", false, "a function", "false (boolean)"],
    ["onError", null, "a function", "null"],
  ])("refuses %s: %o", (name, value, expected, described) => {
    expect(thrownBy(() => resolve({ [name]: value }))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `Expected \`${name}\` to be ${expected}, got ${described}`,
    });
  });

  it.each([{ credentials: true }, { credentials: true, origin: "*" }])(
    "refuses %j, which no browser would accept",
    (cors) => {
      expect(thrownBy(() => resolve({ cors }))).toMatchObject({
        code: "ERR_SSE_INVALID_OPTION",
        message: "Expected `cors` to name an `origin` when it allows `credentials`, got an object",
      });
    },
  );

  it("throws an error without statusCode, because it is not about a request", () => {
    expect("statusCode" in thrownBy(() => resolve({ heartbeatMs: 0 })).error).toBe(false);
  });

  it.each(["heartbeatMs", "maxStreamMs", "stallTimeoutMs", "reconnectionTimeMs"])(
    "states the limit if %s exceeds a timer's range",
    (name) => {
      expect(thrownBy(() => resolve({ [name]: 2_147_483_648 })).message).toContain("2147483647");
    },
  );

  it.each(["maxBufferedBytes", "maxEventBytes", "maxSessions"])(
    "does not limit %s, which is not a time, to a timer's range",
    (name) => {
      expect(resolve({ [name]: 4 * 1024 ** 3 })).toMatchObject({ [name]: 4 * 1024 ** 3 });
    },
  );

  it.each([
    ["heartbeat", "heartbeatMs"],
    ["heartbeatMS", "heartbeatMs"],
    ["heartbeatSeconds", "heartbeatMs"],
    ["reconnectionTime", "reconnectionTimeMs"],
    ["authorise", "authorize"],
    ["onerror", "onError"],
    ["maxSesions", "maxSessions"],
    ["maxBuffer", "maxBufferedBytes"],
    ["auth", undefined],
    ["lgo", undefined],
    ["toString", undefined],
  ])("names an unknown option, and the one probably meant: %s, %s", (name, meant) => {
    const all = NAMES.map((one) => `\`${one}\``).join(", ");
    const hint = meant === undefined ? `Expected one of ${all}` : `Did you mean \`${meant}\`?`;
    expect(thrownBy(() => resolve({ [name]: 1 }))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `Unknown option \`${name}\`. ${hint}`,
    });
  });

  it.each(["", "__proto__", "a b", "x".repeat(200), "x".repeat(100_000)])(
    "names an unknown option that is not a name, briefly: %j",
    (name) => {
      const options = Object.defineProperty({}, name, { value: undefined, enumerable: true });
      const { code, message } = thrownBy(() => resolve(options));
      expect(code).toBe("ERR_SSE_INVALID_OPTION");
      const quoted = name.length > 100 ? `"${name.slice(0, 100)}"…` : `"${name}"`;
      const shown = name === "__proto__" ? "`__proto__`" : quoted;
      expect(message.startsWith(`Unknown option ${shown}. Expected one of `)).toBe(true);
    },
  );

  it.each([
    [
      { retention: { maxEvents: 0 } },
      "Expected `retention.maxEvents` to be a whole number >= 1, got 0 (number)",
    ],
    [
      { retention: { maxAge: 1 } },
      "Unknown option `retention.maxAge`. Did you mean `retention.maxAgeMs`?",
    ],
    [
      { retention: 5 },
      "Expected `retention` to be { maxAgeMs, maxEvents, maxBytes } of whole numbers >= 1, got 5 (number)",
    ],
    [{ cors: { orgin: "*" } }, "Unknown option `cors.orgin`. Did you mean `cors.origin`?"],
    [
      { reconnectionTimeMs: { min: 5, max: 1 } },
      "Expected `reconnectionTimeMs.min` to be at most `reconnectionTimeMs.max`, got 5 and 1",
    ],
    [
      { reconnectionTimeMs: { min: 0.5, max: 1 } },
      "Expected `reconnectionTimeMs.min` to be a whole number >= 0, got 0.5 (number)",
    ],
    [
      { reconnectionTimeMs: { min: 5 } },
      "Expected `reconnectionTimeMs.max` to be a whole number >= 0, got undefined",
    ],
    [
      { reconnectionTimeMs: { min: 5, max: 6, mean: 5 } },
      "Unknown option `reconnectionTimeMs.mean`. Expected one of `reconnectionTimeMs.min`, `reconnectionTimeMs.max`",
    ],
  ])("names the path and the value of a nested option: %j", (options, message) => {
    expect(thrownBy(() => resolve(options))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message,
    });
  });

  it.each([
    [null, "null"],
    [7, "7 (number)"],
    ["x", '"x" (string)'],
    [() => {}, "a function"],
  ])("refuses options that are not an object: %s", (options, described) => {
    expect(thrownBy(() => resolveOptions(untyped<HubOptions>(options)))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `Expected options to be an object, got ${described}`,
    });
  });
});

describe("resolveOpenOptions", () => {
  const hub = resolveOptions({ heartbeatMs: 7_000, reconnectionTimeMs: 500, maxStreamMs: 60_000 });

  it("fills in the hub's options", () => {
    const resolved = {
      status: 200,
      headers: undefined,
      heartbeatMs: 7_000,
      reconnectionTimeMs: 500,
      maxStreamMs: 60_000,
      reconnectAfter: "end",
    };
    expect(resolveOpenOptions(undefined, hub)).toEqual(resolved);
    expect(resolveOpenOptions({}, hub)).toEqual(resolved);
    expect(
      resolveOpenOptions(
        {
          status: undefined,
          headers: undefined,
          heartbeatMs: undefined,
          reconnectionTimeMs: undefined,
          maxStreamMs: undefined,
          reconnectAfter: undefined,
        },
        hub,
      ),
    ).toEqual(resolved);
  });

  it("lets the stream's own options win, even if they are off or zero", () => {
    const headers = { "X-A": "1" };
    expect(
      resolveOpenOptions(
        {
          status: 201,
          headers,
          heartbeatMs: false,
          reconnectionTimeMs: 0,
          maxStreamMs: false,
          reconnectAfter: "cut",
        },
        hub,
      ),
    ).toEqual({
      status: 201,
      headers,
      heartbeatMs: false,
      reconnectionTimeMs: 0,
      maxStreamMs: false,
      reconnectAfter: "cut",
    });
  });

  it.each([200, 201, 203, 206, 299])("accepts the status %s", (status) => {
    expect(resolveOpenOptions({ status }, hub).status).toBe(status);
  });

  it.each([
    [199, "199 (number)"],
    [204, "204 (number)"],
    [205, "205 (number)"],
    [300, "300 (number)"],
    [404, "404 (number)"],
    [200.5, "200.5 (number)"],
    ["200", '"200" (string)'],
    [null, "null"],
    [Number.NaN, "NaN (number)"],
  ])("refuses the status %s", (status, described) => {
    expect(
      thrownBy(() => resolveOpenOptions({ status: untyped<number>(status) }, hub)),
    ).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `Expected \`status\` to be a whole number from 200 to 299, but not 204 or 205, got ${described}`,
    });
  });

  it("checks headers", () => {
    expect(thrownBy(() => resolveOpenOptions({ headers: { Connection: "close" } }, hub)).code).toBe(
      "ERR_SSE_INVALID_OPTION",
    );
    expect(() => resolveOpenOptions({ headers: untyped<never>(null) }, hub)).toThrow(
      "Expected `headers` to be an object, got null",
    );
  });

  it.each([
    ["heartbeatMs", 0, "false or a whole number >= 1000, got 0 (number)"],
    ["heartbeatMs", null, "false or a whole number >= 1000, got null"],
    ["maxStreamMs", 10, "false or a whole number >= 1000, got 10 (number)"],
    [
      "reconnectionTimeMs",
      -1,
      "false, a whole number from 0 to 2147483647 or { min, max } of two such numbers, got -1 (number)",
    ],
  ])("checks %s like the hub's: %j", (name, value, message) => {
    expect(
      thrownBy(() => resolveOpenOptions(untyped<OpenOptions>({ [name]: value }), hub)),
    ).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `Expected \`${name}\` to be ${message}`,
    });
  });

  it.each(["retry", "maxSessions", "heartBeatMs"])("names an unknown option: %s", (name) => {
    const { code, message } = thrownBy(() =>
      resolveOpenOptions(untyped<OpenOptions>({ [name]: 1 }), hub),
    );
    expect(code).toBe("ERR_SSE_INVALID_OPTION");
    expect(message).toContain(`Unknown option \`${name}\``);
  });

  it.each([7, "x", true])("refuses options that are not an object: %j", (options) => {
    expect(thrownBy(() => resolveOpenOptions(untyped<OpenOptions>(options), hub)).message).toMatch(
      /^Expected the options of open\(\) to be an object, got /,
    );
  });
});

describe("checkMilliseconds", () => {
  it.each([0, 1, 2_147_483_647])("takes %s", (value) => {
    expect(checkMilliseconds("drainMs", value)).toBe(value);
  });

  it.each([
    [-1, "-1 (number)"],
    [0.5, "0.5 (number)"],
    [Number.NaN, "NaN (number)"],
    ["5", '"5" (string)'],
    [null, "null"],
    [undefined, "undefined"],
    [false, "false (boolean)"],
  ])("refuses %s", (value, described) => {
    expect(thrownBy(() => checkMilliseconds("drainMs", value))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: `Expected \`drainMs\` to be a whole number >= 0, got ${described}`,
    });
  });
});

describe("draw", () => {
  it("returns a number unchanged", () => {
    expect(draw(7)).toBe(7);
    expect(draw(0)).toBe(0);
  });

  it("stays in the range and reaches both ends", () => {
    const random = vi.spyOn(Math, "random");
    random.mockReturnValue(0);
    expect(draw({ min: 10, max: 12 })).toBe(10);
    random.mockReturnValue(0.999_999_999_999);
    expect(draw({ min: 10, max: 12 })).toBe(12);
    random.mockReturnValue(0.5);
    expect(draw({ min: 10, max: 12 })).toBe(11);
    expect(draw({ min: 5, max: 5 })).toBe(5);
  });

  it("draws a whole number from the widest range", () => {
    const drawn = draw({ min: 0, max: 2_147_483_647 });
    expect(Number.isInteger(drawn)).toBe(true);
    expect(drawn).toBeGreaterThanOrEqual(0);
    expect(drawn).toBeLessThanOrEqual(2_147_483_647);
  });
});
