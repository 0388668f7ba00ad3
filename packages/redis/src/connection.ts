/** One connection to Redis, made anew whenever it is lost. The reader, the writer and the pager have one each. */

import { connect } from "./client.js";
import type { Client } from "./client.js";
import { Deadline } from "./deadline.js";
import type { Locator } from "./locator.js";

/** What a connection tells its owner. */
export interface ConnectionObserver {
  /** It can be used from now on. */
  up(client: Client): void;
  /** It was lost, or could not be made. */
  down(error: unknown): void;
}

/** A caller that waits for the connection. */
interface Waiting {
  readonly use: (client: Client) => void;
  readonly fail: (error: unknown) => void;
  /** Ends the wait; `undefined` for one that waits as long as it takes. */
  readonly timer: NodeJS.Timeout | undefined;
}

/** A client that is not ready after this many milliseconds is given up: Redis may be stopped, or half dead. */
const READY_TIMEOUT_MS = 5_000;
/** The same where another server takes over from one that hangs. */
const READY_TIMEOUT_WITH_FAILOVER_MS = 2_000;
/** The first pause between two attempts to connect, in milliseconds, and the least of all. */
const MIN_PAUSE_MS = 50;
/** The longest pause. */
const MAX_PAUSE_MS = 5_000;
/** The same where a failover is over in a few seconds, and servers that are well answer meanwhile. */
const MAX_PAUSE_WITH_FAILOVER_MS = 1_000;
/** For so long after a loss callers wait for the connection; after that they fail at once. */
const GRACE_MS = 1_000;

/**
 * One connection to Redis that is made again whenever it is lost.
 *
 * The pauses grow from 50 ms to 5 s, each drawn at random, so that the nodes of a cluster do not come back all at
 * once. A short loss is waited out: a command that was not sent can wait. After that a caller fails at once, and knows
 * that its command was not sent.
 *
 * The connection itself never keeps the process alive. A command whose deadline does, does.
 */
export class Connection {
  readonly #locator: Locator;
  readonly #observer: ConnectionObserver;
  readonly #isProbed: boolean;
  /** Set while the connection can be used. */
  #client: Client | undefined;
  /** In the order of their calls; served before any other. Empty while `#client` is set. */
  readonly #waiting: Set<Waiting> = new Set();
  #isStarted = false;
  #isClosed = false;
  /** When the connection was last there, or first asked for. Meaningful while `#client` is not set. */
  #downSince = 0;
  #lastError: unknown;
  /** Attempts since the connection was last of use. */
  #failures = 0;
  /** Pieces of data that were received. */
  #received = 0;
  /** Gives up the present client, or the attempt to connect one. */
  #lose: ((error: unknown) => void) | undefined;
  /** Ends the present pause. */
  #wake: (() => void) | undefined;

  /**
   * @param isProbed - Whether Redis has to answer before the connection is used. An owner whose first command may
   *   fail does without: that saves a round trip.
   */
  constructor(locator: Locator, isProbed: boolean, observer: ConnectionObserver) {
    this.#locator = locator;
    this.#isProbed = isProbed;
    this.#observer = observer;
  }

  /** A number that changes whenever something is received. */
  get received(): number {
    return this.#received;
  }

