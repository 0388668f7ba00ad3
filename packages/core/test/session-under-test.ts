import { createCors } from "../src/http/cors.js";
import { Heartbeat } from "../src/outlet/heartbeat.js";
import type { Beating } from "../src/outlet/heartbeat.js";
import { resolveOptions } from "../src/options/hub.js";
import type { ErrorStage, HubOptions } from "../src/options/hub.js";
import { Session } from "../src/session/event-stream.js";
import type { SessionHost } from "../src/session/event-stream.js";
import type { Sink, SinkListener } from "../src/outlet/sink.js";
import { MemorySink } from "./memory-sink.js";
import type { MemorySinkOptions } from "./memory-sink.js";

/** What a hub does with a session, beside the public surface. */
interface SessionInternals extends SinkListener, Beating {
  shutDown(): void;
  destroy(): void;
}

/** A session with its internals, which the declarations that are published leave out. */
export type TestSession = Session<string> & SessionInternals;

const InternalSession = Session as unknown as new (
  sink: Sink,
  host: SessionHost,
  hub: string,
) => TestSession;

/** A hub's part towards its sessions, which writes down what it hears. */
export class RecordingHost implements SessionHost {
  readonly options: SessionHost["options"];
  readonly cors: SessionHost["cors"];
  readonly heartbeat: Heartbeat<TestSession> = new Heartbeat();
  /** What `turnAway` answers. */
  obstacle: "shutdown" | "busy" | undefined;
  /** Each call that a session made, in order. */
  readonly calls: ("opened" | "closed" | "released")[] = [];
  readonly reports: { readonly error: unknown; readonly stage: ErrorStage }[] = [];

  constructor(options: HubOptions) {
    this.options = resolveOptions(options);
    this.cors = this.options.cors === false ? undefined : createCors(this.options.cors);
  }

  turnAway(): "shutdown" | "busy" | undefined {
    return this.obstacle;
  }

  opened(session: Session): void {
    this.calls.push("opened");
    this.heartbeat.add(session as TestSession);
  }

  subscribe(): Promise<boolean> {
    throw new Error("Channels are tested with a hub");
  }

  unsubscribe(): void {
    throw new Error("Channels are tested with a hub");
  }

  closed(): void {
    this.calls.push("closed");
  }

  released(session: Session): void {
    this.calls.push("released");
    this.heartbeat.delete(session as TestSession);
  }

  report(error: unknown, stage: ErrorStage): void {
    this.reports.push({ error, stage });
  }
}

/** A session over a {@link MemorySink}, its sink and its host. */
export interface SessionUnderTest {
  readonly session: TestSession;
  readonly sink: MemorySink;
  readonly host: RecordingHost;
}

/** Opens with a lone comment and no reconnection time, so that what follows is all there is to compare. */
export const OPENING = ":\n\n";

/**
 * Makes a session.
 *
 * @param options - Of its hub. `reconnectionTimeMs` is off unless given, so that the opening is {@link OPENING}.
 * @param sinkOptions - Of its sink.
 */
export function makeSession(
  options: HubOptions = {},
  sinkOptions: MemorySinkOptions = {},
): SessionUnderTest {
  const sink = new MemorySink(sinkOptions);
  const host = new RecordingHost({ reconnectionTimeMs: false, ...options });
  return { session: new InternalSession(sink, host, "the hub"), sink, host };
}

/** Lets every promise that can settle do so. Fake timers leave microtasks alone. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

/** A source that fails before its first item. */
export function failingSource(fault: Error): Iterable<string> {
  const next = (): never => {
    throw fault;
  };
  return { [Symbol.iterator]: () => ({ next }) };
}
