/** An outlet without a network, for tests that control when its client reads. */

import type { IncomingHttpHeaders } from "node:http";
import { Heartbeat } from "../src/outlet/heartbeat.js";
import { Outlet, OutletCounts } from "../src/outlet/outlet.js";
import type { OutletRequest, OutletSettings } from "../src/outlet/outlet.js";
import type { SharedFrames } from "../src/wire/shared-frames.js";
import { MemoryHeaders } from "./memory-headers.js";

/** Options of a {@link MemoryOutlet}. */
export interface MemoryOutletOptions {
  readonly method?: string;
  readonly url?: string;
  readonly headers?: IncomingHttpHeaders;
  /** Buffered bytes of a client that does not read at which `write` asks to wait. Default: 16 KiB. */
  readonly highWaterMark?: number;
  /** `true`: the head is held back until `sendHead()`, as by a framework's asynchronous hooks. */
  readonly holdsHead?: boolean;
  /** `true`: the client left before the session existed. */
  readonly isGone?: boolean;
  /** Error that `start` throws, as a hook on the head may. */
  readonly startError?: Error;
}

/** Settings of a standalone outlet. */
export function makeSettings(settings: Partial<OutletSettings> = {}): OutletSettings {
  return {
    counts: new OutletCounts(),
    heartbeat: new Heartbeat(),
    maxBufferedBytes: 1_048_576,
    stallTimeoutMs: 30_000,
    isClosing: false,
    ...settings,
  };
}

/**
 * A response without a network.
 *
 * Its client reads immediately until `stopReading()`; then bytes stay in the buffer until `take()`.
 */
export class MemoryOutlet extends Outlet {
  readonly request: OutletRequest;
  readonly hasErrorHandler = true;
  readonly isOver = false;
  readonly isQueued = false;
  readonly context = "the framework's request";
  readonly headers: MemoryHeaders = new MemoryHeaders();
  /** Status of the head of the stream, or of the answer instead. */
  status: number | undefined;
  /** Each `write` separately. */
  readonly writes: Uint8Array[] = [];
  /** Calls other than `write`, in order. */
  readonly calls: ("start" | "end" | "destroy" | "answer" | "refuse")[] = [];
  /** Argument of `refuse`. */
  refusal: unknown;
  readonly #options: MemoryOutletOptions;
  #isHeadSent = false;
  #isEnded = false;
  #isClosed: boolean;
  #isReading = true;
  #buffered = 0;
  #taken = 0;
  /** `true` from a `write` that returned `false` until the buffer is empty. */
  #needsDrain = false;

  constructor(options: MemoryOutletOptions = {}, settings: OutletSettings = makeSettings()) {
    super(settings);
    this.#options = options;
    this.#isClosed = options.isGone === true;
    this.request = {
      method: options.method ?? "GET",
      url: options.url ?? "/",
      headers: options.headers ?? {},
    };
  }

  get isHeadSent(): boolean {
    return this.#isHeadSent;
  }

  get isClosed(): boolean {
    return this.#isClosed || this.#isEnded;
  }

  get bufferedBytes(): number {
    return this.#buffered;
  }

  get progress(): number {
    return this.#taken;
  }

  start(status: number): void {
    this.calls.push("start");
    if (this.#options.startError !== undefined) throw this.#options.startError;
    this.status = status;
    if (this.#options.holdsHead !== true) this.sendHead();
  }

  protected put(bytes: Uint8Array): boolean {
    if (this.isClosed) return false;
    if (!this.#isHeadSent) throw new Error("write() came before the head was out");
    this.writes.push(bytes);
    if (this.#isReading) {
      this.#taken += bytes.byteLength;
      return true;
    }
    this.#buffered += bytes.byteLength;
    if (this.#buffered < (this.#options.highWaterMark ?? 16_384)) return true;
    this.#needsDrain = true;
    return false;
  }

  protected putShared({ bytes }: SharedFrames): boolean {
    return this.put(bytes);
  }

  protected endBody(): void {
    this.calls.push("end");
    this.#isEnded = true;
    this.#closeWhenEmpty();
  }

  awaitTurn(): void {
    throw new Error("Only a response of a real connection waits for its turn");
  }

  destroy(): void {
    this.calls.push("destroy");
    this.#close("server");
  }

  answer(status: number): void {
    this.calls.push("answer");
    this.status = status;
    this.#isHeadSent = true;
    this.#isEnded = true;
    this.#closeWhenEmpty();
  }

  refuse(error: unknown): void {
    this.calls.push("refuse");
    this.refusal = error;
    this.#isHeadSent = true;
    this.#isEnded = true;
    this.#closeWhenEmpty();
  }

  /** Everything written, as text. */
  get text(): string {
    return Buffer.concat(this.writes).toString();
  }

  /** Sends the head that `holdsHead` held back. */
  sendHead(): void {
    if (this.#isClosed) return;
    this.#isHeadSent = true;
    this.headSent();
  }

  /** The route answers without the session. */
  answerElsewhere(): void {
    this.#isHeadSent = true;
    this.#isEnded = true;
    this.#closeWhenEmpty();
  }

  /** The framework fails after the start. */
  failInFramework(): void {
    this.owner.outletFailed("error");
  }

  /** The client stops reading by itself. */
  stopReading(): void {
    this.#isReading = false;
  }

  /** The client reads this many of the buffered bytes; all of them if absent. */
  take(bytes: number = this.#buffered): void {
    this.#buffered -= bytes;
    this.#taken += bytes;
    if (this.#buffered > 0) return;
    if (this.#isEnded) this.#closeWhenEmpty();
    else if (this.#needsDrain) {
      this.#needsDrain = false;
      this.drained();
    }
  }

  /** The client reads everything, but the response does not report it. */
  takeUnnoticed(): void {
    this.#needsDrain = false;
    this.take();
  }

  /** The client reads the buffered bytes and continues to read. */
  readOn(): void {
    this.#isReading = true;
    this.take();
  }

  /** The client closes the connection. */
  leave(): void {
    this.#close(this.#isEnded ? "server" : "client");
  }

  #closeWhenEmpty(): void {
    // As in Node, a response emits "close" in a later turn than its end.
    if (this.#buffered === 0) queueMicrotask(() => this.#close("server"));
  }

  #close(by: "client" | "server"): void {
    if (this.#isClosed) return;
    const isFlushed = this.#isEnded && this.#buffered === 0;
    this.#isClosed = true;
    this.#buffered = 0;
    this.responseClosed(by, isFlushed);
  }
}
