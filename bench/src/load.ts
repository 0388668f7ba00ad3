import type { ConnectOrder, LoadOrder, LoadProtocol, LoadReport } from "./load-protocol.js";
import { Remote } from "./remote.js";

const PROGRAM = new URL("load-process.js", import.meta.url);
/** Time limit after which a missing delivery counts as lost. */
const DEADLINE_MS = 60_000;
/** Simultaneous connection attempts; far more would overflow the kernel's queue of half-open connections. */
const CONCURRENCY = 200;

/** The clients of one subject, in a separate process. */
export class Load {
  readonly #remote: Remote<LoadProtocol>;
  readonly #name: string;
  /** Reports of `reached` that no caller has waited for yet. */
  #reached: number[] = [];
  #onReached: ((at: number) => void) | undefined;
  readonly #failed: Promise<never>;
  /** Makes current and later waits fail. */
  fail: (error: Error) => void = () => {};

  constructor(name: string) {
    this.#name = name;
    this.#failed = new Promise((_resolve, reject) => {
      this.fail = reject;
    });
    // It may fail while no caller waits. The next one that waits gets the rejection.
    this.#failed.catch(() => {});
    this.#remote = new Remote<LoadProtocol>(`The load of ${name}`, PROGRAM);
    this.#remote.onNotice = (notice, value) => {
      if (notice === "failed") this.fail(new Error(`${name}: ${String(value)}`));
      else this.#wasReached(Number(value));
    };
    this.#remote.onCrash = (error) => this.fail(error);
  }

  connect(
    port: number,
    clients: number,
    path: string,
    how: { readonly concurrency?: number; readonly lastEventId?: string } = {},
  ): Promise<void> {
    const order = { port, clients, path, concurrency: CONCURRENCY, ...how };
    return this.#orFailed(this.#remote.call("connect", order));
  }

  churn(order: ConnectOrder): Promise<void> {
    return this.#orFailed(this.#remote.call("churn", order));
  }

  begin(order: LoadOrder): Promise<void> {
    this.#reached = [];
    return this.#remote.call("begin", order);
  }

  /** Resolves when `step` more events have arrived, with the time on the shared clock. */
  reached(): Promise<number> {
    const at = this.#reached.shift();
    if (at !== undefined) return Promise.resolve(at);
    return this.#orFailed(
      new Promise((resolve) => {
        this.#onReached = resolve;
      }),
    );
  }

  end(): Promise<LoadReport> {
    return this.#remote.call("end", null);
  }

  cut(): Promise<void> {
    return this.#remote.call("cut", null);
  }

  stop(): Promise<void> {
    return this.#remote.stop();
  }

  #wasReached(at: number): void {
    const resolve = this.#onReached;
    this.#onReached = undefined;
    if (resolve === undefined) this.#reached.push(at);
    else resolve(at);
  }

  /** Waits for a result, a failure of the clients or the deadline. */
  async #orFailed<Value>(wanted: Promise<Value>): Promise<Value> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => void this.#tellLate(reject), DEADLINE_MS);
    });
    try {
      return await Promise.race([wanted, this.#failed, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #tellLate(reject: (error: Error) => void): Promise<void> {
    const { clients, events } = await this.end();
    const seen = `${clients} clients have ${events.min} to ${events.max} events`;
    reject(new Error(`${this.#name} did not deliver in ${DEADLINE_MS / 1_000} s: ${seen}`));
  }
}
