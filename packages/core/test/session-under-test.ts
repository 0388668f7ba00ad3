/** A session without a hub, for tests of a single event stream. */

import { createCors } from "../src/http/cors.js";
import type { Cors } from "../src/http/cors.js";
import { Held } from "../src/hub/held.js";
import { resolveOptions } from "../src/options/hub.js";
import type { ErrorStage, HubOptions, ResolvedOptions } from "../src/options/hub.js";
import { Heartbeat } from "../src/outlet/heartbeat.js";
import type { Outlet } from "../src/outlet/outlet.js";
import { EventStream } from "../src/session/event-stream.js";
import { MemoryOutlet, makeSettings } from "./memory-outlet.js";
import type { MemoryOutletOptions } from "./memory-outlet.js";

/** The hub's side of its sessions, which records all calls. */
export class RecordingHost {
  readonly options: ResolvedOptions;
  readonly cors: Cors | undefined;
  readonly heartbeat: Heartbeat<Outlet> = new Heartbeat();
  /** Takes the clients that are turned away. */
  readonly held: Held;
  /** Answer of `turnAway`. */
  obstacle: "shutdown" | "busy" | undefined;
  /** Calls of the session to its hub, in order. */
  readonly calls: ("opened" | "closed" | "released" | "turnedAway")[] = [];
  readonly reports: { readonly error: unknown; readonly stage: ErrorStage }[] = [];

  constructor(options: HubOptions) {
    this.options = resolveOptions(options);
    const { cors } = this.options;
    const report = (error: unknown): void => void this.reports.push({ error, stage: "cors" });
    this.cors = cors === false ? undefined : createCors(cors, report);
    this.held = new Held(this.options, (error, stage) => this.reports.push({ error, stage }));
    this.heartbeat.onEmpty = () => this.calls.push("released");
  }
}

/** An event stream whose hub is a {@link RecordingHost}. */
export class TestSession extends EventStream {
  readonly hub = "the hub";
  readonly #host: RecordingHost;

  constructor(outlet: Outlet, host: RecordingHost) {
    super(outlet);
    this.#host = host;
    this.closeIfGone();
  }

  protected get options(): ResolvedOptions {
    return this.#host.options;
  }

  protected get cors(): Cors | undefined {
    return this.#host.cors;
  }

  report(error: unknown, stage: ErrorStage): void {
    this.#host.reports.push({ error, stage });
  }

  protected onceDecided(fn: () => void): void {
    fn();
  }

  protected turnAway(): "shutdown" | "busy" | undefined {
    return this.#host.obstacle;
  }

  protected turnedAway(): void {
    this.#host.calls.push("turnedAway");
  }

  protected handOver(waitMs: number): void {
    this.#host.held.take(this.outlet, waitMs);
  }

  protected waiting(): void {}

  protected started(): void {
    this.#host.calls.push("opened");
  }

  protected left(): void {
    if (this.outlet.place !== undefined) this.#host.calls.push("closed");
  }
}

/** A session over a {@link MemoryOutlet}, its outlet and its host. */
export interface SessionUnderTest {
  readonly session: TestSession;
  readonly sink: MemoryOutlet;
  readonly host: RecordingHost;
}

/** Start of a stream that has nothing to send in its first turn. */
export const OPENING = ":\n\n";

/**
 * Creates a session.
 *
 * @param options - Options of its hub. `reconnectionTimeMs` is off unless given, so that the first block has none.
 * @param outletOptions - Options of its outlet.
 */
export function makeSession(
  options: HubOptions = {},
  outletOptions: MemoryOutletOptions = {},
): SessionUnderTest {
  const host = new RecordingHost({ reconnectionTimeMs: false, ...options });
  const { heartbeat, options: resolved } = host;
  const { maxBufferedBytes, stallTimeoutMs } = resolved;
  const sink = new MemoryOutlet(
    outletOptions,
    makeSettings({ heartbeat, maxBufferedBytes, stallTimeoutMs }),
  );
  return { session: new TestSession(sink, host), sink, host };
}

/** Lets all pending promises settle and the turn end. Fake timers do not affect either. */
export async function settle(): Promise<void> {
  for (let tick = 0; tick < 3; tick++) {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    await new Promise<void>((resolve) => {
      process.nextTick(resolve);
    });
  }
}

/** A source that fails before its first item. */
export function failingSource(fault: Error): Iterable<string> {
  const next = (): never => {
    throw fault;
  };
  return { [Symbol.iterator]: () => ({ next }) };
}
