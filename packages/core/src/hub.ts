import { createCors, isPreflight } from "./cors.js";
import type { Cors } from "./cors.js";
import { Heartbeat } from "./heartbeat.js";
import { NodeSink } from "./node-sink.js";
import type { Exchange } from "./node-sink.js";
import { checkMilliseconds, resolveOptions } from "./options.js";
import type { ErrorStage, HubOptions, ResolvedOptions } from "./options.js";
import type { Obstacle } from "./reception.js";
import { Session } from "./session.js";
import type { SessionHost } from "./session.js";

/** Options of `hub.close`. */
export interface CloseOptions {
  /**
   * Time over which the ends of the open streams are spread, in milliseconds, so that their clients do
   * not come back to the next process all at once.
   *
   * @defaultValue `0`: at once
   */
  readonly drainMs?: number | undefined;
}

/** What a client may still take after its stream was ended, in milliseconds. */
const GRACE_MS = 250;
/** Time between two batches of ends. */
const BATCH_MS = 20;
/** Ends in a batch when there is no time to spread them over. */
const BATCH_SIZE = 500;

/**
 * Owner of all event streams of a process: it makes sessions, drives their heartbeats and ends them.
 *
 * One hub may serve several frameworks at once.
 */
export class Hub {
  readonly #options: ResolvedOptions;
  readonly #cors: Cors | undefined;
  /** Sessions whose response is not over yet, those that are closed already included. */
  readonly #sessions: Set<Session> = new Set();
  readonly #host: SessionHost;
  /** Sessions of `#sessions` that take messages. */
  #openCount = 0;
  /** Set from the first `close` on; no stream is opened any more. */
  #closing: Promise<void> | undefined;
  /** Set while `close` waits for the last response. */
  #onEmpty: (() => void) | undefined;

  /** @internal Hubs are made by {@link createHub}. */
  constructor(options: HubOptions | undefined) {
    this.#options = resolveOptions(options);
    this.#cors = this.#options.cors === false ? undefined : createCors(this.#options.cors);
    this.#host = {
      options: this.#options,
      cors: this.#cors,
      heartbeat: new Heartbeat(),
      turnAway: () => this.#obstacle(),
      opened: (session) => {
        this.#sessions.add(session);
        this.#openCount += 1;
      },
      closed: () => {
        this.#openCount -= 1;
      },
      released: (session) => {
        this.#sessions.delete(session);
        if (this.#sessions.size === 0) this.#onEmpty?.();
      },
      report: (error, stage) => this.#report(error, stage),
    };
  }

  /** Streams that are open now. */
  get sessionCount(): number {
    return this.#openCount;
  }

  /**
   * Makes the session of one request. Nothing is sent and the response stays free until something is
   * sent through the session.
   *
   * @param exchange - `{ request, response }` of `node:http` or `node:http2`; adapters give more.
   * @returns The session: idle, or closed if the client has left already.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the exchange is none, or its response has a session already.
   */
  createSession(exchange: Exchange): Session<Hub> {
    return new Session<Hub>(new NodeSink(exchange), this.#host, this);
  }

  /**
   * Answers a request if it is a CORS preflight that the option `cors` allows. For plain `node:http`,
   * before routing; the middleware and the plugin do it by themselves.
   *
   * @param exchange - As for {@link Hub.createSession}.
   * @param next - Called if the request is not answered here, with an error if `cors` gave one.
   */
  handlePreflight(exchange: Exchange, next: (error?: unknown) => void): void {
    const { request, response } = exchange;
    if (this.#cors === undefined || !isPreflight(request)) return next();
    this.#cors.preflight(request, exchange.headers ?? response, (error, isAllowed) => {
      if (!isAllowed) return next(error);
      if (response.headersSent) return;
      if (exchange.answer !== undefined) return exchange.answer(204);
      response.statusCode = 204;
      response.end();
    });
  }

  /**
   * Closes the hub: new streams are turned away, open ones are ended with the reason `shutdown`.
   *
   * Call it before `server.close()`, which otherwise waits for streams that never end by themselves.
   * Closing twice is closing once.
   *
   * @param options - Over what time the ends are spread.
   * @returns Resolves when all responses are over: within `drainMs`, or a quarter of a second if that is
   *   longer. A client that does not take the rest until then is cut off. Never rejects.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if `drainMs` is not a whole number from 0.
   */
  close(options: CloseOptions = {}): Promise<void> {
    const drainMs = checkMilliseconds("drainMs", options.drainMs ?? 0);
    this.#closing ??= this.#drain(drainMs);
    return this.#closing;
  }

  async #drain(drainMs: number): Promise<void> {
    const start = performance.now();
    // The last client needs time to take its end before the deadline.
    const spreadMs = Math.max(0, drainMs - GRACE_MS);
    const sessions = [...this.#sessions];
    for (let ended = 0; ended < sessions.length;) {
      const share = spreadMs === 0 ? 1 : (performance.now() - start) / spreadMs;
      const due = Math.min(Math.ceil(share * sessions.length), ended + BATCH_SIZE, sessions.length);
      for (; ended < due; ended++) sessions[ended]?.shutDown();
      if (ended < sessions.length) await wait(spreadMs === 0 ? 0 : BATCH_MS);
    }
    if (this.#sessions.size > 0) {
      const left = Math.max(GRACE_MS, drainMs - (performance.now() - start));
      await this.#empty(left);
    }
    for (const session of this.#sessions) session.destroy();
    if (this.#sessions.size > 0) await this.#empty(GRACE_MS);
  }

  /** Resolves when the last response is over, or after `ms`. */
  #empty(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(settle, ms);
      this.#onEmpty = settle;
      function settle(): void {
        clearTimeout(timer);
        resolve();
      }
    });
  }

  #obstacle(): Obstacle | undefined {
    if (this.#closing !== undefined) return "shutdown";
    const { maxSessions } = this.#options;
    return maxSessions !== false && this.#openCount >= maxSessions ? "busy" : undefined;
  }

  #report(error: unknown, stage: ErrorStage): void {
    try {
      this.#options.onError(error, { stage });
    } catch (fault) {
      // The last resort: a reporter that fails has nowhere else to say so.
      console.error("tidewire: the option onError threw:", fault);
    }
  }
}

/**
 * Makes a hub.
 *
 * @param options - See {@link HubOptions}; each has a default.
 * @returns A hub without sessions. It keeps no timer until a stream is open and never keeps the process alive.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or not what it may be.
 */
export function createHub(options?: HubOptions): Hub {
  return new Hub(options);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
