/** Applies the `cors` package to event streams and their preflights. */

import type { IncomingHttpHeaders } from "node:http";
import corsMiddleware from "cors";
import type { CorsOptions, CorsOptionsDelegate } from "cors";
import type { HeaderTarget } from "./head.js";

/**
 * What the `cors` package takes: options, or a function that gives them for a request.
 *
 * @see https://github.com/expressjs/cors#configuration-options
 */
export type SseCorsOptions = CorsOptions | CorsOptionsDelegate;

/** What CORS needs to know of a request. */
export interface CorsRequest {
  /** HTTP method. */
  readonly method?: string | undefined;
  /** Headers, their names in lower case. */
  readonly headers: IncomingHttpHeaders;
}

/**
 * The `cors` package, applied to event streams and to their preflights.
 */
export interface Cors {
  /**
   * Sets the headers that let a page of another origin read the response.
   *
   * @param done - Called once, in the same turn unless `origin` is an asynchronous function.
   */
  apply(request: CorsRequest, target: HeaderTarget, done: (error?: unknown) => void): void;

  /**
   * Sets the headers of the answer to a preflight, if it is one that these options allow.
   *
   * @param done - Called once with `true` if the preflight is allowed; `false` leaves the response as it was.
   */
  preflight(
    request: CorsRequest,
    target: HeaderTarget,
    done: (error: unknown, isAllowed: boolean) => void,
  ): void;
}

type SetHeaders = (
  request: CorsRequest,
  target: Pick<HeaderTarget, "getHeader" | "setHeader">,
  next: (error?: unknown) => void,
) => void;

/**
 * The methods that a preflight allows unless `cors.methods` says otherwise. Allowing POST to every
 * route behind the middleware would open routes that are no event streams to other origins.
 */
const DEFAULT_METHODS = ["GET", "HEAD"];

/**
 * Binds options of the `cors` package to event streams.
 *
 * @param options - Options or a function that gives them. `methods` is GET and HEAD unless set, and
 *   `Last-Event-ID` joins `allowedHeaders` where these are listed.
 * @returns What sets the headers.
 */
export function createCors(options: SseCorsOptions): Cors {
  // With `preflightContinue` the package only ever sets headers: it needs no response that can end.
  const run = corsMiddleware(
    typeof options === "function"
      ? (request: CorsRequest, callback: (error: Error | null, options?: CorsOptions) => void) => {
          options(request, (error, given) => callback(error, forEventStreams(given)));
        }
      : forEventStreams(options),
  ) as unknown as SetHeaders;

  /** The options hold functions of the application's, which may throw or call back twice. */
  const runOnce: SetHeaders = (request, target, done) => {
    let isDone = false;
    const once = (error?: unknown): void => {
      if (isDone) return;
      isDone = true;
      done(error);
    };
    try {
      run(request, target, once);
    } catch (error) {
      if (isDone) throw error;
      once(error);
    }
  };

  return {
    apply(request, target, done) {
      // HEAD and OPTIONS alike get the headers of an actual response here: the route has been chosen.
      runOnce({ method: "GET", headers: request.headers }, target, done);
    },
    preflight(request, target, done) {
      const answer = new Map<string, number | string | string[]>();
      const recorder: Pick<HeaderTarget, "getHeader" | "setHeader"> = {
        // What is there already is not lost: `Vary` is added to.
        getHeader: (name) => answer.get(name.toLowerCase()) ?? target.getHeader(name),
        setHeader: (name, value) => answer.set(name.toLowerCase(), value),
      };
      runOnce(request, recorder, (error) => {
        if (error !== undefined && error !== null) return done(error, false);
        if (!allows(answer, request)) return done(undefined, false);
        for (const [name, value] of answer) target.setHeader(name, value as string | string[]);
        done(undefined, true);
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
  // `""` is no list: the package reflects what the browser asks for, as if the option were absent.
  if (listed !== undefined && listed !== "") {
    headers.allowedHeaders = ["Last-Event-ID", listed].flat();
  }
  return headers;
}

/** A preflight that is not for an event stream belongs to the application's own CORS: it is left alone. */
function allows(answer: ReadonlyMap<string, unknown>, { headers }: CorsRequest): boolean {
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
