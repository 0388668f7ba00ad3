/** One connection to Redis, reopened after each loss. The reader, the writer and the pager have one each. */

import { connect } from "./client.js";
import type { Client } from "./client.js";
import { Deadline } from "./deadline.js";
import type { Locator } from "./locator.js";

/** Receives the events of a connection. */
export interface ConnectionObserver {
  /** The connection is ready for use. */
  up(client: Client): void;
  /** The connection was lost or could not be opened. */
  down(error: unknown): void;
}

/** A caller waiting for the connection. */
interface Waiting {
  readonly use: (client: Client) => void;
  readonly fail: (error: unknown) => void;
  /** Ends the wait; `undefined` for a wait without limit. */
  readonly timer: NodeJS.Timeout | undefined;
}

/** Time limit until a client is ready, in milliseconds. Redis may be stopped or half dead. */
const READY_TIMEOUT_MS = 5_000;
/** Shorter limit where another server takes over from one that hangs. */
const READY_TIMEOUT_WITH_FAILOVER_MS = 2_000;
/** The first and shortest pause between two attempts to connect, in milliseconds. */
const MIN_PAUSE_MS = 50;
/** The longest pause. */
const MAX_PAUSE_MS = 5_000;
/** Shorter limit where a failover takes a few seconds and healthy servers answer meanwhile. */
const MAX_PAUSE_WITH_FAILOVER_MS = 1_000;
/** How long after a loss callers wait for the connection, in milliseconds; later callers fail at once. */
const GRACE_MS = 1_000;

/**
 * One connection to Redis, reopened after each loss.
 *
 * Pauses between attempts grow from 50 ms to 5 s, with random jitter, so that the nodes of a cluster do not reconnect
 * all at once. A short loss is bridged, because a command that has not been sent can wait. After that a caller fails at
 * once, knowing that its command was not sent.
 *
 * The connection itself never keeps the process alive. A pending deadline of a command does.
 */
export class Connection {
  readonly #locator: Locator;
  readonly #observer: ConnectionObserver;
  readonly #isProbed: boolean;
  /** Set while the connection is usable. */
  #client: Client | undefined;
  /** In call order; served before any other caller. Empty while `#client` is set. */
  readonly #waiting: Set<Waiting> = new Set();
  #isStarted = false;
  #isClosed = false;
  /** When the connection was last usable, or first requested. Meaningful while `#client` is not set. */
  #downSince = 0;
  #lastError: unknown;
  /** Attempts since the connection last worked. */
  #failures = 0;
  /** Pieces of data received. */
  #received = 0;
  /** Abandons the current client, or the attempt to connect one. */
  #lose: ((error: unknown) => void) | undefined;
  /** Ends the current pause. */
  #wake: (() => void) | undefined;

  /**
   * @param isProbed - Whether Redis has to answer before the connection is used. Without it, the first command may
   *   fail, but a round trip is saved.
   */
  constructor(locator: Locator, isProbed: boolean, observer: ConnectionObserver) {
    this.#locator = locator;
    this.#isProbed = isProbed;
    this.#observer = observer;
  }

  /** Changes whenever data is received. */
  get received(): number {
    return this.#received;
  }

  /** Starts connecting. Idempotent. */
  start(): void {
    if (this.#isStarted || this.#isClosed) return;
    this.#isStarted = true;
    this.#downSince = performance.now();
    void this.#run();
  }

  /**
   * Uses the client: at once if it is connected, otherwise as soon as it is, in call order.
   *
   * @param use - Sends its commands and returns.
   * @param fail - Called instead if the connection is not available in time or is closed.
   * @param isPatient - Waits without limit instead of at most a second.
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

  /** Notes that the connection works, which resets the pauses. */
  succeed(): void {
    this.#failures = 0;
  }

  /** A whole reply has arrived. Counts as progress where pieces of replies cannot be observed. */
  heard(): void {
    this.#received += 1;
  }

  /**
   * Abandons the client when no data has been received for a time, because no reply will come. Clear the deadline when
   * no reply is expected any more.
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
   * Stops offering the client to callers. Commands already sent may still be answered; the owner calls `fail` when no
   * command is left.
   */
  retire(error: unknown): void {
    if (this.#client === undefined) return;
    this.#client = undefined;
    this.#downSince = performance.now();
    this.#lastError = error;
  }

  /** Cuts a client that does not work any more. A new one is opened. */
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

  /** Connects, and settles when the connection is lost. @returns The reason. */
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
    // Also cuts a connection that is only now being opened.
    cut.abort();
    return lost;
  }

  async #open(signal: AbortSignal, lost: (error: unknown) => void): Promise<Client> {
    const options = await this.#locator.find(signal);
    const client = await connect(options, signal, { heard: () => this.heard(), lost });
    // Redis accepts connections before it has loaded its data, and refuses all commands until then.
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
