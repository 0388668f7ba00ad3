/** Applies the `cors` package to event streams and their preflights. */

import type { IncomingHttpHeaders } from "node:http";
import corsMiddleware from "cors";
import type { CorsOptions, CorsOptionsDelegate } from "cors";
import type { HeaderTarget } from "./head.js";

/**
 * Options of the `cors` package, or a function that returns them for a request.
 *
 * @see https://github.com/expressjs/cors#configuration-options
 */
export type SseCorsOptions = CorsOptions | CorsOptionsDelegate;

/** The parts of a request that CORS depends on. */
export interface CorsRequest {
  /** HTTP method of the request. */
  readonly method?: string | undefined;
  /** Headers, with names in lower case. */
  readonly headers: IncomingHttpHeaders;
}

/** Headers of an answer, with names in lower case. */
export type CorsHeaders = ReadonlyMap<string, string | string[]>;

/**
 * The `cors` package, applied to event streams and to their preflights.
 *
 * Does not set headers itself: while an asynchronous `origin` function runs, the response may be answered elsewhere,
 * and headers can no longer be set.
 */
export interface Cors {
  /**
   * Finds the headers that let a page of another origin read the response.
   *
   * @param target - Headers already set: `Vary` is extended.
   * @param done - Called once, in the same turn unless `origin` is asynchronous.
   */
  actual(
    request: CorsRequest,
    target: Pick<HeaderTarget, "getHeader">,
    done: (error: unknown, headers: CorsHeaders) => void,
  ): void;

  /**
   * Finds the headers of the answer to a preflight.
   *
   * @param target - Headers already set: `Vary` is extended.
   * @param done - Called once; without headers if the options do not allow the preflight.
   */
  preflight(
    request: CorsRequest,
    target: Pick<HeaderTarget, "getHeader">,
    done: (error: unknown, headers: CorsHeaders | undefined) => void,
  ): void;
}

/** Runs the `cors` package on a response. */
type Run = (
  request: CorsRequest,
  response: Pick<HeaderTarget, "getHeader" | "setHeader">,
  next: (error?: unknown) => void,
) => void;

/**
 * Methods that a preflight allows unless `cors.methods` lists others. POST is not among them, because that would open
 * every other route after the middleware to other origins.
 */
const DEFAULT_METHODS = ["GET", "HEAD"];

/**
 * Binds options of the `cors` package to event streams.
 *
 * @param options - Options, or a function that returns them. `methods` defaults to GET and HEAD, and `Last-Event-ID` is
 *   added to `allowedHeaders` if set.
 * @param report - Receives errors that a function of these options throws after it has called back.
 * @returns The functions that compute the headers.
 */
export function createCors(options: SseCorsOptions, report: (error: unknown) => void): Cors {
  // With `preflightContinue` the package only sets headers, so it needs no response that can be ended.
  const run = corsMiddleware(
    typeof options === "function"
      ? (request: CorsRequest, callback: (error: Error | null, options?: CorsOptions) => void) => {
          const answer = (error: Error | null, given?: CorsOptions): void =>
            callback(error, forEventStreams(given));
          passRejection(options(request, answer), answer);
        }
      : forEventStreams(options),
  ) as unknown as Run;

  /** The options hold functions of the application, which may throw or call back twice. */
  const find: Cors["actual"] = (request, target, done) => {
    const headers = new Map<string, string | string[]>();
    const recorder: Pick<HeaderTarget, "getHeader" | "setHeader"> = {
      getHeader: (name) => headers.get(name.toLowerCase()) ?? target.getHeader(name),
      setHeader: (name, value) => headers.set(name.toLowerCase(), value),
    };
    let isDone = false;
    const once = (error?: unknown): void => {
      if (isDone) {
        if (error !== undefined && error !== null) report(error);
        return;
      }
      isDone = true;
      done(error, headers);
    };
    try {
      run(request, recorder, once);
    } catch (error) {
      // If the function called back before it threw, it is too late for an answer: the error is reported.
      once(error);
    }
  };

  return {
    actual(request, target, done) {
      // The route has been chosen, so HEAD and OPTIONS get the headers of an actual response too.
      find({ method: "GET", headers: request.headers }, target, done);
    },
    preflight(request, target, done) {
      find(request, target, (error, headers) => {
        const isAllowed = (error === undefined || error === null) && allows(headers, request);
        done(error, isAllowed ? headers : undefined);
      });
    },
  };
}

/**
 * Tells whether a request is a CORS preflight.
 *
 * @param request - Its method and headers.
 * @returns `true` if a browser asks whether it may send the actual request.
 * @see https://fetch.spec.whatwg.org/#cors-preflight-request
 */
export function isPreflight(request: CorsRequest): boolean {
  return (
    request.method === "OPTIONS" &&
    request.headers.origin !== undefined &&
    request.headers["access-control-request-method"] !== undefined
  );
}

function forEventStreams(options: CorsOptions | undefined): CorsOptions {
  const given = options ?? {};
  const listed = given.allowedHeaders;
  const headers: CorsOptions = { ...given, preflightContinue: true };
  headers.methods ??= DEFAULT_METHODS;
  const { origin } = given;
  if (typeof origin === "function") {
    headers.origin = (requested, callback) => {
      passRejection(origin(requested, callback), callback);
    };
  }
  // `""` is not a list: the package then reflects the requested headers, as if the option were absent.
  if (listed !== undefined && listed !== "") {
    headers.allowedHeaders = ["Last-Event-ID", listed].flat();
  }
  return headers;
}

/** An `async` function may reject instead of calling back. Without this, the rejection would be unhandled. */
function passRejection(result: unknown, callback: (error: Error) => void): void {
  if (!(result instanceof Promise)) return;
  result.catch((error: unknown) => {
    // Without an error the package would treat the origin as not allowed, and continue.
    callback((error ?? new Error("A function of the option cors was rejected")) as Error);
  });
}

/** A preflight for anything but an event stream is left to the application's own CORS. */
function allows(answer: CorsHeaders, { headers }: CorsRequest): boolean {
  const origin = answer.get("access-control-allow-origin");
  const requested = headers["access-control-request-method"] ?? "";
  const methods = String(answer.get("access-control-allow-methods")).split(",");
  return (
    (origin === "*" || origin === headers.origin) &&
    methods.some((method) => method.trim() === "*" || isSame(method.trim(), requested))
  );
}

function isSame(one: string, other: string): boolean {
  return one.toUpperCase() === other.toUpperCase();
}
