import type { CorsOptions } from "cors";
import { describe, expect, it } from "vitest";
import { createCors, isPreflight } from "../../src/http/cors.js";
import type { CorsRequest, SseCorsOptions } from "../../src/http/cors.js";
import { MemoryHeaders } from "../memory-headers.js";

const APP = "https://app.example";
const OTHER = "https://other.example";

interface Outcome {
  readonly error: unknown;
  readonly headers: Record<string, unknown>;
}

function expectNothing(error: unknown): void {
  throw new Error("Reported", { cause: error });
}

function actual(
  options: SseCorsOptions,
  request: CorsRequest,
  target = new MemoryHeaders(),
  report = expectNothing,
): Promise<Outcome> {
  return new Promise((resolve) => {
    createCors(options, report).actual(request, target, (error, headers) => {
      resolve({ error, headers: Object.fromEntries(headers) });
    });
  });
}

type Origin = Extract<CorsOptions["origin"], (...args: never[]) => unknown>;

/** An `async` origin function that rejects, optionally after another action. */
function rejectedOrigin(
  fault: unknown,
  first: (callback: Parameters<Origin>[1]) => void = () => {},
): Origin {
  const origin = async (...[, callback]: Parameters<Origin>): Promise<void> => {
    first(callback);
    await Promise.resolve();
    throw fault;
  };
  return origin as Origin;
}

interface PreflightOutcome extends Outcome {
  readonly isAllowed: boolean;
}

function preflight(
  options: SseCorsOptions,
  request: CorsRequest,
  target = new MemoryHeaders(),
  report = expectNothing,
): Promise<PreflightOutcome> {
  return new Promise((resolve) => {
    createCors(options, report).preflight(request, target, (error, headers) => {
      const isAllowed = headers !== undefined;
      resolve({ error, isAllowed, headers: Object.fromEntries(headers ?? []) });
    });
  });
}

function from(origin: string | undefined): CorsRequest {
  return { method: "GET", headers: origin === undefined ? {} : { origin } };
}

function asking(origin: string, method = "GET", headers?: string): CorsRequest {
  return {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": method,
      ...(headers === undefined ? {} : { "access-control-request-headers": headers }),
    },
  };
}