  /** Begins to connect. Idempotent. */
  start(): void {
    if (this.#isStarted || this.#isClosed) return;
    this.#isStarted = true;
    this.#downSince = performance.now();
    void this.#run();
  }

  /**
   * Has something done with the client: at once if it is there, else as soon as it is, in the order of the calls.
   *
   * @param use - Sends what there is to send, and returns.
   * @param fail - Called instead if the connection is not there in time, or closed.
   * @param isPatient - Waits for as long as it takes, and not for a second at most.
   */
  use(
    use: (client: Client) => void,
    fail: (error: unknown) => void,
    isPatient: boolean = false,
  ): void {
    if (this.#isClosed) return fail(closedError());
    this.start();
    if (this.#client !== undefined) return use(this.#client);
    const graceMs = this.#downSince + GRACE_MS - performance.now();
    if (!isPatient && graceMs <= 0) return fail(this.#lastError);
    const giveUp = (): void => {
      if (this.#waiting.delete(waiting)) fail(this.#lastError);
    };
    const timer = isPatient ? undefined : setTimeout(giveUp, graceMs);
    const waiting: Waiting = { use, fail, timer };
    this.#waiting.add(waiting);
  }

  /** The connection does its work: the pauses begin anew. */
  succeed(): void {
    this.#failures = 0;
  }

  /** A whole reply has come: progress also where pieces of replies cannot be noticed. */
  heard(): void {
    this.#received += 1;
  }

  /**
   * Gives the client up when nothing at all has been received for a time: no reply will come. Clear it when nothing
   * is expected any more.
   */
  expectData(ms: number): Deadline {
    return new Deadline({
      ms,
      progress: () => this.#received,
      expired: () => this.fail(new Error(`Nothing received from Redis for ${ms} ms`)),
      isBackground: true,
    });
  }

  /**
   * Gives the client to no caller any more. What was sent over it may still be answered; its owner calls `fail` when
   * nothing is left to wait for.
   */
  retire(error: unknown): void {
    if (this.#client === undefined) return;
    this.#client = undefined;
    this.#downSince = performance.now();
    this.#lastError = error;
  }

  /** The client is of no use any more: it is cut, and another one is made. */
  fail(error: unknown): void {
    this.retire(error);
    this.#lose?.(error);
  }

  /** Cuts the connection for good. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#lose?.(closedError());
    this.#wake?.();
    for (const { fail } of this.#takeWaiting()) fail(closedError());
  }

  #takeWaiting(): readonly Waiting[] {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const { timer } of waiting) clearTimeout(timer);
    return waiting;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      const error = await this.#live();
      if (this.#isClosed) return;
      this.#lastError = error;
      this.#observer.down(error);
      await this.#pause(this.#failures++);
    }
  }

  /** Connects, and lasts until the connection is lost. @returns Why it was. */
  async #live(): Promise<unknown> {
    const cut = new AbortController();
    const lost = new Promise<unknown>((resolve) => {
      this.#lose = resolve;
    });
    const lose = this.#lose as (error: unknown) => void;
    const { hasFailover } = this.#locator;
    const readyMs = hasFailover ? READY_TIMEOUT_WITH_FAILOVER_MS : READY_TIMEOUT_MS;
    const deadline = new Deadline({
      ms: readyMs,
      expired: () => lose(new Error(`Redis did not answer within ${readyMs} ms`)),
      isBackground: true,
    });
    const client = await Promise.race([
      this.#open(cut.signal, lose).catch((error: unknown) => lose(error)),
      lost.then(() => undefined),
    ]);
    deadline.clear();
    if (client !== undefined && !this.#isClosed) {
      this.#client = client;
      this.#observer.up(client);
      for (const { use } of this.#takeWaiting()) use(client);
      this.retire(await lost);
    }
    // Also one that is made only now.
    cut.abort();
    return lost;
  }

  async #open(signal: AbortSignal, lost: (error: unknown) => void): Promise<Client> {
    const options = await this.#locator.find(signal);
    const client = await connect(options, signal, { heard: () => this.heard(), lost });
    // Redis takes connections before it has loaded its data, and refuses all commands until then.
    if (this.#isProbed) await client.sendCommand(["PING"]);
    return client;
  }

  #pause(failures: number): Promise<void> {
    const maxMs = this.#locator.hasFailover ? MAX_PAUSE_WITH_FAILOVER_MS : MAX_PAUSE_MS;
    const most = Math.min(maxMs, 2 * MIN_PAUSE_MS * 2 ** Math.min(failures, 10));
    const ms = Math.max(MIN_PAUSE_MS, Math.random() * most);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function closedError(): Error {
  return new Error("The connection is closed");
}