describe("an actual response", () => {
  it("lets every origin read unless one is given", async () => {
    expect(await actual({}, from(APP))).toEqual({
      error: undefined,
      headers: { "access-control-allow-origin": "*" },
    });
  });

  it("names a fixed origin for every request", async () => {
    const headers = { "access-control-allow-origin": APP, vary: "Origin" };
    expect((await actual({ origin: APP }, from(APP))).headers).toEqual(headers);
    expect((await actual({ origin: APP }, from(OTHER))).headers).toEqual(headers);
    expect((await actual({ origin: APP }, from(undefined))).headers).toEqual(headers);
  });

  it.each<[string, CorsOptions["origin"]]>([
    ["a list", [APP, "https://second.example"]],
    ["a list with an expression", [/^https:\/\/app\./]],
    ["an expression", /\/\/app\.example$/],
  ])("reflects an origin of %s and no other", async (_name, origin) => {
    expect((await actual({ origin }, from(APP))).headers).toEqual({
      "access-control-allow-origin": APP,
      vary: "Origin",
    });
    expect((await actual({ origin }, from(OTHER))).headers).toEqual({ vary: "Origin" });
    expect((await actual({ origin }, from(undefined))).headers).toEqual({ vary: "Origin" });
  });

  it("reflects every origin if `origin` is true", async () => {
    expect((await actual({ origin: true, credentials: true }, from(OTHER))).headers).toEqual({
      "access-control-allow-origin": OTHER,
      "access-control-allow-credentials": "true",
      vary: "Origin",
    });
  });

  it("returns no headers if `origin` is false", async () => {
    expect(await actual({ origin: false }, from(APP))).toEqual({ error: undefined, headers: {} });
  });

  it("names the headers that a page may read", async () => {
    expect(
      (await actual({ origin: APP, exposedHeaders: ["X-A", "X-B"] }, from(APP))).headers,
    ).toMatchObject({
      "access-control-expose-headers": "X-A,X-B",
    });
  });

  it("adds to the existing Vary", async () => {
    const target = new MemoryHeaders({ Vary: "Accept-Encoding", "X-A": "1" });
    expect((await actual({ origin: APP }, from(APP), target)).headers).toEqual({
      "access-control-allow-origin": APP,
      vary: "Accept-Encoding, Origin",
    });
    // Only the caller knows whether it may still set a header.
    expect(target.all()).toEqual({ vary: "Accept-Encoding", "x-a": "1" });
  });

  it.each(["HEAD", "OPTIONS", "POST"])(
    "treats %s like GET: the route has been chosen",
    async (method) => {
      const request = { method, headers: asking(APP).headers };
      expect((await actual({ origin: APP }, request)).headers).toEqual({
        "access-control-allow-origin": APP,
        vary: "Origin",
      });
    },
  );

  it("calls back in the same turn unless the origin function is asynchronous", () => {
    let calls = 0;
    createCors({ origin: [APP] }, expectNothing).actual(
      from(APP),
      new MemoryHeaders(),
      () => void (calls += 1),
    );
    expect(calls).toBe(1);
  });

  it("waits for an asynchronous origin function", async () => {
    const asked: unknown[] = [];
    const origin: CorsOptions["origin"] = (requestOrigin, callback) => {
      asked.push(requestOrigin);
      queueMicrotask(() => callback(null, requestOrigin === APP));
    };
    expect((await actual({ origin }, from(APP))).headers).toMatchObject({
      "access-control-allow-origin": APP,
    });
    expect((await actual({ origin }, from(OTHER))).headers).toEqual({});
    expect(asked).toEqual([APP, OTHER]);
  });

  it("passes on the error of an origin function and returns no headers", async () => {
    const fault = new Error("The list of origins is out of reach");
    expect(await actual({ origin: (_origin, callback) => callback(fault) }, from(APP))).toEqual({
      error: fault,
      headers: {},
    });
  });

  it("passes on an error that an origin function throws, as if it had called back with it", async () => {
    const fault = new Error("thrown");
    const origin = (): void => {
      throw fault;
    };
    expect(await actual({ origin }, from(APP))).toEqual({ error: fault, headers: {} });
  });

  it("passes on the rejection of an async origin function, as if it had called back with it", async () => {
    const fault = new Error("rejected");
    const origin = rejectedOrigin(fault);
    expect(await actual({ origin }, from(APP))).toEqual({ error: fault, headers: {} });
    expect(await preflight({ origin }, asking(APP))).toMatchObject({ error: fault });
  });

  it("treats a rejection without a reason as an error, too", async () => {
    const { error } = await actual({ origin: rejectedOrigin(undefined) }, from(APP));
    expect(error).toBeInstanceOf(Error);
  });

  it("passes on the rejection of an async function that returns the options", async () => {
    const fault = new Error("rejected");
    const options = rejectedOrigin(fault) as SseCorsOptions;
    expect(await actual(options, from(APP))).toEqual({ error: fault, headers: {} });
  });

  it("reports an error of an origin function after it has answered", async () => {
    const reported: unknown[] = [];
    const fault = new Error("too late");
    const origin = rejectedOrigin(fault, (callback) => callback(null, true));
    const { error } = await actual({ origin }, from(APP), undefined, (late) => reported.push(late));
    await new Promise(setImmediate);
    expect(error).toBeUndefined();
    expect(reported).toEqual([fault]);
  });

  it("calls back once, even if an origin function calls back twice", () => {
    let calls = 0;
    const origin: CorsOptions["origin"] = (_origin, callback) => {
      callback(null, true);
      callback(null, true);
    };
    createCors({ origin }, expectNothing).actual(
      from(APP),
      new MemoryHeaders(),
      () => void (calls += 1),
    );
    expect(calls).toBe(1);
  });

  it("accepts a function that returns the options for a request", async () => {
    const options: SseCorsOptions = (request, callback) => {
      callback(null, { origin: request.headers.origin === APP ? APP : false });
    };
    expect((await actual(options, from(APP))).headers).toMatchObject({
      "access-control-allow-origin": APP,
    });
    expect((await actual(options, from(OTHER))).headers).toEqual({});
  });

  it("passes on the error of that function", async () => {
    const fault = new Error("no options");
    expect(await actual((_request, callback) => callback(fault), from(APP))).toEqual({
      error: fault,
      headers: {},
    });
  });

  it("does not modify the given options", async () => {
    const options: CorsOptions = Object.freeze({
      origin: APP,
      allowedHeaders: Object.freeze(["X-A"]) as string[],
    });
    await actual(options, from(APP));
    await preflight(options, asking(APP));
    expect(options).toEqual({ origin: APP, allowedHeaders: ["X-A"] });
  });
});

describe("preflight", () => {
  it("allows GET and HEAD unless other methods are given", async () => {
    const { isAllowed, headers } = await preflight(
      { origin: APP },
      asking(APP, "GET", "last-event-id"),
    );
    expect(isAllowed).toBe(true);
    expect(headers).toEqual({
      "access-control-allow-origin": APP,
      "access-control-allow-methods": "GET,HEAD",
      "access-control-allow-headers": "last-event-id",
      vary: "Origin, Access-Control-Request-Headers",
    });
    expect((await preflight({ origin: APP }, asking(APP, "HEAD"))).isAllowed).toBe(true);
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      expect((await preflight({ origin: APP }, asking(APP, method))).isAllowed).toBe(false);
    }
  });

  it.each([
    ["a list", ["GET", "POST"]],
    ["a string", "GET, POST"],
    ["lower case", ["get", "post"]],
  ])("allows the methods given as %s", async (_name, methods) => {
    expect((await preflight({ origin: APP, methods }, asking(APP, "POST"))).isAllowed).toBe(true);
    expect((await preflight({ origin: APP, methods }, asking(APP, "PUT"))).isAllowed).toBe(false);
  });

  it("allows every method if `methods` is the wildcard", async () => {
    expect((await preflight({ methods: "*" }, asking(APP, "POST"))).isAllowed).toBe(true);
  });

  it("allows every origin unless one is given", async () => {
    expect((await preflight({}, asking(OTHER))).headers).toMatchObject({
      "access-control-allow-origin": "*",
    });
  });

  it.each<[string, CorsRequest, CorsOptions]>([
    ["an origin that is not the fixed one", asking(OTHER), { origin: APP }],
    ["an origin that is not in the list", asking(OTHER), { origin: [APP] }],
    ["every origin if `origin` is false", asking(APP), { origin: false }],
    ["a method that is not listed", asking(APP, "POST"), { origin: APP }],
  ])("returns no headers for %s", async (_name, request, options) => {
    expect(await preflight(options, request)).toEqual({
      error: undefined,
      isAllowed: false,
      headers: {},
    });
  });

  it("adds to the existing Vary", async () => {
    const target = new MemoryHeaders({ Vary: "Accept-Encoding" });
    const { headers } = await preflight(
      { origin: APP, allowedHeaders: ["X-A"] },
      asking(APP),
      target,
    );
    expect(headers["vary"]).toBe("Accept-Encoding, Origin");
    expect(target.all()).toEqual({ vary: "Accept-Encoding" });
  });

  it.each<[string, CorsOptions["allowedHeaders"], string]>([
    ["a list", ["X-A", "X-B"], "Last-Event-ID,X-A,X-B"],
    ["a string", "X-A,X-B", "Last-Event-ID,X-A,X-B"],
    ["an empty list", [], "Last-Event-ID"],
  ])(
    "adds Last-Event-ID to the allowed headers given as %s",
    async (_name, allowedHeaders, allowed) => {
      const { headers } = await preflight(
        { origin: APP, allowedHeaders },
        asking(APP, "GET", "last-event-id"),
      );
      expect(headers["access-control-allow-headers"]).toBe(allowed);
    },
  );

  it("adds Last-Event-ID if a function returns the options", async () => {
    const options: SseCorsOptions = (_request, callback) =>
      callback(null, { allowedHeaders: ["X-A"] });
    expect((await preflight(options, asking(APP))).headers).toMatchObject({
      "access-control-allow-methods": "GET,HEAD",
      "access-control-allow-headers": "Last-Event-ID,X-A",
    });
  });

  it("allows the requested headers if no header is listed", async () => {
    for (const allowedHeaders of [undefined, ""]) {
      const options: CorsOptions = allowedHeaders === undefined ? {} : { allowedHeaders };
      const { headers } = await preflight(
        options,
        asking(APP, "GET", "authorization, last-event-id"),
      );
      expect(headers["access-control-allow-headers"]).toBe("authorization, last-event-id");
    }
  });

  it("sets the max age and allows credentials", async () => {
    const { headers } = await preflight({ origin: APP, maxAge: 0, credentials: true }, asking(APP));
    expect(headers).toMatchObject({
      "access-control-max-age": "0",
      "access-control-allow-credentials": "true",
    });
  });

  it("waits for an asynchronous origin function", async () => {
    const origin: CorsOptions["origin"] = (requestOrigin, callback) => {
      queueMicrotask(() => callback(null, requestOrigin === APP));
    };
    expect((await preflight({ origin }, asking(APP))).isAllowed).toBe(true);
    expect((await preflight({ origin }, asking(OTHER))).isAllowed).toBe(false);
  });

  it("passes on an error and returns no headers", async () => {
    const fault = new Error("out of reach");
    expect(
      await preflight({ origin: (_origin, callback) => callback(fault) }, asking(APP)),
    ).toEqual({
      error: fault,
      isAllowed: false,
      headers: {},
    });
  });

  it("does not end the response, whatever `preflightContinue` says", async () => {
    // The target has no `end`, so calling it would throw.
    const options = { origin: APP, preflightContinue: false, optionsSuccessStatus: 200 };
    expect((await preflight(options, asking(APP))).isAllowed).toBe(true);
  });
});

describe("isPreflight", () => {
  const headers = { origin: APP, "access-control-request-method": "GET" };

  it("is true for OPTIONS with an origin and a method", () => {
    expect(isPreflight({ method: "OPTIONS", headers })).toBe(true);
  });

  it.each<[string, CorsRequest]>([
    ["another method", { method: "GET", headers }],
    ["no method", { headers }],
    ["no origin", { method: "OPTIONS", headers: { "access-control-request-method": "GET" } }],
    ["no requested method", { method: "OPTIONS", headers: { origin: APP } }],
  ])("is false with %s", (_name, request) => {
    expect(isPreflight(request)).toBe(false);
  });
});
